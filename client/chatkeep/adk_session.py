"""Mapping between a session of Google ADK and a chat: its key, its metadata, its events as items. Pure.

    metadata: {adk_app, adk_user, adk_session,
               adk: {initial, due?, state, head, seq, updated}}

An event is a message and keeps its state delta; so a session's state is `initial` with the deltas of its events applied
in order. The checkpoint is that state as of the message `head`, whose number is `seq`: only a crash, or another program
that writes into the chat, leaves it behind the chat's own head. `due` is the part of the initial state that the app's
and the user's state do not have yet: each of these is in a chat of its own. Each value of a state is JSON as text, so
that a merge patch replaces it whole, and null is a value.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from google.adk.events.event import Event
from google.adk.sessions.state import State
from pydantic_core import PydanticSerializationError, to_jsonable_python

from chatkeep.models.chats import Chat

Json = dict[str, Any]

PLATFORM = "adk"
MAX_KEY = 255
# What the service accepts: see docs/messages.md.
_MAX_INTEGER = 2**53
_MAX_DEPTH = 48
_EXACT_FIELD = "chatkeep_exact"


class SessionKey(NamedTuple):
    """What identifies a session for ADK."""

    app_name: str
    user_id: str
    session_id: str


class ScopedState(NamedTuple):
    """A state, or a delta of one, by scope. Keys are without `app:` and `user:`; `temp:` is left out."""

    app: Json
    user: Json
    session: Json


def chat_key(kind: str, *names: str) -> str:
    """A chat's key: the kind of chat, and the names that identify it. It is unique for these."""
    key = f"{kind}:" + ":".join(quote(name, safe="").replace("~", "%7E").replace("%", "~") for name in names)
    # A `#` in a name would be escaped, so a hashed key is never the key of other names.
    return key if len(key) <= MAX_KEY else f"{kind}#{hashlib.sha256(key.encode()).hexdigest()}"


def chat_ref(kind: str, *names: str) -> str:
    """The reference to a chat by its key."""
    return f"key:{chat_key(kind, *names)}"


def split_state(state: Mapping[str, Any]) -> ScopedState:
    """Splits a state, as ADK has it, by scope."""
    scopes = ScopedState({}, {}, {})
    for name, value in state.items():
        if name.startswith(State.APP_PREFIX):
            scopes.app[name.removeprefix(State.APP_PREFIX)] = value
        elif name.startswith(State.USER_PREFIX):
            scopes.user[name.removeprefix(State.USER_PREFIX)] = value
        elif not name.startswith(State.TEMP_PREFIX):
            scopes.session[name] = value
    return scopes


def merge_state(state: ScopedState) -> Json:
    """A session's state as ADK has it."""
    app = {State.APP_PREFIX + name: value for name, value in state.app.items()}
    user = {State.USER_PREFIX + name: value for name, value in state.user.items()}
    return {**state.session, **app, **user}


def json_state(state: Mapping[str, Any]) -> Json:
    """A state as JSON values; what JSON does not have, such as a function, becomes a text that describes it."""
    try:
        value = to_jsonable_python(state)
    except PydanticSerializationError:
        value = to_jsonable_python(state, serialize_unknown=True)
    assert isinstance(value, dict)
    return value


def state_delta(event: Event) -> ScopedState:
    """The state delta of an event."""
    return split_state(json_state(event.actions.state_delta))


def serialize_state(state: Mapping[str, Any]) -> dict[str, str]:
    """The stored form of a state: each value as JSON."""
    return {name: json.dumps(value) for name, value in state.items()}


def parse_state(stored: Any) -> Json:
    """The state of a stored form; an empty one where it is not an object."""
    return {name: json.loads(value) for name, value in stored.items()} if isinstance(stored, dict) else {}


def chat_state(chat: Chat) -> Json:
    """The state in a chat's metadata."""
    return parse_state(adk_metadata(chat).get("state"))


def adk_metadata(chat: Chat) -> Json:
    """A chat's `adk` metadata; empty where another program has removed it."""
    metadata = chat.metadata.get("adk")
    return metadata if isinstance(metadata, dict) else {}


def is_up_to_date(chat: Chat) -> bool:
    """Whether a chat's checkpoint has its last event, and nothing is due to the app or the user."""
    metadata = adk_metadata(chat)
    return metadata.get("head") == head_of(chat) and "due" not in metadata


def head_of(chat: Chat) -> str:
    """The last event of a session; empty where there is none, since a merge patch cannot store null."""
    return chat.head_id or ""


def name_metadata(key: SessionKey) -> Json:
    """The metadata that a session's chat is found by."""
    return {"adk_app": key.app_name, "adk_user": key.user_id, "adk_session": key.session_id}


def session_key(chat: Chat) -> SessionKey | None:
    """The session that a chat is; None where another program has removed that."""
    match [chat.metadata.get(name) for name in ("adk_app", "adk_user", "adk_session")]:
        case [str(app_name), str(user_id), str(session_id)]:
            return SessionKey(app_name, user_id, session_id)
    return None


def initial_metadata(key: SessionKey, state: ScopedState, at: float) -> Json:
    """The metadata of a session with this initial state. `at` is in seconds since 1970."""
    due = {"due": json.dumps([state.app, state.user])} if state.app or state.user else {}
    session = {"initial": json.dumps([state.session, at]), **due, **checkpoint(state.session, "", 0, at)}
    return {**name_metadata(key), "adk": session}


def checkpoint(state: Mapping[str, Any], head: str, seq: int, at: float) -> Json:
    """The `adk` metadata for a session's state, or for a delta of it, as of the message `head`."""
    return {"state": serialize_state(state), "head": head, "seq": seq, "updated": at}


def initial_state(chat: Chat) -> tuple[Json, float]:
    """The initial state of a session and its time, in seconds since 1970."""
    initial = adk_metadata(chat).get("initial")
    if not isinstance(initial, str):
        return {}, chat.created_at.timestamp()
    state, at = json.loads(initial)
    return state, at


def due_state(chat: Chat) -> ScopedState:
    """The part of a session's initial state that its app's and its user's state do not have yet."""
    due = adk_metadata(chat).get("due")
    app, user = json.loads(due) if isinstance(due, str) else ({}, {})
    return ScopedState(app, user, {})


def replay(chat: Chat, events: Iterable[Event]) -> tuple[Json, float]:
    """A session's own state after all its events, and the time of the last one, in seconds since 1970."""
    state, at = initial_state(chat)
    for event in events:
        state.update(state_delta(event).session)
        at = event.timestamp
    return state, at


def event_to_item(event: Event) -> Json:
    """An event as an item of the format `adk`, which `item_to_event` reads again.

    What the service refuses, such as integers beyond 2^53, NULs, or a missing author, is replaced by the nearest value
    that it accepts; the item then also has the exact event, as JSON text.
    """
    exact: Json = event.model_dump(mode="json", exclude_none=True)
    item = _sanitize(exact, 0)
    if not event.author:
        item = {**item, "author": "assistant"}
    return exact if item is exact else {**item, _EXACT_FIELD: json.dumps(exact)}


def item_to_event(item: Json) -> Event:
    """The event of an item."""
    exact = item.get(_EXACT_FIELD)
    return Event.model_validate(json.loads(exact) if isinstance(exact, str) else item)


def _sanitize(value: Any, depth: int) -> Any:
    """A value that the service accepts: the same object where it accepts it as it is."""
    if isinstance(value, bool | None):
        return value
    if isinstance(value, int):
        return value if -_MAX_INTEGER <= value <= _MAX_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        clean = value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        return value if clean == value else clean
    if depth == _MAX_DEPTH:
        return json.dumps(value)
    if isinstance(value, list):
        members = [_sanitize(member, depth + 1) for member in value]
        return value if all(a is b for a, b in zip(members, value, strict=True)) else members
    fields = {_sanitize(name, depth): _sanitize(member, depth + 1) for name, member in value.items()}
    same = all(a is b and fields[a] is value[b] for a, b in zip(fields, value, strict=False))
    return value if same and len(fields) == len(value) else fields
