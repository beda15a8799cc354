"""What is read of, and written into, the chats that keep Google ADK's sessions and states."""

from collections.abc import Mapping
from typing import Any

from google.adk.events.event import Event
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.session import Session

from chatkeep import AsyncChatkeep, NotFound, adk_session
from chatkeep.models.chats import Chat

FORMAT = "adk"
MAX_PAGE = 200


def marker(chat_id: str, head_id: str | None) -> str:
    """What tells a stored session that went on, or is another one by now, from the one that was loaded."""
    return f"{chat_id}/{head_id or ''}"


async def found(client: AsyncChatkeep, place: str) -> Chat | None:
    """A chat, if there is one."""
    try:
        return await client.chats.get(place)
    except NotFound:
        return None


async def state(client: AsyncChatkeep, place: str) -> dict[str, Any]:
    """The state that a chat keeps; none where there is no such chat."""
    kept = await found(client, place)
    return {} if kept is None else adk_session.state_of(kept)


async def change(client: AsyncChatkeep, key: str, delta: Mapping[str, Any]) -> None:
    """Sets values of a shared state: the service merges them, so that two who change it at once lose nothing."""
    change = {"adk": {"state": adk_session.written(delta)}}
    try:
        await client.chats.patch(f"key:{key}", metadata=change)
    except NotFound:
        await client.chats.get_or_create(key)
        await client.chats.patch(f"key:{key}", metadata=change)


async def is_current(client: AsyncChatkeep, chat: Chat, session: Session) -> bool:
    """Whether a session knows all that is stored of it."""
    known = session._storage_update_marker
    if known is not None:
        return known == marker(chat.chat_id, chat.head_id)
    # Made by hand, or by another service: the last event tells.
    if not session.events:
        return chat.head_id is None
    last = await events(client, chat, GetSessionConfig(num_recent_events=1))
    return bool(last) and last[0].id == session.events[-1].id


async def events(client: AsyncChatkeep, chat: Chat, config: GetSessionConfig) -> list[Event]:
    """The events of a chat as it was read: all of them, or from the end backwards as many as `config` wants."""
    if chat.head_id is None or config.num_recent_events == 0:
        return []
    wanted, since = config.num_recent_events, config.after_timestamp
    everything = wanted is None and since is None
    read: list[Event] = []
    # A page has at most what is wanted: a long session costs what its end costs.
    items = client.messages.list(
        chat.chat_id,
        format=FORMAT,
        head=chat.head_id,
        order="asc" if everything else "desc",
        limit=min(wanted or MAX_PAGE, MAX_PAGE),
    )
    async for item in items:
        event = adk_session.event(item)
        if (wanted is not None and len(read) == wanted) or (since is not None and event.timestamp < since):
            break
        read.append(event)
    return read if everything else read[::-1]


def newest(all_events: list[Event], config: GetSessionConfig) -> list[Event]:
    """Of all events, those that `events` would have read."""
    since = config.after_timestamp
    first = len(all_events) if config.num_recent_events is not None else 0
    first -= config.num_recent_events or 0
    if since is not None:
        before = (place for place in range(len(all_events) - 1, -1, -1) if all_events[place].timestamp < since)
        first = max(first, next(before, -1) + 1)
    return all_events[max(first, 0) :]


async def not_handed_on(client: AsyncChatkeep, chat: Chat) -> adk_session.Scopes:
    """What a session says of the app's and the user's state since that was last noted to be there."""
    later = adk_session.due(chat)
    if chat.head_id is not None:
        noted = adk_session.told(chat).get("seq", 0)
        tail = client.messages.list(chat.chat_id, format=FORMAT, head=chat.head_id, after_seq=noted, limit=MAX_PAGE)
        async for item in tail:
            delta = adk_session.scopes(adk_session.plain(adk_session.event(item).actions.state_delta))
            later.app.update(delta.app)
            later.user.update(delta.user)
    return later
