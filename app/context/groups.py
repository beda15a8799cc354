"""Message groups: what of a branch is sent to a model together or not at all."""

from dataclasses import dataclass, replace
from typing import Any

from app.codecs.canonical import CanonicalMessage, ToolCall, ToolResult, canonical_message
from app.codecs.parts import Part, Reasoning, Refusal, Text


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A tool call with its result. `message` is the one that calls."""

    message: CanonicalMessage
    call: ToolCall
    result: ToolResult


@dataclass(frozen=True, slots=True)
class Step:
    """What is said at once: parts, and calls that are answered directly after it."""

    parts: tuple[Part, ...]
    calls: tuple[AnsweredCall, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class MessageGroup:
    """A message, and if it calls tools, the messages with the results.

    Messages of an assistant that call tools one after the other, before any result comes, are one group, and one step:
    so are they where each call is an item of its own. A message that holds its own results may have several steps.
    """

    messages: tuple[CanonicalMessage, ...]
    steps: tuple[Step, ...]

    @property
    def role(self) -> str:
        """Who speaks."""
        return self.messages[0].role

    @property
    def is_user(self) -> bool:
        """Whether a turn can begin here."""
        return self.role == "user"

    @property
    def name(self) -> Any:
        """The name of who speaks, as it is stored."""
        return self.messages[0].fields.get("name")

    @property
    def calls(self) -> list[AnsweredCall]:
        """All calls with their results, in order."""
        return [call for step in self.steps for call in step.calls]

    @property
    def seqs(self) -> set[int]:
        """The numbers of its messages, those with the results included."""
        return {*(message.seq for message in self.messages), *(call.result.message.seq for call in self.calls)}


def sendable_message(fields: dict[str, Any]) -> CanonicalMessage:
    """A stored message without the parts that no provider takes: texts of white space alone, and reasoning."""
    message = canonical_message(fields)
    parts = sendable_parts(message.parts)
    if len(parts) < len(message.parts):
        message = replace(message, parts=parts)
    if not all(_is_sendable(part) for result in message.results for part in result.parts):
        results = (replace(result, parts=sendable_parts(result.parts)) for result in message.results)
        message = replace(message, results=tuple(results))
    return message


def sendable_parts(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts that providers take."""
    return tuple(filter(_is_sendable, parts))


def _is_sendable(part: Part) -> bool:
    match part:
        case Text(text) | Refusal(text):
            return bool(text.strip())
        case Reasoning():
            return False
    return True
