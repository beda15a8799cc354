"""A stored message as what it says: its parts, its tool calls, and the results it brings."""

from dataclasses import dataclass, replace
from typing import Any

import orjson

from app.codecs.parts import Part, Refusal, Text, parts_of

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

    @property
    def type(self) -> str:
        """What kind of message it is: `message`, or a kind of its own, which only its own codec can say."""
        return str(self.message.get("type", "message"))


def said(message: dict[str, Any]) -> Said:
    """What a message (its JSON in the API) says. Nothing that it holds makes this fail."""
    content = message.get("content")
    match message["role"]:
        case "assistant":
            return _assistant(message, content)
        case "tool":
            blocks = () if message.get("tool_call_id") else _results(message, content)
            return Said(message, results=blocks or (_result(message, content),))
        case "user":
            return Said(message, parts_of(content), results=_results(message, content))
    return Said(message, tuple(part for part in parts_of(content) if isinstance(part, Text | Refusal)))


def steps(one: Said) -> list[Said]:
    """A message as the steps it was made in: in each, things are said, then tools called, then results come.

    Only an assistant's message that holds results of its own calls has several; a call that it holds no result of is in
    its last step. Where a library has one message for all of it, others need one for each step.
    """
    if not one.results or one.role != "assistant":
        return [one]
    found: list[Said] = []
    parts: list[Part] = []
    results: list[Result] = []
    own = {result.place: result for result in one.results}
    left = list(one.calls)

    def close() -> None:
        ids = [result.call_id for result in results]
        calls = [call for call in left if call.id in ids] if ids else []
        left[:] = [call for call in left if call not in calls]
        found.append(replace(one, parts=tuple(parts), calls=tuple(calls), results=tuple(results), malformed=()))
        parts.clear()
        results.clear()

    for index, block in enumerate(one.message["content"]):
        if (result := own.get(("content", index))) is not None:
            results.append(result)
        elif known := parts_of([block]):
            if results:
                close()
            parts += known
    close()
    if left:
        if found[-1].results:
            found.append(replace(one, parts=(), calls=tuple(left), results=(), malformed=()))
        else:
            found[-1] = replace(found[-1], calls=tuple(left))
    return found


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
    return Said(message, parts_of(content), tuple(calls), _results(message, content), tuple(malformed))


def _result(message: dict[str, Any], content: Any) -> Result:
    """The result that a tool's message is."""
    call_id = message.get("tool_call_id")
    return Result(call_id if isinstance(call_id, str) else "", parts_of(content), False, None, Said(message))


def _results(message: dict[str, Any], content: Any) -> tuple[Result, ...]:
    """The results that a message brings as blocks of its content, as Anthropic's do."""
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
