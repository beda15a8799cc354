"""A new message on its way in: what the client sent, and the columns that will hold it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from uuid_utils import uuid7

from app.db.timestamps import now, to_iso
from app.events.counter_deltas import MessageCounts, count_messages
from app.messages.schemas import DecodedMessage, MessageIn, MessageToAppend
from app.messages.serialize import EXTRAS


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that has everything but its chat and its seq.

    Attributes:
        content: its content as JSON; None where it has none.
        extras: those of `EXTRAS` that it has, by name.
        public: the message as it is answered, without what is known when it is stored: its chat, seq and parent.
        payload: what gives back the item that it was decoded from, see `app.codecs.decode_item`; None without one.
        status: `in_progress` where its text comes in chunks, else None.
    """

    message_id: str
    role: str
    type: str
    content: str | None
    created_at: datetime
    extras: dict[str, Any]
    public: dict[str, Any]
    payload: dict[str, Any] | None = None
    status: str | None = None

    @property
    def remembered(self) -> dict[str, Any]:
        """The message as idempotency keeps it: `public` and, if it has one, the payload."""
        return self.public if self.payload is None else self.public | {"payload": self.payload}

    @property
    def key(self) -> str | None:
        """The client's own id for it, if it has one."""
        return self.extras.get("key")

    def tokens(self) -> tuple[int, int, int]:
        """What the message adds to its chat's input, output and total tokens."""
        extras = self.extras
        if not extras:
            return 0, 0, 0
        return token_counts(extras.get("tokens"), extras.get("input_tokens"), extras.get("output_tokens"))


def new_message(message: MessageIn, at: datetime) -> NewMessage:
    """The new message of a request that arrived at the time `at`."""
    status = message.status if isinstance(message, MessageToAppend) else None
    fields = message.model_fields_set
    content = message.content
    message_id = str(uuid7())
    created_at = message.created_at or at
    extras = {name: value for name in EXTRAS if name in fields and (value := getattr(message, name)) is not None}
    public: dict[str, Any] = {"message_id": message_id, "role": message.role, "type": message.type}
    if "content" in fields:
        public["content"] = content
    public["created_at"] = to_iso(created_at)
    public |= extras
    if status is not None:
        public["status"] = status
    return NewMessage(
        message_id,
        message.role,
        message.type,
        to_json(content) if "content" in fields else None,
        created_at,
        extras,
        public,
        message.payload if isinstance(message, DecodedMessage) else None,
        status,
    )


def new_messages_of(messages: Iterable[MessageIn]) -> list[NewMessage]:
    """The new messages of a request that arrives now."""
    at = now()
    return [new_message(message, at) for message in messages]


def to_json(value: Any) -> str:
    """A JSON value as the text that is stored."""
    return orjson.dumps(value).decode()


def token_counts(tokens: int | None, input_tokens: int | None, output_tokens: int | None) -> tuple[int, int, int]:
    """What a message adds to its chat's input, output and total tokens.

    The total is `tokens` where the client gave that, else the sum of the two.
    """
    counts = (input_tokens or 0, output_tokens or 0)
    return (*counts, sum(counts) if tokens is None else tokens)


def sum_tokens(new_messages: Iterable[NewMessage]) -> tuple[int, int, int]:
    """The input, output and total tokens of several new messages."""
    totals = [0, 0, 0]
    for message in new_messages:
        for index, tokens in enumerate(message.tokens()):
            totals[index] += tokens
    return totals[0], totals[1], totals[2]


def message_counts(new_messages: Iterable[NewMessage]) -> list[MessageCounts]:
    """What new messages add to the counters."""
    return count_messages(
        (message.created_at, message.role, message.extras.get("model"), message.tokens()) for message in new_messages
    )
