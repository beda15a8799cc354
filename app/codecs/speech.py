"""A message as it is put together while an item is read, for codecs whose items hold many kinds of part."""

from dataclasses import dataclass, field
from typing import Any

from app.codecs import neutral
from app.codecs.media import Media
from app.codecs.neutral import Json
from app.codecs.said import Call, Result
from app.codecs.values import object_of, text_of


@dataclass(slots=True)
class Speech:
    """What an item says, part by part. `role` is who says it; `details` are fields of it, None where unsaid."""

    role: str
    parts: list[Json] = field(default_factory=list)
    calls: list[Json] = field(default_factory=list)
    details: Json = field(default_factory=dict)
    _unsaid: list[str] = field(default_factory=list)

    def text(self, text: Any) -> None:
        """Says a text; what is no text is not said."""
        if isinstance(text, str):
            self.parts.append({"type": "text", "text": text})

    def refusal(self, text: Any) -> None:
        """Says that the model refused."""
        if isinstance(text, str) and text:
            self.parts.append({"type": "refusal", "refusal": text})

    def reasoning(self, text: Any) -> None:
        """Says what the model thought."""
        if isinstance(text, str) and text:
            self.parts.append({"type": "reasoning", "text": text})

    def media(self, media: Media) -> None:
        """Shows an image, plays a recording or hands over a file."""
        if (part := media.part()) is not None:
            self.parts.append(part)

    def call(self, call_id: Any, name: Any, arguments: Any) -> None:
        """Calls a tool. `arguments` is JSON as text, or a value. Without an id the call is named as its tool is."""
        if isinstance(name, str) and name:
            given = text_of({} if arguments is None or arguments == "" else arguments)
            self.calls.append(neutral.function_call(_string(call_id) or name, name, given))

    def result(self, call_id: Any, name: Any, content: str | list[Json], *, is_error: bool = False) -> None:
        """Gives what a tool gave: a text or parts. Without an id of its call, it is that of the tool."""
        known = call_id if isinstance(call_id, str) else _string(name) or ""
        made = neutral.result(known, content, is_error=is_error)
        self.parts.append(made | ({"name": name} if _string(name) else {}))

    def unsaid(self, kind: Any) -> None:
        """Takes note of something that no message can say, by its kind."""
        self._unsaid.append(_string(kind) or "unknown")

    def message(self) -> Json:
        """The message. One that says nothing but what no message can say is of that type."""
        details = {name: value for name, value in self.details.items() if value is not None}
        if not self.parts and not self.calls:
            if self._unsaid:
                return neutral.message(self.role, (), type=self._unsaid[0][: neutral.LONGEST_TYPE]) | details
            return {"role": self.role, "content": ""} | details
        message = neutral.message(self.role, self.parts, self.calls)
        if "tool_call_id" in message and (name := neutral.short(self.parts[0].get("name"))):
            message["name"] = name
        return details | message


def tool_of(result: Result) -> str | None:
    """The name of the tool whose result it is, where the message says it."""
    if result.place is None:
        return _string(result.said.message.get("name"))
    block = result.said.message["content"][result.place[1]]
    return _string(block.get("name"))


def object_given(call: Call) -> Json:
    """What a call gives as an object, for codecs that have no other: what is none is its only member."""
    if call.custom:
        return {"input": call.arguments}
    given = object_of(call.arguments)
    return {"arguments": call.arguments} if given is None else given


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
