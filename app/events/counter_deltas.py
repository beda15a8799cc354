"""What a write adds to its user's counters. It stands in the write's change, and is added up behind the writers.

A list of:

- `["messages", platform, [[slot, role, model, messages, input, output, total], …]]`: messages of chats of a platform,
  and their tokens; less than nothing where they go
- `["chats", platform, slot, created, active, deleted]`: chats, and those of them that are not or are in the trash
- `["platform", old, new, active, deleted, messages, input, output, total]`: a chat, and all in it, has another platform
- `["shrunk", messages]`: a chat that had so many messages has fewer now

A slot is a quarter of an hour: its number since 1970, in UTC.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.driver import SessionReader
from app.db.timestamps import to_datetime
from app.models import Chat

Counts = list[Any]
Tokens = tuple[int, int, int]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SLOT = timedelta(minutes=15)

# The slot of a moment, in SQL. Postgres keeps the first and the last moment there is as infinities.
SLOT_SQL = {
    "sqlite": (
        "(CAST(strftime('%s', substr(created_at, 1, 19)) AS INTEGER) "
        "- ((CAST(strftime('%s', substr(created_at, 1, 19)) AS INTEGER) % 900) + 900) % 900) / 900"
    ),
    "postgresql": (
        "CASE WHEN isfinite(created_at) THEN floor(extract(epoch FROM created_at) / 900)::bigint "
        "WHEN created_at > now() THEN 281558111 ELSE -69039552 END"
    ),
}


def slot_of(moment: datetime) -> int:
    """The slot that a moment falls into."""
    return (to_datetime(moment) - _EPOCH) // SLOT


def summed(messages: Iterable[tuple[datetime, str, str | None, Tokens]]) -> list[list[Any]]:
    """The rows of `messages` that new ones make, each given by its moment, role, model and tokens."""
    rows: dict[tuple[int, str, str | None], list[int]] = {}
    for moment, role, model, tokens in messages:
        row = rows.setdefault((slot_of(moment), role, model), [0, 0, 0, 0])
        row[0] += 1
        row[1] += tokens[0]
        row[2] += tokens[1]
        row[3] += tokens[2]
    return [[*key, *row] for key, row in rows.items()]


def of_change(
    platform: str | None,
    moment: datetime,
    role: str,
    before: tuple[str | None, Tokens],
    after: tuple[str | None, Tokens],
) -> list[Counts]:
    """What it adds that the model and the tokens of a message are others than before; nothing where they are not."""
    if before == after:
        return []
    slot = slot_of(moment)
    rows = [[slot, role, before[0], -1, *(-tokens for tokens in before[1])], [slot, role, after[0], 1, *after[1]]]
    return [["messages", platform, rows]]


def of_chat(chat: Chat, created: int, active: int, deleted: int) -> Counts:
    """What it adds that a chat is created (1), comes to be where it was not (1), or is no longer there (-1)."""
    return ["chats", chat.platform, slot_of(chat.created_at), created, active, deleted]


def of_platform(chat: Chat, old: str | None) -> list[Counts]:
    """What it adds that a chat had another platform before; nothing where it had not."""
    if chat.platform == old:
        return []
    place = (1, 0) if chat.deleted_at is None else (0, 1)
    had = (chat.message_count, chat.input_tokens, chat.output_tokens, chat.total_tokens)
    return [["platform", old, chat.platform, *place, *had]]


async def of_all_messages(session: AsyncSession, chat: Chat, sign: int) -> list[Counts]:
    """What all messages of a chat add, or take away with the sign -1."""
    total = "coalesce(tokens, coalesce(input_tokens, 0) + coalesce(output_tokens, 0))"
    rows = await SessionReader(session).fetch(
        f"SELECT {SLOT_SQL[session.get_bind().dialect.name]} AS slot, role, model, count(*), "
        "CAST(sum(coalesce(input_tokens, 0)) AS bigint), CAST(sum(coalesce(output_tokens, 0)) AS bigint), "
        f"CAST(sum({total}) AS bigint) FROM messages WHERE user_id = $1 AND chat_id = $2 GROUP BY 1, 2, 3",
        chat.user_id,
        chat.chat_id,
    )
    if not rows:
        return []
    return [["messages", chat.platform, [[*row[:3], *(sign * number for number in row[3:])] for row in rows]]]


def shrunk(before: int) -> Sequence[Counts]:
    """What it adds that a chat with so many messages has fewer now."""
    return [["shrunk", before]] if before else []
