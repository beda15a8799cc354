"""Canonical message: a stored message as its parts, its tool calls and the results it holds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from app.codecs.parts import Part, Refusal, Text, parse_parts
from app.codecs.values import Json, as_text, parse_json_object, string_or_none

Position = tuple[str, int] | None
"""Where in a message something stands: `("tool_calls", 0)`, `("content", 2)`, or None for the message as a whole."""

INSTRUCTION_ROLES = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call. `arguments` is the text that the model wrote, usually JSON; `custom` marks a free-form tool."""

    id: str
    name: str
    arguments: str
    custom: bool
    position: Position

    def arguments_object(self) -> Json:
        """The arguments for codecs that take only an object; anything else becomes the one member of an object."""
        if self.custom:
            return {"input": self.arguments}
        arguments = parse_json_object(self.arguments)
        return {"arguments": self.arguments} if arguments is None else arguments


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool call. `message` is the one that holds it; `call_id` is empty where there is none to use."""

    call_id: str
    parts: tuple[Part, ...]
    is_error: bool
    position: Position
    message: "CanonicalMessage"

    @property
    def tool_name(self) -> str | None:
        """The name of the tool, where the message has it."""
        fields = self.message.fields
        return string_or_none((fields if self.position is None else fields["content"][self.position[1]]).get("name"))


@dataclass(frozen=True, slots=True, eq=False)
class CanonicalMessage:
    """A message in a form that every codec can encode.

    Attributes:
        fields: the message as it is stored, its JSON in the API.
        malformed: positions of tool calls that have no id, no name or another shape.
    """

    fields: Json
    parts: tuple[Part, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    malformed: tuple[tuple[str, int], ...] = ()

    @property
    def message_id(self) -> str:
        """The message's id."""
        return str(self.fields["message_id"])

    @property
    def seq(self) -> int:
        """The message's number in its chat."""
        seq: int = self.fields["seq"]
        return seq

    @property
    def role(self) -> str:
        """Who speaks."""
        return str(self.fields["role"])

    @property
    def type(self) -> str:
        """`message`, or a type that only the codec it came in can encode."""
        return str(self.fields.get("type", "message"))


def canonical_message(fields: Json) -> CanonicalMessage:
    """The canonical form of a stored message (its JSON in the API). Nothing that it holds makes this fail."""
    content = fields.get("content")
    match fields["role"]:
        case "assistant":
            return _assistant_message(fields, content)
        case "tool":
            results = () if fields.get("tool_call_id") else _result_blocks(fields, content)
            return CanonicalMessage(fields, results=results or (_message_result(fields, content),))
        case "user":
            return CanonicalMessage(fields, parse_parts(content), results=_result_blocks(fields, content))
    return CanonicalMessage(fields, tuple(part for part in parse_parts(content) if isinstance(part, Text | Refusal)))


def split_steps(message: CanonicalMessage) -> list[CanonicalMessage]:
    """Splits a message into the steps it was made in: each has parts, then tool calls, then their results.

    Only an assistant's message that holds results of its own calls has several. Some libraries have one message for all
    of it, others need one for each step. Calls without a result in the message are in its last step.
    """
    if not message.results or message.role != "assistant":
        return [message]
    steps: list[CanonicalMessage] = []
    parts: list[Part] = []
    results: list[ToolResult] = []
    by_position = {result.position: result for result in message.results}
    open_calls = list(message.calls)

    def close_step() -> None:
        ids = [result.call_id for result in results]
        calls = [call for call in open_calls if call.id in ids] if ids else []
        open_calls[:] = [call for call in open_calls if call not in calls]
        steps.append(replace(message, parts=tuple(parts), calls=tuple(calls), results=tuple(results), malformed=()))
        parts.clear()
        results.clear()

    for index, block in enumerate(message.fields["content"]):
        if (result := by_position.get(("content", index))) is not None:
            results.append(result)
        elif block_parts := parse_parts([block]):
            if results:
                close_step()
            parts += block_parts
    close_step()
    if open_calls:
        if steps[-1].results:
            steps.append(replace(message, parts=(), calls=tuple(open_calls), results=(), malformed=()))
        else:
            steps[-1] = replace(steps[-1], calls=tuple(open_calls))
    return steps


def encode_steps(
    message: CanonicalMessage,
    encode_speech: Callable[[CanonicalMessage], Json],
    encode_results: Callable[[CanonicalMessage], list[Json]],
) -> list[Json]:
    """Encodes a message for formats in which results are items of their own.

    Args:
        message: the message.
        encode_speech: gives one item for the parts and calls of a message or of a step.
        encode_results: gives the items for its results: they come after an assistant's calls, and before what others
            say with them.
    """
    items: list[Json] = []
    is_message = message.type == "message"
    if message.role == "assistant":
        for step in split_steps(message):
            if step.parts or step.calls or (not step.results and is_message):
                items.append(encode_speech(step))
            if step.results:
                items += encode_results(step)
        return items
    if message.results:
        items += encode_results(message)
    if message.parts or (not items and is_message):
        items.append(encode_speech(message))
    return items


def _assistant_message(fields: Json, content: Any) -> CanonicalMessage:
    calls: list[ToolCall] = []
    malformed: list[tuple[str, int]] = []
    tool_calls = fields.get("tool_calls")
    entries = [("tool_calls", *entry) for entry in enumerate(tool_calls if isinstance(tool_calls, list) else ())]
    entries += [("content", *entry) for entry in _blocks(content, "tool_use")]
    for name, index, entry in entries:
        call = _parse_call(entry, (name, index))
        if call is None:
            malformed.append((name, index))
        else:
            calls.append(call)
    results = _result_blocks(fields, content)
    return CanonicalMessage(fields, parse_parts(content), tuple(calls), results, tuple(malformed))


def _message_result(fields: Json, content: Any) -> ToolResult:
    """The result that a message of role `tool` is."""
    call_id = fields.get("tool_call_id")
    message = CanonicalMessage(fields)
    return ToolResult(call_id if isinstance(call_id, str) else "", parse_parts(content), False, None, message)


def _result_blocks(fields: Json, content: Any) -> tuple[ToolResult, ...]:
    """The results that a message holds as blocks of its content, as Anthropic's do."""
    message = CanonicalMessage(fields)
    results = []
    for index, block in _blocks(content, "tool_result"):
        call_id = block.get("tool_use_id")
        parts = parse_parts(block.get("content"))
        failed = block.get("is_error") is True
        position = ("content", index)
        results.append(ToolResult(call_id if isinstance(call_id, str) else "", parts, failed, position, message))
    return tuple(results)


def _blocks(content: Any, kind: str) -> list[tuple[int, Json]]:
    blocks = enumerate(content if isinstance(content, list) else ())
    return [(index, block) for index, block in blocks if isinstance(block, dict) and block.get("type") == kind]


def _parse_call(entry: Any, position: Position) -> ToolCall | None:
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
    arguments = next((inner[key] for key in ("arguments", "input", "args") if inner.get(key) is not None), None)
    is_custom = custom is inner
    if arguments is None or arguments == "":
        arguments = "" if is_custom else "{}"
    return ToolCall(call_id, name, as_text(arguments), is_custom, position)
