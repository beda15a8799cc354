"""Reads and writes the chats that store Google ADK's sessions and states."""

from collections.abc import Mapping
from typing import Any

from google.adk.events.event import Event
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.session import Session

from chatkeep import AsyncChatkeep, NotFound, adk_session
from chatkeep.models.chats import Chat

FORMAT = "adk"
MAX_PAGE = 200


def update_marker(chat_id: str, head_id: str | None) -> str:
    """ADK's `_storage_update_marker`: it differs once a session has new events or was replaced by another one."""
    return f"{chat_id}/{head_id or ''}"


async def find_chat(client: AsyncChatkeep, chat_ref: str) -> Chat | None:
    """A chat; None where there is none."""
    try:
        return await client.chats.get(chat_ref)
    except NotFound:
        return None


async def load_state(client: AsyncChatkeep, chat_ref: str) -> dict[str, Any]:
    """The state that a chat stores; an empty one where there is no such chat."""
    chat = await find_chat(client, chat_ref)
    return {} if chat is None else adk_session.chat_state(chat)


async def update_state(client: AsyncChatkeep, key: str, delta: Mapping[str, Any]) -> None:
    """Sets values of a shared state. The service merges them, so that concurrent updates lose nothing."""
    metadata = {"adk": {"state": adk_session.serialize_state(delta)}}
    try:
        await client.chats.patch(f"key:{key}", metadata=metadata)
    except NotFound:
        await client.chats.get_or_create(key)
        await client.chats.patch(f"key:{key}", metadata=metadata)


async def is_current(client: AsyncChatkeep, chat: Chat, session: Session) -> bool:
    """Whether a session has all events that are stored of it."""
    marker = session._storage_update_marker
    if marker is not None:
        return marker == update_marker(chat.chat_id, chat.head_id)
    # A session that was made by hand, or by another service, has no marker: its last event tells.
    if not session.events:
        return chat.head_id is None
    last = await load_events(client, chat, GetSessionConfig(num_recent_events=1))
    return bool(last) and last[0].id == session.events[-1].id


async def load_events(client: AsyncChatkeep, chat: Chat, config: GetSessionConfig) -> list[Event]:
    """The events of a chat as of the head that was read, limited by `config`, in their order."""
    if chat.head_id is None or config.num_recent_events == 0:
        return []
    count, since = config.num_recent_events, config.after_timestamp
    everything = count is None and since is None
    events: list[Event] = []
    # From the end backwards unless all are asked for, so that a long session costs no more than its end.
    items = client.messages.list(
        chat.chat_id,
        format=FORMAT,
        head=chat.head_id,
        order="asc" if everything else "desc",
        limit=min(count or MAX_PAGE, MAX_PAGE),
    )
    async for item in items:
        event = adk_session.item_to_event(item)
        if (count is not None and len(events) == count) or (since is not None and event.timestamp < since):
            break
        events.append(event)
    return events if everything else events[::-1]


def select_events(events: list[Event], config: GetSessionConfig) -> list[Event]:
    """Those of all events that `load_events` would have read."""
    since = config.after_timestamp
    first = len(events) if config.num_recent_events is not None else 0
    first -= config.num_recent_events or 0
    if since is not None:
        before = (index for index in range(len(events) - 1, -1, -1) if events[index].timestamp < since)
        first = max(first, next(before, -1) + 1)
    return events[max(first, 0) :]


async def pending_state(client: AsyncChatkeep, chat: Chat) -> adk_session.ScopedState:
    """The deltas of the app's and the user's state since the checkpoint, which these may not have yet."""
    pending = adk_session.due_state(chat)
    if chat.head_id is not None:
        seq = adk_session.adk_metadata(chat).get("seq", 0)
        items = client.messages.list(chat.chat_id, format=FORMAT, head=chat.head_id, after_seq=seq, limit=MAX_PAGE)
        async for item in items:
            delta = adk_session.state_delta(adk_session.item_to_event(item))
            pending.app.update(delta.app)
            pending.user.update(delta.user)
    return pending
