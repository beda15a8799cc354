"""Session service of Google ADK that stores its sessions in Chatkeep, for runners on any number of machines.

Needs `chatkeep[adk]`. A session is a chat, its events are messages, in `format=adk`: see `adk_session`.
"""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any, Self
from uuid import uuid4
from weakref import WeakValueDictionary

from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.sessions.base_session_service import BaseSessionService, GetSessionConfig, ListSessionsResponse
from google.adk.sessions.session import Session

from chatkeep import AsyncChatkeep, ChatkeepError, Conflict, Forbidden, NotFound, adk_chats, adk_session
from chatkeep.adk_chats import FORMAT, MAX_PAGE
from chatkeep.adk_session import PLATFORM, ScopedState, SessionKey, chat_key, chat_ref
from chatkeep.cancellation import wait_through_cancellation
from chatkeep.models.chats import Chat

# For how long a process that died during an append can block the others, in seconds.
TURN_SECONDS = 5
# How many sessions of a list are read at a time, where their metadata have no current checkpoint.
MAX_CONCURRENT_READS = 8
_log = logging.getLogger(__name__)

_STALE = (
    "The session has been modified in storage since it was loaded. "
    "Please reload the session before appending more events."
)


class ChatkeepSessionService(BaseSessionService):
    """Sessions of ADK that are chats of Chatkeep.

    Any number of services, in threads, processes and machines, may use the same sessions: an event is appended only
    where the session has no other new events since it was loaded, else StaleSessionError is raised. An event and its
    delta of the session's state are stored in one step; the app's and the user's state follow, at the latest when the
    session is read again. A call that is cancelled while it writes waits for the outcome before it raises.

    Args:
        client: the client to use, which is not closed here. By default one for CHATKEEP_URL and CHATKEEP_KEY.
        per_user: False: all sessions are chats of the user whom the client acts for, and ADK's `user_id` only part of
            their names; so nothing that comes as a `user_id` reaches anybody else's chats. True: ADK's `user_id` is
            Chatkeep's, who then sees their sessions among their own chats; the client's key must be a service key,
            and `user_id` what you have checked. The app's state stays with the client's own user, and sessions cannot
            be listed without a user.
        patience: how long an append waits for another one's turn in the same session, in seconds; then it raises
            Conflict, as it does while a program of yours holds the turn.
    """

    def __init__(self, client: AsyncChatkeep | None = None, *, per_user: bool = False, patience: float = 30.0) -> None:
        self._owns_client = client is None
        self._client = client or AsyncChatkeep()
        self._per_user = per_user
        self._patience = patience
        self._locks: WeakValueDictionary[tuple[Any, ...], asyncio.Lock] = WeakValueDictionary()

    async def create_session(
        self, *, app_name: str, user_id: str, state: dict[str, Any] | None = None, session_id: str | None = None
    ) -> Session:
        """Creates a session. Raises AlreadyExistsError where there is one of this id."""
        key = SessionKey(app_name, user_id, (session_id or "").strip() or str(uuid4()))
        initial = adk_session.split_state(adk_session.json_state(state or {}))
        client, now = self._client_for(user_id), time.time()
        metadata = adk_session.initial_metadata(key, initial, now)
        try:
            chat = await client.chats.create(key=chat_key("adk", *key), platform=PLATFORM, metadata=metadata)
        except Conflict:
            raise AlreadyExistsError(f"Session with id {key.session_id} already exists.") from None
        if initial.app or initial.user:
            await self._update_shared_state(key, initial)
            await client.chats.patch(chat.chat_id, metadata={"adk": {"due": None}})
        shared = await self._shared_state(key)
        return _session(chat, key, shared._replace(session=initial.session), now, [])

    async def get_session(
        self, *, app_name: str, user_id: str, session_id: str, config: GetSessionConfig | None = None
    ) -> Session | None:
        """A session with its events, limited by `config`; None where there is none."""
        key = SessionKey(app_name, user_id, session_id.strip())
        chat, shared = await asyncio.gather(
            adk_chats.find_chat(self._client_for(user_id), chat_ref("adk", *key)), self._shared_state(key)
        )
        try:
            return None if chat is None else await self._load(chat, key, shared, config or GetSessionConfig())
        except NotFound:
            # Deleted meanwhile.
            return None

    async def list_sessions(self, *, app_name: str, user_id: str | None = None) -> ListSessionsResponse:
        """The sessions of a user, or of all users of the app, with their state and without events."""
        if user_id is None and self._per_user:
            raise ValueError("With per_user, the sessions of each user are their own: say whose to list.")
        client = self._client if user_id is None else self._client_for(user_id)
        filters = {"adk_app": app_name} | ({} if user_id is None else {"adk_user": user_id})
        # In an order that does not change while it is read.
        pages = client.chats.list(metadata=filters, order_by="created_at", order="asc", limit=MAX_PAGE)
        chats = [(chat, key) async for chat in pages if (key := adk_session.session_key(chat)) is not None]
        sessions = await self._load_without_events(app_name, chats)
        sessions.sort(key=lambda session: (session.last_update_time, session.user_id, session.id))
        return ListSessionsResponse(sessions=sessions)

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Deletes a session for good, with its events. The state of its app and its user stays."""
        client = self._client_for(user_id)
        chat = await adk_chats.find_chat(client, chat_ref("adk", app_name, user_id, session_id.strip()))
        if chat is not None:
            with suppress(NotFound):
                await client.chats.delete(chat.chat_id, hard=True)

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """The user's state in the app; keys are without `user:`."""
        return await self._user_state(app_name, user_id)

    async def append_event(self, session: Session, event: Event) -> Event:
        """Appends an event to a session as it was loaded; one that it has already is not appended again.

        Raises StaleSessionError where the stored one has other new events, SessionNotFoundError where there is none.
        """
        if event.partial:
            return event
        # Parallel agents of one run share a session, and each may append after what the other has just appended.
        lock_key = (id(asyncio.get_running_loop()), session.app_name, session.user_id, session.id)
        async with self._locks.setdefault(lock_key, asyncio.Lock()):
            if any(stored.id == event.id and stored == event for stored in reversed(session.events)):
                return event
            self._apply_temp_state(session, event)
            event = self._trim_temp_delta_state(event)
            append = asyncio.ensure_future(self._append(session, event))
            cancelled = await wait_through_cancellation(append)
            if cancelled is not None and append.exception() is not None:
                raise cancelled
            session._storage_update_marker = append.result()
            session.last_update_time = event.timestamp
            event = self._commit_event_to_session(session, event)
            if cancelled is not None:
                raise cancelled
            return event

    async def close(self) -> None:
        """Closes the connections of a service that was made without a client."""
        if self._owns_client:
            await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def _load(self, chat: Chat, key: SessionKey, shared: ScopedState, config: GetSessionConfig) -> Session:
        """The session of a chat. `shared` is the app's and the user's state."""
        if not adk_session.is_up_to_date(chat):
            return await self._recover(key, config)
        state = shared._replace(session=adk_session.chat_state(chat))
        events = await adk_chats.load_events(self._client_for(key.user_id), chat, config)
        return _session(chat, key, state, adk_session.adk_metadata(chat)["updated"], events)

    async def _load_without_events(self, app_name: str, chats: list[tuple[Chat, SessionKey]]) -> list[Session]:
        """The sessions of chats, except those that are deleted meanwhile."""
        app_state = await self._app_state(app_name)
        limit = asyncio.Semaphore(MAX_CONCURRENT_READS)

        async def load_user_state(user_id: str) -> dict[str, Any]:
            async with limit:
                return await self._user_state(app_name, user_id)

        async def load(chat: Chat, key: SessionKey) -> Session | None:
            shared = ScopedState(app_state, user_states[key.user_id], {})
            async with limit:
                try:
                    return await self._load(chat, key, shared, GetSessionConfig(num_recent_events=0))
                except NotFound:
                    return None

        user_ids = sorted({key.user_id for _, key in chats})
        user_states = dict(zip(user_ids, await asyncio.gather(*map(load_user_state, user_ids)), strict=True))
        sessions = await asyncio.gather(*(load(chat, key) for chat, key in chats))
        return [session for session in sessions if session is not None]

    async def _recover(self, key: SessionKey, config: GetSessionConfig) -> Session:
        """A session whose checkpoint lacks its last event: its writer is not done or has died, or is another program.

        The checkpoint is written here, in the session's turn: so no state is applied that another service is about to
        apply.
        """
        client, ref = self._client_for(key.user_id), chat_ref("adk", *key)
        turn = await self._take_turn_to_recover(client, ref)
        try:
            chat = await client.chats.get(ref)
            if adk_session.is_up_to_date(chat):
                return await self._load(chat, key, await self._shared_state(key), config)
            events = await adk_chats.load_events(client, chat, GetSessionConfig())
            state, at = adk_session.replay(chat, events)
            pending = (await adk_chats.pending_state(client, chat))._replace(session=state)
            if turn is not None:
                await self._write_checkpoint(client, chat, key, pending, at, turn)
            shared = await self._shared_state(key)
            recovered = ScopedState(shared.app | pending.app, shared.user | pending.user, state)
            return _session(chat, key, recovered, at, adk_chats.select_events(events, config))
        finally:
            if turn is not None:
                with suppress(ChatkeepError):
                    await client.turns.release(ref, turn)

    async def _take_turn_to_recover(self, client: AsyncChatkeep, ref: str) -> int | None:
        """Takes a session's turn and returns its token.

        None where the session is up to date by then, where another program holds the turn, and where it may not write.
        """
        end = time.monotonic() + TURN_SECONDS + 1
        while True:
            try:
                return (await client.turns.take(ref, holder=PLATFORM, seconds=TURN_SECONDS)).token
            except Forbidden:
                return None
            except Conflict as error:
                # A program that holds the turn for itself is not waited for.
                if error.problem.get("holder") != PLATFORM or time.monotonic() > end:
                    return None
            await asyncio.sleep(0.01)
            if adk_session.is_up_to_date(await client.chats.get(ref)):
                return None

    async def _append(self, session: Session, event: Event) -> str:
        """Stores an event in the session's turn, which excludes other writers. Returns the new update marker."""
        client, key = self._client_for(session.user_id), SessionKey(session.app_name, session.user_id, session.id)
        ref = chat_ref("adk", *key)
        end, pause = time.monotonic() + self._patience, 0.005
        while True:
            try:
                turn = await client.turns.take(ref, holder=PLATFORM, seconds=TURN_SECONDS)
                try:
                    return await self._append_in_turn(client, key, session, event, turn.token)
                finally:
                    # It ends by itself as well.
                    with suppress(ChatkeepError):
                        await client.turns.release(ref, turn.token)
            except NotFound:
                raise SessionNotFoundError(f"Session {session.id} not found.") from None
            except Conflict:
                # Another's turn; or ours ended before the event was there, which then was not stored.
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, 0.2)

    async def _append_in_turn(
        self, client: AsyncChatkeep, key: SessionKey, session: Session, event: Event, turn: int
    ) -> str:
        chat = await client.chats.get(chat_ref("adk", *key))
        item = adk_session.event_to_item(event)
        if not await adk_chats.is_current(client, chat, session):
            last = await adk_chats.load_events(client, chat, GetSessionConfig(num_recent_events=1))
            if last and last[0].id == event.id and adk_session.event_to_item(last[0]) == item:
                # An earlier attempt has stored it, and its response was lost.
                return adk_chats.update_marker(chat.chat_id, chat.head_id)
            raise StaleSessionError(_STALE)
        message = await client.messages.append(chat.chat_id, item, format=FORMAT, turn=turn)
        delta = adk_session.state_delta(event)
        # The stored event has the delta: if this fails, the next reader of the session does it.
        try:
            await self._update_shared_state(key, delta)
            if adk_session.is_up_to_date(chat):
                checkpoint = adk_session.checkpoint(delta.session, message.message_id, message.seq, event.timestamp)
                await client.chats.patch(chat.chat_id, metadata={"adk": checkpoint}, turn=turn)
        except ChatkeepError as error:
            _log.warning("The state after event %s is not noted yet: %s", event.id, error)
        return adk_chats.update_marker(chat.chat_id, message.message_id)

    async def _write_checkpoint(
        self, client: AsyncChatkeep, chat: Chat, key: SessionKey, state: ScopedState, at: float, turn: int
    ) -> None:
        """Applies the pending deltas to the app's and the user's state, and stores the session's own state.

        Deltas that were applied already, just before a crash, are applied again, over later ones of other sessions.
        """
        seq = 0 if chat.head_id is None else (await client.messages.get(chat.chat_id, chat.head_id)).seq
        await self._update_shared_state(key, state)
        checkpoint = adk_session.checkpoint(state.session, adk_session.head_of(chat), seq, at)
        removed = {name: None for name in adk_session.adk_metadata(chat).get("state", {}) if name not in state.session}
        metadata = {**checkpoint, "state": {**checkpoint["state"], **removed}, "due": None}
        # If this fails, the next reader does it.
        with suppress(ChatkeepError):
            await client.chats.patch(
                chat.chat_id, metadata={**adk_session.name_metadata(key), "adk": metadata}, turn=turn
            )

    async def _shared_state(self, key: SessionKey) -> ScopedState:
        """The app's and the user's state."""
        app, user = await asyncio.gather(self._app_state(key.app_name), self._user_state(key.app_name, key.user_id))
        return ScopedState(app, user, {})

    async def _app_state(self, app_name: str) -> dict[str, Any]:
        return await adk_chats.load_state(self._client, chat_ref("adk-app", app_name))

    async def _user_state(self, app_name: str, user_id: str) -> dict[str, Any]:
        return await adk_chats.load_state(self._client_for(user_id), chat_ref("adk-user", app_name, user_id))

    async def _update_shared_state(self, key: SessionKey, delta: ScopedState) -> None:
        """Applies a delta to the app's and the user's state."""
        if delta.app:
            await adk_chats.update_state(self._client, chat_key("adk-app", key.app_name), delta.app)
        if delta.user:
            user_key = chat_key("adk-user", key.app_name, key.user_id)
            await adk_chats.update_state(self._client_for(key.user_id), user_key, delta.user)

    def _client_for(self, user_id: str) -> AsyncChatkeep:
        """The client that acts for a session's user."""
        return self._client.with_user(user_id) if self._per_user else self._client


def _session(chat: Chat, key: SessionKey, state: ScopedState, at: float, events: list[Event]) -> Session:
    session = Session(
        app_name=key.app_name,
        user_id=key.user_id,
        id=key.session_id,
        state=adk_session.merge_state(state),
        events=events,
        last_update_time=at,
    )
    session._storage_update_marker = adk_chats.update_marker(chat.chat_id, chat.head_id)
    return session


__all__ = ["ChatkeepSessionService"]
