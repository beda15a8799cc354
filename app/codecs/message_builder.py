"""Message builder: collects what an item says, part by part, for codecs whose items have many kinds of parts."""

from dataclasses import dataclass, field
from typing import Any

from app.codecs.media import Media
from app.codecs.message_json import MAX_TYPE_LENGTH, build_message, function_call, short_name, tool_result
from app.codecs.values import Json, as_text, string_or_none


@dataclass(slots=True)
class MessageBuilder:
    """A message in the making. `role` is who speaks; `details` are further fields, None for those it does not have.

    The `add_` methods ignore values that are not of the type they need.
    """

    role: str
    parts: list[Json] = field(default_factory=list)
    calls: list[Json] = field(default_factory=list)
    details: Json = field(default_factory=dict)
    _unsupported: list[str] = field(default_factory=list)

    def add_text(self, text: Any) -> None:
        """Adds a text, which may be empty."""
        if isinstance(text, str):
            self.parts.append({"type": "text", "text": text})

    def add_refusal(self, text: Any) -> None:
        """Adds a refusal of the model."""
        if isinstance(text, str) and text:
            self.parts.append({"type": "refusal", "refusal": text})

    def add_reasoning(self, text: Any) -> None:
        """Adds what the model thought."""
        if isinstance(text, str) and text:
            self.parts.append({"type": "reasoning", "text": text})

    def add_media(self, media: Media) -> None:
        """Adds an image, a recording or a file."""
        if (part := media.to_part()) is not None:
            self.parts.append(part)

    def add_call(self, call_id: Any, name: Any, arguments: Any) -> None:
        """Adds a tool call. `arguments` is JSON as text, or a value. The tool's name stands in for a missing id."""
        if isinstance(name, str) and name:
            text = as_text({} if arguments is None or arguments == "" else arguments)
            self.calls.append(function_call(string_or_none(call_id) or name, name, text))

    def add_result(self, call_id: Any, name: Any, content: str | list[Json], *, is_error: bool = False) -> None:
        """Adds the result of a tool, a text or parts. The tool's name stands in for a missing id of its call."""
        known_id = call_id if isinstance(call_id, str) else string_or_none(name) or ""
        result = tool_result(known_id, content, is_error=is_error)
        self.parts.append(result | ({"name": name} if string_or_none(name) else {}))

    def add_unsupported(self, kind: Any) -> None:
        """Notes the kind of something that no message can say."""
        self._unsupported.append(string_or_none(kind) or "unknown")

    def build(self) -> Json:
        """The message. One of nothing but unsupported kinds has the first of them as its type."""
        details = {name: value for name, value in self.details.items() if value is not None}
        if not self.parts and not self.calls:
            if self._unsupported:
                return build_message(self.role, (), type=self._unsupported[0][:MAX_TYPE_LENGTH]) | details
            return {"role": self.role, "content": ""} | details
        message = build_message(self.role, self.parts, self.calls)
        if "tool_call_id" in message and (name := short_name(self.parts[0].get("name"))):
            message["name"] = name
        return details | message
