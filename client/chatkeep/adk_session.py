"""How a session of Google ADK is kept in a chat: its key, its metadata, its events as items. Everything here is pure.

    metadata: {adk_app, adk_user, adk_session,
               adk: {initial, due?, state, head, seq, updated}}

An event is a message, and what it says of the state stays in it; so a session's state is what `initial` and its events
say one after the other. `state` is that, as far as the message `head`, whose number is `seq`: only a crash, or another
program that writes into the chat, leaves it behind the chat's own head. The state of an app, and that of a user, are in
chats of their own. Each value of a state is JSON as text: so a merge patch replaces it whole, and null is a value.
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
Names = tuple[str, str, str]
"""The app, the user and the session."""

PLATFORM = "adk"
MAX_KEY = 255
# What the service takes: see docs/messages.md.
_MAX_INTEGER = 2**53
_MAX_DEPTH = 48
_EXACT = "chatkeep_exact"


class Scopes(NamedTuple):
    """A state, or what is to change of it, by whose it is. Keys are without `app:` and `user:`; `temp:` is nobody's."""

    app: Json
    user: Json
    own: Json


def key(kind: str, *names: str) -> str:
    """A chat's key: what kind of chat it is for ADK, and the names that say which. No two have the same."""
    said = f"{kind}:" + ":".join(quote(name, safe="").replace("~", "%7E").replace("%", "~") for name in names)
    # No name has a `#`, which is escaped.
    return said if len(said) <= MAX_KEY else f"{kind}#{hashlib.sha256(said.encode()).hexdigest()}"


def scopes(state: Mapping[str, Any]) -> Scopes:
    """Takes a state apart."""
    found = Scopes({}, {}, {})
    for name, value in state.items():
        if name.startswith(State.APP_PREFIX):
            found.app[name.removeprefix(State.APP_PREFIX)] = value
        elif name.startswith(State.USER_PREFIX):
            found.user[name.removeprefix(State.USER_PREFIX)] = value
        elif not name.startswith(State.TEMP_PREFIX):
            found.own[name] = value
    return found


def merged(state: Scopes) -> Json:
    """A session's state as ADK has it, put together."""
    app = {State.APP_PREFIX + name: value for name, value in state.app.items()}
    user = {State.USER_PREFIX + name: value for name, value in state.user.items()}
    return {**state.own, **app, **user}


def plain(state: Mapping[str, Any]) -> Json:
    """A state as JSON's values; what JSON cannot say, such as a function, becomes a text that describes it."""
    try:
        value = to_jsonable_python(state)
    except PydanticSerializationError:
        value = to_jsonable_python(state, serialize_unknown=True)
    assert isinstance(value, dict)
    return value


def written(state: Mapping[str, Any]) -> dict[str, str]:
    """A state as it is kept: each value as JSON."""
    return {name: json.dumps(value) for name, value in state.items()}


def read(kept: Any) -> Json:
    """A state that is kept, as it was."""
    return {name: json.loads(value) for name, value in kept.items()} if isinstance(kept, dict) else {}


def state_of(chat: Chat) -> Json:
    """The state that a chat has in its metadata."""
    return read(told(chat).get("state"))


def told(chat: Chat) -> Json:
    """What a chat's metadata say of its session; nothing where another program has taken that away."""
    found = chat.metadata.get("adk")
    return found if isinstance(found, dict) else {}


def is_up_to_date(chat: Chat) -> bool:
    """Whether a chat's metadata say the state as of its last event, and nothing is due to the app or the user."""
    session = told(chat)
    return session.get("head") == head_of(chat) and "due" not in session


def head_of(chat: Chat) -> str:
    """The last event of a session; empty where there is none, since a merge patch cannot say null."""
    return chat.head_id or ""


def names(app_name: str, user_id: str, session_id: str) -> Json:
    """What a chat's metadata say it is, to be found by."""
    return {"adk_app": app_name, "adk_user": user_id, "adk_session": session_id}


def names_of(chat: Chat) -> Names | None:
    """The app, the user and the session that a chat is; None where another program has taken that away."""
    found = [chat.metadata.get(name) for name in ("adk_app", "adk_user", "adk_session")]
    app_name, user_id, session_id = (one if isinstance(one, str) else None for one in found)
    return None if app_name is None or user_id is None or session_id is None else (app_name, user_id, session_id)


def begun(named: Names, state: Scopes, at: float) -> Json:
    """The metadata of a session that begins with a state at a time, in seconds since 1970. What is due is handed on."""
    due = {"due": json.dumps([state.app, state.user])} if state.app or state.user else {}
    session = {"initial": json.dumps([state.own, at]), **due, **reached(state.own, "", 0, at)}
    return {**names(*named), "adk": session}


def reached(state: Mapping[str, Any], head: str, seq: int, at: float) -> Json:
    """What is noted of a session's state, or of what changed of it, as of the message `head`."""
    return {"state": written(state), "head": head, "seq": seq, "updated": at}


def initial(chat: Chat) -> tuple[Json, float]:
    """The state that a session began with, and when that was."""
    kept = told(chat).get("initial")
    if not isinstance(kept, str):
        return {}, chat.created_at.timestamp()
    state, at = json.loads(kept)
    return state, at


def due(chat: Chat) -> Scopes:
    """What a session began with that its app and its user are still to get."""
    kept = told(chat).get("due")
    app, user = json.loads(kept) if isinstance(kept, str) else ({}, {})
    return Scopes(app, user, {})


def folded(chat: Chat, events: Iterable[Event]) -> tuple[Json, float]:
    """A session's own state after all its events, and when the last of them was."""
    state, at = initial(chat)
    for event in events:
        state.update(scopes(plain(event.actions.state_delta)).own)
        at = event.timestamp
    return state, at


def item(event: Event) -> Json:
    """An event as an item of the format `adk`, which `event` reads again.

    Where it has what the service takes from nobody, such as integers beyond 2^53, NULs, or no author, that is replaced
    by what comes next to it, and the event stands in the item once more, as JSON text.
    """
    said: Json = event.model_dump(mode="json", exclude_none=True)
    taken = _taken(said, 0)
    if not event.author:
        taken = {**taken, "author": "assistant"}
    return said if taken is said else {**taken, _EXACT: json.dumps(said)}


def event(said: Json) -> Event:
    """The event that an item is."""
    exact = said.get(_EXACT)
    return Event.model_validate(json.loads(exact) if isinstance(exact, str) else said)


def _taken(value: Any, depth: int) -> Any:
    """A value as the service takes it: the same object where it takes it as it is."""
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
        members = [_taken(one, depth + 1) for one in value]
        return value if all(a is b for a, b in zip(members, value, strict=True)) else members
    fields = {_taken(name, depth): _taken(one, depth + 1) for name, one in value.items()}
    same = all(a is b and fields[a] is value[b] for a, b in zip(fields, value, strict=False))
    return value if same and len(fields) == len(value) else fields
