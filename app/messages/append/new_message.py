"""A message on its way in: what the client said, and the columns that will hold it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from uuid_utils import uuid7

from app.db.types import iso
from app.events.counter_deltas import summed
from app.messages.schemas import DecodedMessage, MessageIn
from app.messages.serialize import EXTRAS


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that has everything but its chat and its seq.

    Attributes:
        content: its content as JSON; None where it has none.
        text: its plain text.
        extras: those of `EXTRAS` that it has, by name.
        public: the message as it is answered, without `chat_id` and `seq`.
        payload: what gives back the item that it was decoded from, see `app.codecs.decode_item`; None without one.
    """

    message_id: str
    role: str
    type: str
    content: str | None
    text: str
    created_at: datetime
    extras: dict[str, Any]
    public: dict[str, Any]
    payload: dict[str, Any] | None = None

    @property
    def remembered(self) -> dict[str, Any]:
        """The message as it is kept for retries: `public` and, if it has one, the payload."""
        return self.public if self.payload is None else self.public | {"payload": self.payload}

    def tokens(self) -> tuple[int, int, int]:
        """What the message adds to its chat's input, output and total tokens."""
        extras = self.extras
        if not extras:
            return 0, 0, 0
        return counted(extras.get("tokens"), extras.get("input_tokens"), extras.get("output_tokens"))


def new_message(message: MessageIn, at: datetime) -> NewMessage:
    """The draft of a message that arrives `at` this moment."""
    said = message.model_fields_set
    content = message.content
    message_id = str(uuid7())
    created_at = message.created_at or at
    extras = {name: value for name in EXTRAS if name in said and (value := getattr(message, name)) is not None}
    public: dict[str, Any] = {"message_id": message_id, "role": message.role, "type": message.type}
    if "content" in said:
        public["content"] = content
    public["created_at"] = iso(created_at)
    public |= extras
    return NewMessage(
        message_id,
        message.role,
        message.type,
        to_json(content) if "content" in said else None,
        plain_text(content),
        created_at,
        extras,
        public,
        message.payload if isinstance(message, DecodedMessage) else None,
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


def counts(new_messages: Iterable[NewMessage]) -> list[list[Any]]:
    """What drafts add to the counters, see `app.events.counter_deltas.summed`."""
    return summed((one.created_at, one.role, one.extras.get("model"), one.tokens()) for one in new_messages)


def totals(new_messages: Iterable[NewMessage]) -> tuple[int, int, int]:
    """The input, output and total tokens of several drafts."""
    sums = [0, 0, 0]
    for one in new_messages:
        for place, tokens in enumerate(one.tokens()):
            sums[place] += tokens
    return sums[0], sums[1], sums[2]
