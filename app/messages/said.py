"""A stored message as what it says: its parts, its tool calls, and the results it brings."""

from dataclasses import dataclass
from typing import Any

import orjson

from app.messages.parts import Part, Refusal, Text, parts_of

Place = tuple[str, int] | None
"""Where in a message something stands: `("tool_calls", 0)`, `("content", 2)`, or None for the message as a whole."""

INSTRUCTING = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call. `arguments` is the text that the model wrote, JSON as a rule; `custom` marks a free-form tool."""

    id: str
    name: str
    arguments: str
    custom: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool call gave. `said` is the message it stands in; without a usable `call_id` that is empty."""

    call_id: str
    parts: tuple[Part, ...]
    is_error: bool
    place: Place
    said: "Said"


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """A message. `malformed` are the places of tool calls that have no id, no name or another shape."""

    message: dict[str, Any]
    parts: tuple[Part, ...] = ()
    calls: tuple[Call, ...] = ()
    results: tuple[Result, ...] = ()
    malformed: tuple[Place, ...] = ()

    @property
    def message_id(self) -> str:
        """The message's id."""
        return str(self.message["message_id"])

    @property
    def seq(self) -> int:
        """The message's place in the chat."""
        seq: int = self.message["seq"]
        return seq

    @property
    def role(self) -> str:
        """Who speaks."""
        return str(self.message["role"])


def said(message: dict[str, Any]) -> Said:
    """What a message (its JSON in the API) says. Nothing that it holds makes this fail."""
    content = message.get("content")
    match message["role"]:
        case "assistant":
            return _assistant(message, content)
        case "tool":
            spoken = Said(message)
            call_id = message.get("tool_call_id")
            result = Result(call_id if isinstance(call_id, str) else "", parts_of(content), False, None, spoken)
            return Said(message, results=(result,))
        case "user":
            return Said(message, parts_of(content), results=_results(message, content))
    return Said(message, tuple(part for part in parts_of(content) if isinstance(part, Text | Refusal)))


def _assistant(message: dict[str, Any], content: Any) -> Said:
    calls: list[Call] = []
    malformed: list[Place] = []
    tool_calls = message.get("tool_calls")
    for index, entry in enumerate(tool_calls if isinstance(tool_calls, list) else ()):
        call = _call(entry, ("tool_calls", index))
        if call is None:
            malformed.append(("tool_calls", index))
        else:
            calls.append(call)
    for index, entry in _blocks(content, "tool_use"):
        call = _call(entry, ("content", index))
        if call is None:
            malformed.append(("content", index))
        else:
            calls.append(call)
    return Said(message, parts_of(content), tuple(calls), malformed=tuple(malformed))


def _results(message: dict[str, Any], content: Any) -> tuple[Result, ...]:
    """The results that a user's message brings as Anthropic's blocks."""
    spoken = Said(message)
    found = []
    for index, block in _blocks(content, "tool_result"):
        call_id = block.get("tool_use_id")
        parts = parts_of(block.get("content"))
        failed = block.get("is_error") is True
        found.append(Result(call_id if isinstance(call_id, str) else "", parts, failed, ("content", index), spoken))
    return tuple(found)


def _blocks(content: Any, kind: str) -> list[tuple[int, dict[str, Any]]]:
    if not isinstance(content, list):
        return []
    return [(index, one) for index, one in enumerate(content) if isinstance(one, dict) and one.get("type") == kind]


def _call(entry: Any, place: Place) -> Call | None:
    """A tool call, in the shape of Chat Completions (function or custom), or flat with a name and its arguments."""
    if not isinstance(entry, dict):
        return None
    custom = entry.get("custom") if entry.get("type") == "custom" else None
    inner = custom if isinstance(custom, dict) else entry.get("function", entry)
    if not isinstance(inner, dict):
        return None
    call_id, name = entry.get("id") or entry.get("call_id"), inner.get("name")
    if not isinstance(call_id, str) or not isinstance(name, str) or not call_id or not name:
        return None
    given = next((inner[key] for key in ("arguments", "input", "args") if inner.get(key) is not None), None)
    return Call(call_id, name, _arguments(given, custom is inner), custom is inner, place)


def _arguments(given: Any, custom: bool) -> str:
    if given is None or given == "":
        return "" if custom else "{}"
    return given if isinstance(given, str) else orjson.dumps(given).decode()
