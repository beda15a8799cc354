"""Counting again: whether the counters say what is in the tables, all at one moment.

Each user is one statement, which groups what there is, takes away what the counters say, and gives what is left over:
nothing comes here but differences, however much there is. What a user wrote a moment ago may not be added up yet; that
is no difference, and is taken from the feed.
"""

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from app.db.driver import Reader
from app.events.counter_deltas import SLOT_SQL
from app.stats.deltas import TOTALS, Sums

# Of a user: a broken counter is seldom alone, and one that is off for each quarter of an hour is known by a few.
MOST_DIFFERENCES = 100
_USERS_AT_ONCE = 200

_TOTAL = "coalesce(tokens, coalesce(input_tokens, 0) + coalesce(output_tokens, 0))"
_ACTIVE = "CASE WHEN deleted_at IS NULL THEN 1 ELSE 0 END, CASE WHEN deleted_at IS NULL THEN 0 ELSE 1 END"
_COUNTED = "messages, input_tokens, output_tokens, total_tokens"
_JSON = {"sqlite": "json_quote({})", "postgres": "coalesce(to_json({})::text, 'null')"}

COUNTED = f"""
SELECT chat_id, {{slot}} AS slot, role, model, count(*) AS messages,
    sum(coalesce(input_tokens, 0)) AS input_tokens, sum(coalesce(output_tokens, 0)) AS output_tokens,
    sum({_TOTAL}) AS total_tokens
FROM messages WHERE user_id = $1 GROUP BY 1, 2, 3, 4
"""
# What there is: how many of TOTALS of each kind and name.
THERE_IS = f"""
SELECT 'total' AS kind, '' AS name, 0 AS active_chats, 0 AS deleted_chats, {_COUNTED} FROM counted
UNION ALL SELECT 'role', {{role}}, 0, 0, {_COUNTED} FROM counted
UNION ALL SELECT 'model', {{model}}, 0, 0, {_COUNTED} FROM counted
UNION ALL SELECT 'platform', {{platform}}, 0, 0, m.messages, m.input_tokens, m.output_tokens, m.total_tokens
    FROM counted m JOIN chats c ON c.user_id = $1 AND c.chat_id = m.chat_id
UNION ALL SELECT 'slot', CAST(slot AS text), 0, 0, {_COUNTED} FROM counted
UNION ALL SELECT 'total', '', {_ACTIVE}, 0, 0, 0, 0 FROM chats WHERE user_id = $1
UNION ALL SELECT 'platform', {{platform}}, {_ACTIVE}, 0, 0, 0, 0 FROM chats WHERE user_id = $1
UNION ALL SELECT 'slot', CAST({{slot}} AS text), 1, 0, 0, 0, 0, 0 FROM chats WHERE user_id = $1
"""
_KEPT = """
UNION ALL SELECT 'chat', CAST(chat_id AS text), 0, 0, messages, input_tokens, output_tokens, total_tokens FROM counted
UNION ALL SELECT 'chat', CAST(chat_id AS text), 0, 0, -message_count, -input_tokens, -output_tokens, -total_tokens
    FROM chats WHERE user_id = $1
UNION ALL SELECT 'total', '', -active_chats, -deleted_chats, -messages, -input_tokens, -output_tokens, -total_tokens
    FROM usage WHERE user_id = $1
UNION ALL SELECT kind, name, -active_chats, -deleted_chats, -messages, -input_tokens, -output_tokens, -total_tokens
    FROM usage_by WHERE user_id = $1
UNION ALL SELECT 'slot', CAST(slot AS text), -chats, 0, -messages, -input_tokens, -output_tokens, -total_tokens
    FROM usage_slots WHERE user_id = $1
"""
_USERS = f"""
SELECT user_id FROM (SELECT DISTINCT user_id FROM chats WHERE user_id > $1 ORDER BY user_id LIMIT {_USERS_AT_ONCE}) c
UNION SELECT user_id FROM (SELECT user_id FROM usage WHERE user_id > $1 ORDER BY user_id LIMIT {_USERS_AT_ONCE}) u
UNION SELECT user_id FROM (SELECT user_id FROM feeds WHERE user_id > $1 ORDER BY user_id LIMIT {_USERS_AT_ONCE}) f
ORDER BY 1 LIMIT {_USERS_AT_ONCE}
"""
_PENDING = """
SELECT c.position, c.at, CAST(c.entries AS text), CAST(c.counts AS text) FROM changes c
WHERE c.user_id = $1 AND c.position > coalesce((SELECT u.position FROM usage u WHERE u.user_id = $1), 0)
ORDER BY c.position
"""
_PLACES = f"""
SELECT CAST(c.chat_id AS text), 'head' FROM chats c WHERE c.user_id = $1 AND (
    (c.head_seq IS NULL) <> (c.head_id IS NULL) OR c.head_seq IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM messages m
        WHERE m.user_id = $1 AND m.chat_id = c.chat_id AND m.seq = c.head_seq AND m.message_id = c.head_id
    )
)
UNION ALL SELECT CAST(c.chat_id AS text), 'last_seq' FROM chats c WHERE c.user_id = $1 AND EXISTS (
    SELECT 1 FROM messages m WHERE m.user_id = $1 AND m.chat_id = c.chat_id AND m.seq > c.last_seq
)
LIMIT {MOST_DIFFERENCES}
"""
_LONGEST = """
SELECT u.longest, (SELECT max(c.message_count) FROM chats c WHERE c.user_id = $1) FROM usage u WHERE u.user_id = $1
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it should be.

    Attributes:
        what: `total`, `role`, `model`, `platform`, `slot` and `longest` are a user's counters, `chat` a chat's own;
            `head` and `last_seq` are a chat's that name no message or not the last one; `document` is of the search.
        name: of which one of them it is.
        missing: counters that are too small by so much, or, below nothing, too large.
    """

    user_id: str
    what: str
    name: Any
    missing: dict[str, int]

    def json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def counted_by(database_kind: str) -> tuple[str, str]:
    """The statements that count a user's messages, and that say what there is of them, on one database."""
    slot = SLOT_SQL["sqlite" if database_kind == "sqlite" else "postgresql"]
    names = {name: _JSON[database_kind].format(name) for name in ("role", "model", "platform")}
    return COUNTED.format(slot=slot), THERE_IS.format(slot=slot, **names)


class Recount:
    """Counts again, with a reader that sees one moment."""

    def __init__(self, reader: Reader, database_kind: str) -> None:
        self._reader = reader
        counted, there_is = counted_by(database_kind)
        sums = ", ".join(f"sum({name})" for name in TOTALS)
        wrong = " OR ".join(f"sum({name}) <> 0" for name in TOTALS)
        self._left_over = (
            f"WITH counted AS MATERIALIZED ({counted}), found AS ({there_is}{_KEPT}) "
            f"SELECT kind, name, {sums} FROM found GROUP BY kind, name HAVING {wrong}"
        )

    async def users(self) -> AsyncIterator[str]:
        """Everybody there is, by name."""
        last = ""
        while rows := await self._reader.fetch(_USERS, last):
            for row in rows:
                last = row[0]
                yield last

    async def messages(self, user_id: str | None = None) -> int:
        """How many messages there are by the counters, of a user or of all."""
        owner_of = "" if user_id is None else " WHERE user_id = $1"
        row = await self._reader.fetch_one(
            f"SELECT sum(messages) FROM usage{owner_of}", *(() if user_id is None else (user_id,))
        )
        return int((row and row[0]) or 0)

    async def differences(self, user_id: str) -> list[Difference]:
        """What is wrong with a user's counters and chats: at most MOST_DIFFERENCES of each sort."""
        pending = await self._pending(user_id)
        expected = _expected(pending)
        left: dict[tuple[str, Any], list[int]] = {}
        limit = MOST_DIFFERENCES + len(expected)
        for kind, text, *numbers in await self._reader.fetch(f"{self._left_over} LIMIT {limit}", user_id):
            name = orjson.loads(text) if kind in ("role", "model", "platform") else text or None
            sums = left.setdefault((kind, name), [0] * len(TOTALS))
            sums[:] = (had + int(more) for had, more in zip(sums, numbers, strict=True))
        for key, numbers in expected.items():
            sums = left.setdefault(key, [0] * len(TOTALS))
            sums[:] = (had - more for had, more in zip(sums, numbers, strict=True))
        found = [
            Difference(user_id, kind, name, {label: n for label, n in zip(_labels(kind), sums, strict=True) if n})
            for (kind, name), sums in left.items()
            if any(sums)
        ]
        for chat_id, what in await self._reader.fetch(_PLACES, user_id):
            found.append(Difference(user_id, what, chat_id, {}))
        if pending is None:
            found += await self._longest(user_id)
        return found

    async def _longest(self, user_id: str) -> list[Difference]:
        row = await self._reader.fetch_one(_LONGEST, user_id)
        if row is None or row[0] is None or row[0] == (row[1] or 0):
            return []
        return [Difference(user_id, "longest", None, {"messages": (row[1] or 0) - row[0]})]

    async def _pending(self, user_id: str) -> Sums | None:
        """What is not added up yet; None where all is."""
        sums: Sums | None = None
        for position, at, entries, counts in await self._reader.fetch(_PENDING, user_id):
            sums = sums or Sums(0, position)
            sums.add(position, at, orjson.loads(entries), orjson.loads(counts) if counts else ())
        return sums


def _labels(kind: str) -> tuple[str, ...]:
    return ("chats", *TOTALS[1:]) if kind == "slot" else TOTALS


def _expected(pending: Sums | None) -> dict[tuple[str, Any], list[int]]:
    """What the counters lack, as it is not added up yet."""
    if pending is None:
        return {}
    slots = {("slot", str(slot)): [sums[0], 0, *sums[1:]] for slot, sums in pending.slots.items()}
    return {("total", None): pending.totals, **pending.by, **slots}
