"""Counter deltas: what a write adds to its user's counters.

They are stored with the write's change, and consumers add them up behind the writers. A delta is one of:

- `["messages", platform, [[bucket, role, model, messages, input, output, total], …]]`: messages of chats of a platform,
  and their tokens; negative where they go
- `["chats", platform, bucket, created, active, deleted]`: chats, and those of them that are not or are in the trash
- `["platform", old, new, active, deleted, messages, input, output, total]`: a chat, and all in it, has another platform
- `["shrunk", messages]`: a chat that had so many messages has fewer now

A bucket is a quarter of an hour: its number since 1970, in UTC.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.driver import SessionReader
from app.db.timestamps import to_datetime
from app.models import Chat

CounterDelta = list[Any]
TokenCounts = tuple[int, int, int]
"""Input tokens, output tokens, total."""
ModelTokens = tuple[str | None, TokenCounts]

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


def bucket_of(timestamp: datetime) -> int:
    """The time bucket that a timestamp falls into."""
    return (to_datetime(timestamp) - _EPOCH) // TIME_BUCKET


def bucketed(messages: Iterable[tuple[datetime, str, str | None, TokenCounts]]) -> list[list[Any]]:
    """The rows of a `messages` delta for new messages, each given by its timestamp, role, model and tokens."""
    rows: dict[tuple[int, str, str | None], list[int]] = {}
    for timestamp, role, model, tokens in messages:
        row = rows.setdefault((bucket_of(timestamp), role, model), [0, 0, 0, 0])
        row[0] += 1
        row[1] += tokens[0]
        row[2] += tokens[1]
        row[3] += tokens[2]
    return [[*key, *row] for key, row in rows.items()]


def message_update_deltas(
    platform: str | None, timestamp: datetime, role: str, before: ModelTokens, after: ModelTokens
) -> list[CounterDelta]:
    """The deltas of a message whose model and tokens were `before` and are `after`; none where they are the same."""
    if before == after:
        return []
    bucket = bucket_of(timestamp)
    rows = [[bucket, role, before[0], -1, *(-tokens for tokens in before[1])], [bucket, role, after[0], 1, *after[1]]]
    return [["messages", platform, rows]]


def chat_delta(chat: Chat, created: int, active: int, deleted: int) -> CounterDelta:
    """The delta of a chat that is created, and is now (1) or no longer (-1) active or in the trash."""
    return ["chats", chat.platform, bucket_of(chat.created_at), created, active, deleted]


def platform_deltas(chat: Chat, old: str | None) -> list[CounterDelta]:
    """The deltas of a chat whose platform was `old`; none where it still is."""
    if chat.platform == old:
        return []
    state = (1, 0) if chat.deleted_at is None else (0, 1)
    counters = (chat.message_count, chat.input_tokens, chat.output_tokens, chat.total_tokens)
    return [["platform", old, chat.platform, *state, *counters]]


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
    if not rows:
        return []
    return [["messages", chat.platform, [[*row[:3], *(sign * number for number in row[3:])] for row in rows]]]


def shrunk_deltas(messages_before: int) -> Sequence[CounterDelta]:
    """The deltas of a chat that had this many messages and has fewer now."""
    return [["shrunk", messages_before]] if messages_before else []
