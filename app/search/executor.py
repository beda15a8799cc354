"""Finding matches: through a user's buckets, the newest first, until what was found is newer than all that is left."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.db.database import Database
from app.http.errors import BadRequest
from app.search.postgres import PostgresSearchSql
from app.search.query import Query
from app.search.query_builder import MOST_LOOKED_AT, Matching, SearchSql, Wanted
from app.search.ranking import Match
from app.search.sqlite import SqliteSearchSql

# So few buckets are looked at together once the newest one has not enough.
FEW_BUCKETS = 8
# What a request looks at, at most: documents that the index names, and words that it is asked for in a bucket.
BUDGET = 60_000
_LOOKUP_COSTS = 10
_LOOKUPS_AT_ONCE = 1000
# A chat with so many documents or fewer is looked for in its own buckets only.
_SMALL_CHAT = 5000
# No document has so high a number.
LAST_DOC = 2**62

_BUCKETS = "SELECT bucket, oldest, newest FROM buckets WHERE user_id = $1"
_OF_CHAT = f"""
SELECT bucket, count(*) FROM (
    SELECT bucket FROM documents WHERE user_id = $1 AND chat_id = $2 LIMIT {_SMALL_CHAT + 1}
) AS d GROUP BY bucket
"""


_TOO_MUCH = "Too much has to be looked through for this: name a chat, a time, or a rarer word."


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, and the times of what it has: no match in it is older or newer."""

    number: int
    oldest: Any
    newest: Any


@dataclass(frozen=True, slots=True)
class Found:
    """The newest matches.

    Attributes:
        matches: newest first; nothing that is wanted is newer than the last one and not here.
        rest: below which place there may be more: None when there are no more.
    """

    matches: Sequence[Match]
    rest: tuple[Any, int] | None


class Finder:
    """Looks into the index of one database; what it finds is what was indexed by then."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._sql: SearchSql = SqliteSearchSql() if db.kind == "sqlite" else PostgresSearchSql()

    async def newest(self, wanted: Wanted, count: int, *, words: bool) -> Found:
        """The newest `count` matches, or fewer where there are no more or it took too much to look further.

        Raises BadRequest (400) where it takes too much to find even one.
        """
        buckets = await self._buckets(wanted)
        matching = Matching(self._sql, wanted)
        lookups = _lookups(wanted.query)
        found: list[Match] = []
        place, size, budget = 0, 1, BUDGET
        while place < len(buckets):
            some = buckets[place : place + size]
            looked_at, matches = await self._look(matching, some, count + 1, words)
            if looked_at > MOST_LOOKED_AT and size > 1:
                size = max(1, size // 4)
                continue
            place += len(some)
            budget -= looked_at + lookups * len(some) * _LOOKUP_COSTS
            # A document's moment and number come first in it.
            found = sorted([*found, *matches], reverse=True)[: count + 1]
            if place == len(buckets):
                break
            edge = buckets[place].newest
            if len(found) > count and found[count - 1].at > edge:
                break
            if budget <= 0:
                if wanted.before is not None and edge >= self._sql.comparable(wanted.before[0]):
                    raise BadRequest(_TOO_MUCH)
                return _as_far_as(found, edge)
            size = self._next_size(size, place, len(buckets), budget, BUDGET - budget, lookups)
        rest = found[count - 1][:2] if len(found) > count else None
        return Found(found[:count], rest)

    def _next_size(self, size: int, place: int, count: int, budget: int, spent: int, lookups: int) -> int:
        """How many buckets to look at next: more each time, and as many as the budget may do for."""
        more = count if count <= FEW_BUCKETS else 2 * size
        return max(1, min(more, budget * place // max(spent, 1), _LOOKUPS_AT_ONCE // lookups))

    async def _look(
        self, matching: Matching, buckets: Sequence[Bucket], limit: int, words: bool
    ) -> tuple[int, list[Match]]:
        statement, arguments = matching.statement([bucket.number for bucket in buckets], limit, words=words)
        rows = await self._db.driver.fetch(statement, *arguments)
        comparable = self._sql.comparable
        return rows[0][0], [Match(comparable(row[1]), *row[2:]) for row in rows if row[1] is not None]

    async def _buckets(self, wanted: Wanted) -> list[Bucket]:
        """The buckets that may have matches, those with the newest ones first."""
        rows: Sequence[Any] = await self._db.driver.fetch(_BUCKETS, wanted.user_id)
        comparable = self._sql.comparable
        buckets = [Bucket(row[0], comparable(row[1]), comparable(row[2])) for row in rows]
        if wanted.chat_id is not None and len(buckets) > 1:
            rows = await self._db.driver.fetch(_OF_CHAT, wanted.user_id, wanted.chat_id)
            if sum(row[1] for row in rows) <= _SMALL_CHAT:
                own = {row[0] for row in rows}
                buckets = [bucket for bucket in buckets if bucket.number in own]
        if wanted.earliest is not None:
            earliest = comparable(wanted.earliest)
            buckets = [bucket for bucket in buckets if bucket.newest > earliest]
        if wanted.before is not None:
            latest = comparable(wanted.before[0])
            buckets = [
                replace(bucket, newest=min(bucket.newest, latest)) for bucket in buckets if bucket.oldest <= latest
            ]
        return sorted(buckets, key=lambda bucket: (bucket.newest, bucket.number), reverse=True)


def _as_far_as(found: list[Match], edge: Any) -> Found:
    """What is certain when not all was looked at: nothing that is left is newer than `edge`."""
    certain = found[: bisect.bisect_left(found, True, key=lambda match: match.at <= edge)]
    return Found(certain, (edge, LAST_DOC))


def _lookups(query: Query) -> int:
    """How many words the index is asked for in each bucket."""
    return sum(len(phrase.terms) for phrase in (*(one for clause in query.every for one in clause), *query.none))
