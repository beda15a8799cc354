"""Counter check: whether the counters agree with the chats and messages, in one snapshot of the database.

One statement for each user counts the messages, subtracts the counters, and returns only differences, however many
messages there are. Changes that are not aggregated yet make no difference: they are read from the feed.
"""

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from app.db.driver import Reader
from app.events.counter_deltas import BUCKET_SQL
from app.stats.deltas import TOTALS, CounterDeltas

# Of a user: where a counter is wrong, many time buckets may be, and a few of them are enough to see it.
MAX_DIFFERENCES = 100
_USERS_AT_ONCE = 200

_TOTAL_TOKENS = "coalesce(tokens, coalesce(input_tokens, 0) + coalesce(output_tokens, 0))"
_CHAT_COUNTS = "CASE WHEN deleted_at IS NULL THEN 1 ELSE 0 END, CASE WHEN deleted_at IS NULL THEN 0 ELSE 1 END"
_COUNT_COLUMNS = "messages, input_tokens, output_tokens, total_tokens"
_JSON = {"sqlite": "json_quote({})", "postgres": "coalesce(to_json({})::text, 'null')"}

_MESSAGE_COUNTS = f"""
SELECT chat_id, {{time_bucket}} AS time_bucket, role, model, count(*) AS messages,
    sum(coalesce(input_tokens, 0)) AS input_tokens, sum(coalesce(output_tokens, 0)) AS output_tokens,
    sum({_TOTAL_TOKENS}) AS total_tokens
FROM messages WHERE user_id = $1 GROUP BY 1, 2, 3, 4
"""
# TOTALS by kind and name, as counted from the messages and chats.
_ACTUAL_TOTALS = f"""
SELECT 'total' AS kind, '' AS name, 0 AS active_chats, 0 AS deleted_chats, {_COUNT_COLUMNS} FROM counted
UNION ALL SELECT 'role', {{role}}, 0, 0, {_COUNT_COLUMNS} FROM counted
UNION ALL SELECT 'model', {{model}}, 0, 0, {_COUNT_COLUMNS} FROM counted
UNION ALL SELECT 'platform', {{platform}}, 0, 0, m.messages, m.input_tokens, m.output_tokens, m.total_tokens
    FROM counted m JOIN chats c ON c.user_id = $1 AND c.chat_id = m.chat_id
UNION ALL SELECT 'time_bucket', CAST(time_bucket AS text), 0, 0, {_COUNT_COLUMNS} FROM counted
UNION ALL SELECT 'total', '', {_CHAT_COUNTS}, 0, 0, 0, 0 FROM chats WHERE user_id = $1
UNION ALL SELECT 'platform', {{platform}}, {_CHAT_COUNTS}, 0, 0, 0, 0 FROM chats WHERE user_id = $1
UNION ALL SELECT 'time_bucket', CAST({{time_bucket}} AS text), 1, 0, 0, 0, 0, 0 FROM chats WHERE user_id = $1
"""
_MINUS_COUNTERS = """
UNION ALL SELECT 'chat', CAST(chat_id AS text), 0, 0, messages, input_tokens, output_tokens, total_tokens FROM counted
UNION ALL SELECT 'chat', CAST(chat_id AS text), 0, 0, -message_count, -input_tokens, -output_tokens, -total_tokens
    FROM chats WHERE user_id = $1
UNION ALL SELECT 'total', '', -active_chats, -deleted_chats, -messages, -input_tokens, -output_tokens, -total_tokens
    FROM usage WHERE user_id = $1
UNION ALL SELECT kind, name, -active_chats, -deleted_chats, -messages, -input_tokens, -output_tokens, -total_tokens
    FROM usage_by WHERE user_id = $1
UNION ALL SELECT 'time_bucket', CAST(time_bucket AS text), -chats, 0, -messages, -input_tokens, -output_tokens,
    -total_tokens FROM usage_time_buckets WHERE user_id = $1
"""
_USERS = f"""
SELECT user_id FROM (SELECT DISTINCT user_id FROM chats WHERE user_id > $1 ORDER BY user_id LIMIT {_USERS_AT_ONCE}) c
UNION SELECT user_id FROM (SELECT user_id FROM usage WHERE user_id > $1 ORDER BY user_id LIMIT {_USERS_AT_ONCE}) u
UNION SELECT user_id FROM (SELECT user_id FROM feeds WHERE user_id > $1 ORDER BY user_id LIMIT {_USERS_AT_ONCE}) f
ORDER BY 1 LIMIT {_USERS_AT_ONCE}
"""
_PENDING = """
SELECT c.position, c.at, CAST(c.events AS text), CAST(c.deltas AS text) FROM changes c
WHERE c.user_id = $1 AND c.position > coalesce((SELECT u.position FROM usage u WHERE u.user_id = $1), 0)
ORDER BY c.position
"""
_WRONG_CHATS = f"""
SELECT CAST(c.chat_id AS text), 'head' FROM chats c WHERE c.user_id = $1 AND (
    (c.head_seq IS NULL) <> (c.head_id IS NULL) OR c.head_seq IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM messages m
        WHERE m.user_id = $1 AND m.chat_id = c.chat_id AND m.seq = c.head_seq AND m.message_id = c.head_id
    )
)
UNION ALL SELECT CAST(c.chat_id AS text), 'last_seq' FROM chats c WHERE c.user_id = $1 AND EXISTS (
    SELECT 1 FROM messages m WHERE m.user_id = $1 AND m.chat_id = c.chat_id AND m.seq > c.last_seq
)
UNION ALL SELECT CAST(c.chat_id AS text), 'list' FROM chats c WHERE c.user_id = $1 AND (
    c.listed_at > c.last_activity_at OR (c.listed_at < c.last_activity_at) <> EXISTS (
        SELECT 1 FROM moved_chats m WHERE m.user_id = $1 AND m.chat_id = c.chat_id
    )
)
LIMIT {MAX_DIFFERENCES}
"""
_LONGEST = """
SELECT u.longest, (SELECT max(c.message_count) FROM chats c WHERE c.user_id = $1) FROM usage u WHERE u.user_id = $1
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is wrong.

    Attributes:
        what: `total`, `role`, `model`, `platform`, `time_bucket` and `longest` are a user's counters, `chat` those of a
            chat; `head` and `last_seq` of a chat name no message, or not the last one; `list` is a chat whose
            position in the list by last activity is wrong.
        name: which role, model, chat and so on it is.
        missing: how much each wrong counter is too small; negative where it is too large.
    """

    user_id: str
    what: str
    name: Any
    missing: dict[str, int]

    def json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def actual_totals(database_kind: str) -> str:
    """The CTEs of one database that count a user's messages and chats: `actual` has TOTALS by kind and name."""
    columns = {name: _JSON[database_kind].format(name) for name in ("role", "model", "platform")}
    columns["time_bucket"] = BUCKET_SQL["sqlite" if database_kind == "sqlite" else "postgresql"]
    counted = _MESSAGE_COUNTS.format(**columns)
    return f"WITH counted AS MATERIALIZED ({counted}), actual AS ({_ACTUAL_TOTALS.format(**columns)})"


class Recount:
    """Counts everything again, with a reader of one snapshot."""

    def __init__(self, reader: Reader, database_kind: str) -> None:
        self._reader = reader
        sums = ", ".join(f"sum({name})" for name in TOTALS)
        differs = " OR ".join(f"sum({name}) <> 0" for name in TOTALS)
        self._differences = (
            f"{actual_totals(database_kind)}, differences AS (SELECT * FROM actual {_MINUS_COUNTERS}) "
            f"SELECT kind, name, {sums} FROM differences GROUP BY kind, name HAVING {differs}"
        )

    async def users(self) -> AsyncIterator[str]:
        """Every user, ordered by id."""
        last = ""
        while rows := await self._reader.fetch(_USERS, last):
            for row in rows:
                last = row[0]
                yield last

    async def messages(self, user_id: str | None = None) -> int:
        """How many messages there are by the counters, of a user or of all."""
        owner = "" if user_id is None else " WHERE user_id = $1"
        row = await self._reader.fetch_one(
            f"SELECT sum(messages) FROM usage{owner}", *(() if user_id is None else (user_id,))
        )
        return int((row and row[0]) or 0)

    async def differences(self, user_id: str) -> list[Difference]:
        """What is wrong with a user's counters and chats: at most MAX_DIFFERENCES of each sort."""
        pending = await self._pending(user_id)
        expected = _expected(pending)
        missing: dict[tuple[str, Any], list[int]] = {}
        limit = MAX_DIFFERENCES + len(expected)
        for kind, text, *counts in await self._reader.fetch(f"{self._differences} LIMIT {limit}", user_id):
            name = orjson.loads(text) if kind in ("role", "model", "platform") else text or None
            totals = missing.setdefault((kind, name), [0] * len(TOTALS))
            totals[:] = (total + int(count) for total, count in zip(totals, counts, strict=True))
        for key, counts in expected.items():
            totals = missing.setdefault(key, [0] * len(TOTALS))
            totals[:] = (total - count for total, count in zip(totals, counts, strict=True))
        differences = [
            Difference(user_id, kind, name, {label: n for label, n in zip(_labels(kind), totals, strict=True) if n})
            for (kind, name), totals in missing.items()
            if any(totals)
        ]
        for chat_id, what in await self._reader.fetch(_WRONG_CHATS, user_id):
            differences.append(Difference(user_id, what, chat_id, {}))
        if pending is None:
            differences += await self._longest(user_id)
        return differences

    async def _longest(self, user_id: str) -> list[Difference]:
        row = await self._reader.fetch_one(_LONGEST, user_id)
        if row is None or row[0] is None or row[0] == (row[1] or 0):
            return []
        return [Difference(user_id, "longest", None, {"messages": (row[1] or 0) - row[0]})]

    async def _pending(self, user_id: str) -> CounterDeltas | None:
        """What is not aggregated yet; None where all is."""
        pending: CounterDeltas | None = None
        for position, at, events, deltas in await self._reader.fetch(_PENDING, user_id):
            pending = pending or CounterDeltas(0, position)
            pending.add(position, at, events, deltas)
        return pending


def _labels(kind: str) -> tuple[str, ...]:
    return ("chats", *TOTALS[1:]) if kind == "time_bucket" else TOTALS


def _expected(pending: CounterDeltas | None) -> dict[tuple[str, Any], list[int]]:
    """The differences that are expected, since some changes are not aggregated yet."""
    if pending is None:
        return {}
    buckets = {("time_bucket", str(key)): [chats, 0, *totals] for key, (chats, *totals) in pending.buckets.items()}
    return {("total", None): pending.totals, **pending.by, **buckets}
