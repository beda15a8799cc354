"""A session service of Google ADK that keeps its sessions in Chatkeep: runners remember, on any number of machines.

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
from chatkeep.adk_session import PLATFORM, Names, Scopes
from chatkeep.models.chats import Chat
from chatkeep.settling import settle

# For how long a process that died amid an append can hold up the others, in seconds.
TURN_SECONDS = 5
# How many sessions of a list are read at a time, where their metadata do not say their state.
AT_ONCE = 8
_log = logging.getLogger(__name__)

_STALE = (
    "The session has been modified in storage since it was loaded. "
    "Please reload the session before appending more events."
)


class ChatkeepSessionService(BaseSessionService):
    """Sessions of ADK that are chats of Chatkeep.

    It works with any number of others, in threads, processes and machines, on the same sessions: an event is appended
    only where the session has not gone on since it was loaded, else StaleSessionError says so. An event and what it
    says of the state are stored in one step; the app's and the user's state follow, at the latest when the session is
    read again. A call that is cancelled once it writes waits for the outcome before it raises.

    Args:
        client: the client to use, which is not closed here. Unsaid: one for CHATKEEP_URL and CHATKEEP_KEY.
        per_user: False: all sessions are chats of the user whom the client acts for, and ADK's `user_id` only part of
            their names; so nothing that comes as a `user_id` reaches anybody else's chats. True: ADK's `user_id` is
            Chatkeep's, who then sees their sessions among their own chats; the client's key must be a service key,
            and `user_id` what you have checked. The app's state stays with the client's own user, and sessions cannot
            be listed without a user.
        patience: how long an append waits for another one's turn in the same session, in seconds; then it raises
            Conflict, as it does while a program of yours holds the turn.
    """

    def __init__(self, client: AsyncChatkeep | None = None, *, per_user: bool = False, patience: float = 30.0) -> None:
        self._is_its_own = client is None
        self._client = client or AsyncChatkeep()
        self._per_user = per_user
        self._patience = patience
        self._locks: WeakValueDictionary[tuple[Any, ...], asyncio.Lock] = WeakValueDictionary()

    async def create_session(
        self, *, app_name: str, user_id: str, state: dict[str, Any] | None = None, session_id: str | None = None
    ) -> Session:
        """A new session. Raises AlreadyExistsError where there is one of this id."""
        session_id = (session_id or "").strip() or str(uuid4())
        begins = adk_session.scopes(adk_session.plain(state or {}))
        return await self._create(app_name, user_id, session_id, begins)

    async def get_session(
        self, *, app_name: str, user_id: str, session_id: str, config: GetSessionConfig | None = None
    ) -> Session | None:
        """A session with its events, or with the newest of them as `config` says; None where there is none."""
        return await self._get(app_name, user_id, session_id.strip(), config or GetSessionConfig())

    async def list_sessions(self, *, app_name: str, user_id: str | None = None) -> ListSessionsResponse:
        """The sessions of a user, or of all users of the app, with their state and without events."""
        if user_id is None and self._per_user:
            raise ValueError("With per_user, the sessions of each user are their own: say whose to list.")
        return ListSessionsResponse(sessions=await self._list(app_name, user_id))

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Deletes a session for good, with its events. The state of its app and its user stays."""
        await self._delete(app_name, user_id, session_id.strip())

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """The user's state in the app; keys are without `user:`."""
        return await self._user_state(app_name, user_id)

    async def append_event(self, session: Session, event: Event) -> Event:
        """Appends an event to a session as it was loaded; one that it has already is not appended again.

        Raises StaleSessionError where the stored one has gone on since, SessionNotFoundError where there is none.
        """
        if event.partial:
            return event
        # Branches of one run share a session, and each may follow what the other has just appended.
        names = (id(asyncio.get_running_loop()), session.app_name, session.user_id, session.id)
        async with self._locks.setdefault(names, asyncio.Lock()):
            if any(one.id == event.id and one == event for one in reversed(session.events)):
                return event
            self._apply_temp_state(session, event)
            event = self._trim_temp_delta_state(event)
            storing = asyncio.ensure_future(self._append(session, event))
            cancelled = await settle(storing)
            if cancelled is not None and storing.exception() is not None:
                raise cancelled
            session._storage_update_marker = storing.result()
            session.last_update_time = event.timestamp
            event = self._commit_event_to_session(session, event)
            if cancelled is not None:
                raise cancelled
            return event

    async def close(self) -> None:
        """Closes the connections of a service that was made without a client."""
        if self._is_its_own:
            await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def _create(self, app_name: str, user_id: str, session_id: str, begins: Scopes) -> Session:
        client, now, names = self._of(user_id), time.time(), (app_name, user_id, session_id)
        metadata = adk_session.begun(names, begins, now)
        try:
            chat = await client.chats.create(key=adk_session.key("adk", *names), platform=PLATFORM, metadata=metadata)
        except Conflict:
            raise AlreadyExistsError(f"Session with id {session_id} already exists.") from None
        if begins.app or begins.user:
            await self._hand_on(app_name, user_id, begins)
            await client.chats.patch(chat.chat_id, metadata={"adk": {"due": None}})
        app, user = await asyncio.gather(self._app_state(app_name), self._user_state(app_name, user_id))
        return _session(chat, names, Scopes(app, user, begins.own), now, [])

    async def _get(self, app_name: str, user_id: str, session_id: str, config: GetSessionConfig) -> Session | None:
        names = (app_name, user_id, session_id)
        chat, app, user = await asyncio.gather(
            adk_chats.found(self._of(user_id), _place("adk", *names)),
            self._app_state(app_name),
            self._user_state(app_name, user_id),
        )
        try:
            return None if chat is None else await self._session(chat, names, Scopes(app, user, {}), config)
        except NotFound:
            # Deleted meanwhile.
            return None

    async def _session(self, chat: Chat, names: Names, shared: Scopes, config: GetSessionConfig) -> Session:
        """The session that a chat is."""
        if not adk_session.is_up_to_date(chat):
            return await self._recovered(names, config)
        own, at = adk_session.state_of(chat), adk_session.told(chat)["updated"]
        events = await adk_chats.events(self._of(names[1]), chat, config)
        return _session(chat, names, Scopes(shared.app, shared.user, own), at, events)

    async def _recovered(self, names: Names, config: GetSessionConfig) -> Session:
        """A session whose last event is not noted: the one who writes is amid that, has died, or is another program.

        It is noted here, in the session's turn: so nothing is handed on that another service is about to hand on.
        """
        client, place = self._of(names[1]), _place("adk", *names)
        turn = await self._turn_to_recover(client, place)
        try:
            chat = await client.chats.get(place)
            if adk_session.is_up_to_date(chat):
                shared = Scopes(await self._app_state(names[0]), await self._user_state(*names[:2]), {})
                return await self._session(chat, names, shared, config)
            events = await adk_chats.events(client, chat, GetSessionConfig())
            own, at = adk_session.folded(chat, events)
            later = await adk_chats.not_handed_on(client, chat)
            if turn is not None:
                await self._catch_up(client, chat, names, Scopes(later.app, later.user, own), at, turn)
            app, user = await asyncio.gather(self._app_state(names[0]), self._user_state(*names[:2]))
            state = Scopes(app | later.app, user | later.user, own)
            return _session(chat, names, state, at, adk_chats.newest(events, config))
        finally:
            if turn is not None:
                with suppress(ChatkeepError):
                    await client.turns.release(place, turn)

    async def _turn_to_recover(self, client: AsyncChatkeep, place: str) -> int | None:
        """The token of a session's turn once it is free, or None where there is nothing to do, or it is not for us."""
        end = time.monotonic() + TURN_SECONDS + 1
        while True:
            try:
                return (await client.turns.take(place, holder=PLATFORM, seconds=TURN_SECONDS)).token
            except Forbidden:
                return None
            except Conflict as error:
                # A program that holds the turn for itself is not waited for.
                if error.problem.get("holder") != PLATFORM or time.monotonic() > end:
                    return None
            await asyncio.sleep(0.01)
            if adk_session.is_up_to_date(await client.chats.get(place)):
                return None

    async def _list(self, app_name: str, user_id: str | None) -> list[Session]:
        client = self._client if user_id is None else self._of(user_id)
        filters = {"adk_app": app_name} | ({} if user_id is None else {"adk_user": user_id})
        # In an order that nobody changes while it is read.
        found = client.chats.list(metadata=filters, order_by="created_at", order="asc", limit=MAX_PAGE)
        chats = [(chat, names) async for chat in found if (names := adk_session.names_of(chat)) is not None]
        app = await self._app_state(app_name)
        limit = asyncio.Semaphore(AT_ONCE)

        async def state(whose: str) -> dict[str, Any]:
            async with limit:
                return await self._user_state(app_name, whose)

        async def session(chat: Chat, names: Names) -> Session | None:
            shared = Scopes(app, users[names[1]], {})
            async with limit:
                try:
                    return await self._session(chat, names, shared, GetSessionConfig(num_recent_events=0))
                except NotFound:
                    return None

        whose = sorted({names[1] for _, names in chats})
        users = dict(zip(whose, await asyncio.gather(*map(state, whose)), strict=True))
        sessions = [one for one in await asyncio.gather(*(session(*one) for one in chats)) if one is not None]
        return sorted(sessions, key=lambda one: (one.last_update_time, one.user_id, one.id))

    async def _delete(self, app_name: str, user_id: str, session_id: str) -> None:
        client = self._of(user_id)
        chat = await adk_chats.found(client, _place("adk", app_name, user_id, session_id))
        if chat is not None:
            with suppress(NotFound):
                await client.chats.delete(chat.chat_id, hard=True)

    async def _append(self, session: Session, event: Event) -> str:
        """Stores an event in the session's turn, which nobody else can write in; gives what marks the session then."""
        client = self._of(session.user_id)
        place = _place("adk", session.app_name, session.user_id, session.id)
        end, pause = time.monotonic() + self._patience, 0.005
        while True:
            try:
                turn = await client.turns.take(place, holder=PLATFORM, seconds=TURN_SECONDS)
                try:
                    return await self._append_in_turn(client, place, session, event, turn.token)
                finally:
                    # It ends by itself as well.
                    with suppress(ChatkeepError):
                        await client.turns.release(place, turn.token)
            except NotFound:
                raise SessionNotFoundError(f"Session {session.id} not found.") from None
            except Conflict:
                # Another's turn; or it was over before the event was there, which then was not stored.
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, 0.2)

    async def _append_in_turn(
        self, client: AsyncChatkeep, place: str, session: Session, event: Event, turn: int
    ) -> str:
        chat = await client.chats.get(place)
        if not await adk_chats.is_current(client, chat, session):
            last = await adk_chats.events(client, chat, GetSessionConfig(num_recent_events=1))
            if last and last[0].id == event.id and adk_session.item(last[0]) == adk_session.item(event):
                # An earlier try has stored it, and its answer was lost.
                return adk_chats.marker(chat.chat_id, chat.head_id)
            raise StaleSessionError(_STALE)
        item = adk_session.item(event)
        message = await client.messages.append(chat.chat_id, item, format=FORMAT, turn=turn)
        delta = adk_session.scopes(adk_session.plain(event.actions.state_delta))
        # The event is stored, and says all of this itself: who reads the session next does what fails here.
        try:
            await self._hand_on(session.app_name, session.user_id, delta)
            if adk_session.is_up_to_date(chat):
                reached = adk_session.reached(delta.own, message.message_id, message.seq, event.timestamp)
                await client.chats.patch(chat.chat_id, metadata={"adk": reached}, turn=turn)
        except ChatkeepError as error:
            _log.warning("The state after event %s is not noted yet: %s", event.id, error)
        return adk_chats.marker(chat.chat_id, message.message_id)

    async def _catch_up(
        self, client: AsyncChatkeep, chat: Chat, names: Names, state: Scopes, at: float, turn: int
    ) -> None:
        """Hands on to the app and the user what is not handed on yet, and notes the session's own state.

        Where it was handed on already, just before a crash, it is so after what others have said of it since.
        """
        seq = 0 if chat.head_id is None else (await client.messages.get(chat.chat_id, chat.head_id)).seq
        await self._hand_on(names[0], names[1], state)
        reached = adk_session.reached(state.own, adk_session.head_of(chat), seq, at)
        gone = {name: None for name in adk_session.told(chat).get("state", {}) if name not in state.own}
        noted = {**reached, "state": {**reached["state"], **gone}, "due": None}
        # Who reads next does what fails.
        with suppress(ChatkeepError):
            await client.chats.patch(chat.chat_id, metadata={**adk_session.names(*names), "adk": noted}, turn=turn)

    async def _app_state(self, app_name: str) -> dict[str, Any]:
        return await adk_chats.state(self._client, _place("adk-app", app_name))

    async def _user_state(self, app_name: str, user_id: str) -> dict[str, Any]:
        return await adk_chats.state(self._of(user_id), _place("adk-user", app_name, user_id))

    async def _hand_on(self, app_name: str, user_id: str, delta: Scopes) -> None:
        """Changes what the app and the user have in common with other sessions."""
        if delta.app:
            await adk_chats.change(self._client, adk_session.key("adk-app", app_name), delta.app)
        if delta.user:
            await adk_chats.change(self._of(user_id), adk_session.key("adk-user", app_name, user_id), delta.user)

    def _of(self, user_id: str) -> AsyncChatkeep:
        """The client that acts for whom a session belongs to."""
        return self._client.with_user(user_id) if self._per_user else self._client


def _place(kind: str, *names: str) -> str:
    return f"key:{adk_session.key(kind, *names)}"


def _session(chat: Chat, names: Names, state: Scopes, at: float, events: list[Event]) -> Session:
    app_name, user_id, session_id = names
    merged = adk_session.merged(state)
    session = Session(
        app_name=app_name, user_id=user_id, id=session_id, state=merged, events=events, last_update_time=at
    )
    session._storage_update_marker = adk_chats.marker(chat.chat_id, chat.head_id)
    return session


__all__ = ["ChatkeepSessionService"]
