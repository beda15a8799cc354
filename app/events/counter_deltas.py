"""Counter deltas: what a write adds to its user's counters, one class for each kind.

They are stored with the write's change, as arrays of the kind and the fields in the order of the class, and consumers
add them up behind the writers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.driver import SessionReader
from app.db.timestamps import to_datetime
from app.models import Chat

TokenCounts = tuple[int, int, int]
"""Input tokens, output tokens, total."""
CountedFields = tuple[str, str | None, TokenCounts]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIME_BUCKET = timedelta(minutes=15)

# The bucket of `created_at` in SQL. Postgres stores the first and the last possible timestamp as infinities.
BUCKET_SQL = {
    "sqlite": (
        "(CAST(strftime('%s', substr(created_at, 1, 19)) AS INTEGER) "
        "- ((CAST(strftime('%s', substr(created_at, 1, 19)) AS INTEGER) % 900) + 900) % 900) / 900"
    ),
    "postgresql": (
        "CASE WHEN isfinite(created_at) THEN floor(extract(epoch FROM created_at) / 900)::bigint "
        "WHEN created_at > now() THEN 281558111 ELSE -69039552 END"
    ),
}


class MessageCounts(NamedTuple):
    """Messages of a time bucket, a role and a model, and their tokens; negative where they go.

    A bucket is a quarter of an hour: its number since 1970, in UTC.
    """

    bucket: int
    role: str
    model: str | None
    messages: int
    input_tokens: int
    output_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class MessagesDelta:
    """Messages of chats of a platform: `times` as many as the counts say."""

    kind: ClassVar[str] = "messages"

    platform: str | None
    counts: Sequence[MessageCounts]
    times: int = 1

    def to_json(self) -> list[Any]:
        """The array that is stored."""
        return [self.kind, self.platform, [list(row) for row in self.counts], self.times]


@dataclass(frozen=True, slots=True)
class ChatsDelta:
    """Chats of a platform: those created, those in use and those in the trash; negative where they are no longer.

    `bucket` is that of their creation; it may be None where none was created.
    """

    kind: ClassVar[str] = "chats"

    platform: str | None
    bucket: int | None
    created: int
    active: int
    deleted: int

    def to_json(self) -> list[Any]:
        """The array that is stored."""
        return [self.kind, self.platform, self.bucket, self.created, self.active, self.deleted]


@dataclass(frozen=True, slots=True)
class PlatformDelta:
    """A chat, with all that is in it, has the platform `new` in place of `old`."""

    kind: ClassVar[str] = "platform"

    old: str | None
    new: str | None
    active: int
    deleted: int
    messages: int
    input_tokens: int
    output_tokens: int
    total_tokens: int

    @property
    def totals(self) -> tuple[int, ...]:
        """What moves from one to the other: active and deleted chats, messages, and their tokens."""
        return self.active, self.deleted, self.messages, self.input_tokens, self.output_tokens, self.total_tokens

    def to_json(self) -> list[Any]:
        """The array that is stored."""
        return [self.kind, self.old, self.new, *self.totals]


@dataclass(frozen=True, slots=True)
class ShrunkDelta:
    """A chat that had so many messages has fewer now."""

    kind: ClassVar[str] = "shrunk"

    messages: int

    def to_json(self) -> list[Any]:
        """The array that is stored."""
        return [self.kind, self.messages]


CounterDelta = MessagesDelta | ChatsDelta | PlatformDelta | ShrunkDelta


def delta_from_json(array: Sequence[Any]) -> CounterDelta:
    """The delta of an array. Raises ValueError or TypeError where that is none."""
    kind, *values = array
    match kind:
        case MessagesDelta.kind:
            platform, counts, times = values
            return MessagesDelta(platform, [MessageCounts(*row) for row in counts], times)
        case ChatsDelta.kind:
            return ChatsDelta(*values)
        case PlatformDelta.kind:
            return PlatformDelta(*values)
        case ShrunkDelta.kind:
            return ShrunkDelta(*values)
    raise ValueError(f"no counter delta: {array!r}")


def bucket_of(timestamp: datetime) -> int:
    """The time bucket that a timestamp falls into."""
    return (to_datetime(timestamp) - _EPOCH) // TIME_BUCKET


def count_messages(messages: Iterable[tuple[datetime, str, str | None, TokenCounts]]) -> list[MessageCounts]:
    """The counts of new messages, each given by its timestamp, role, model and tokens."""
    rows: dict[tuple[int, str, str | None], list[int]] = {}
    for timestamp, role, model, tokens in messages:
        row = rows.setdefault((bucket_of(timestamp), role, model), [0, 0, 0, 0])
        row[0] += 1
        row[1] += tokens[0]
        row[2] += tokens[1]
        row[3] += tokens[2]
    return [MessageCounts(*key, *row) for key, row in rows.items()]


def message_update_deltas(
    platform: str | None, timestamp: datetime, before: CountedFields, after: CountedFields
) -> list[CounterDelta]:
    """The deltas of a message that was counted as `before` and is as `after`; none where they are the same."""
    if before == after:
        return []
    bucket = bucket_of(timestamp)
    (old_role, old_model, old_tokens), (new_role, new_model, new_tokens) = before, after
    gone = MessageCounts(bucket, old_role, old_model, -1, *(-tokens for tokens in old_tokens))
    return [MessagesDelta(platform, [gone, MessageCounts(bucket, new_role, new_model, 1, *new_tokens)])]


def chat_delta(chat: Chat, created: int, active: int, deleted: int) -> CounterDelta:
    """The delta of a chat that is created, and is now (1) or no longer (-1) active or in the trash."""
    return ChatsDelta(chat.platform, bucket_of(chat.created_at), created, active, deleted)


def platform_deltas(chat: Chat, old: str | None) -> list[CounterDelta]:
    """The deltas of a chat whose platform was `old`; none where it still is."""
    if chat.platform == old:
        return []
    state = (1, 0) if chat.deleted_at is None else (0, 1)
    counters = (chat.message_count, chat.input_tokens, chat.output_tokens, chat.total_tokens)
    return [PlatformDelta(old, chat.platform, *state, *counters)]


async def all_message_deltas(session: AsyncSession, chat: Chat, sign: int) -> list[CounterDelta]:
    """The deltas of all messages of a chat: `sign` is 1 where they are new, -1 where they go."""
    total = "coalesce(tokens, coalesce(input_tokens, 0) + coalesce(output_tokens, 0))"
    rows = await SessionReader(session).fetch(
        f"SELECT {BUCKET_SQL[session.get_bind().dialect.name]} AS bucket, role, model, count(*), "
        "CAST(sum(coalesce(input_tokens, 0)) AS bigint), CAST(sum(coalesce(output_tokens, 0)) AS bigint), "
        f"CAST(sum({total}) AS bigint) FROM messages WHERE user_id = $1 AND chat_id = $2 GROUP BY 1, 2, 3",
        chat.user_id,
        chat.chat_id,
    )
    counts = [MessageCounts(*row[:3], *(sign * number for number in row[3:])) for row in rows]
    return [MessagesDelta(chat.platform, counts)] if counts else []


def shrunk_deltas(messages_before: int) -> Sequence[CounterDelta]:
    """The deltas of a chat that had this many messages and has fewer now."""
    return [ShrunkDelta(messages_before)] if messages_before else []
