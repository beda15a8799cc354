"""A message on its way in: what the client said, and the columns that will hold it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from uuid_utils import uuid7

from app.db.types import iso
from app.messages.schemas import MessageIn


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that has everything but its chat and its seq.

    Attributes:
        columns: the values of `COLUMNS`, JSON as text.
        public: the message as it is answered, without `chat_id` and `seq`.
    """

    columns: tuple[Any, ...]
    public: dict[str, Any]
    input_tokens: int
    output_tokens: int
    total_tokens: int


COLUMNS = (
    "message_id",
    "role",
    "type",
    "content",
    "text",
    "tool_calls",
    "tool_call_id",
    "name",
    "model",
    "tokens",
    "input_tokens",
    "output_tokens",
    "metadata",
    "created_at",
)


def draft(message: MessageIn, at: datetime) -> Draft:
    """The draft of a message that arrives `at` this moment."""
    said = message.model_fields_set
    content = message.content
    created_at = at if message.created_at is None else message.created_at.astimezone(UTC)
    message_id = str(uuid7())
    public: dict[str, Any] = {"message_id": message_id, "role": message.role, "type": message.type}
    content_json = None
    if content is not None or "content" in said:
        public["content"] = content
        content_json = to_json(content)
    for name in _OPTIONAL:
        if name in said and (value := getattr(message, name)) is not None:
            public[name] = value
    public["created_at"] = iso(created_at)
    input_tokens, output_tokens, total_tokens = counted(message.tokens, message.input_tokens, message.output_tokens)
    columns = (
        message_id,
        message.role,
        message.type,
        content_json,
        plain_text(content),
        to_json(message.tool_calls) if message.tool_calls is not None else None,
        message.tool_call_id,
        message.name,
        message.model,
        message.tokens,
        message.input_tokens,
        message.output_tokens,
        to_json(message.metadata) if message.metadata is not None else None,
        created_at,
    )
    return Draft(columns, public, input_tokens, output_tokens, total_tokens)


_OPTIONAL = (
    "tool_calls",
    "tool_call_id",
    "name",
    "model",
    "tokens",
    "input_tokens",
    "output_tokens",
    "metadata",
)


def to_json(value: Any) -> str:
    """A JSON value as the text that is stored."""
    return orjson.dumps(value).decode()


def plain_text(content: Any) -> str:
    """The text of a content, for search and CSV: the content itself, or its parts' texts on lines of their own."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def counted(tokens: int | None, input_tokens: int | None, output_tokens: int | None) -> tuple[int, int, int]:
    """What a message adds to its chat's input, output and total tokens."""
    given = (input_tokens or 0, output_tokens or 0)
    return (*given, sum(given) if tokens is None else tokens)


def totals(drafts: Iterable[Draft]) -> tuple[int, int, int]:
    """The input, output and total tokens of several drafts."""
    sums = [0, 0, 0]
    for one in drafts:
        sums[0] += one.input_tokens
        sums[1] += one.output_tokens
        sums[2] += one.total_tokens
    return sums[0], sums[1], sums[2]
