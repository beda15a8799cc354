"""Search executor: reads a user's buckets, the newest first, until no newer match can be left."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.db.database import Database
from app.http.errors import BadRequest
from app.search.postgres_match import PostgresMatchSql
from app.search.query_builder import MAX_SCANNED, MatchSql, QueryBuilder, SearchCriteria
from app.search.ranking import Match
from app.search.sqlite_match import SqliteMatchSql

# So few buckets are all searched together, once the newest one had too few matches.
FEW_BUCKETS = 8
# What a request costs at most: documents that are scanned, and words that are looked up in a bucket.
BUDGET = 60_000
_LOOKUP_COST = 10
_MAX_LOOKUPS = 1000
# A chat with so many documents or fewer is searched in its own buckets only.
_SMALL_CHAT = 5000
# No document has so high a number.
MAX_DOC = 2**62

_BUCKETS = "SELECT bucket, oldest, newest FROM buckets WHERE user_id = $1"
_CHAT_BUCKETS = f"""
SELECT bucket, count(*) FROM (
    SELECT bucket FROM documents WHERE user_id = $1 AND chat_id = $2 LIMIT {_SMALL_CHAT + 1}
) AS d GROUP BY bucket
"""

_TOO_EXPENSIVE = "Too much has to be looked through for this: name a chat, a time, or a rarer word."


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, and the times between which its matches lie."""

    number: int
    oldest: Any
    newest: Any


@dataclass(frozen=True, slots=True)
class MatchPage:
    """The newest matches.

    Attributes:
        matches: newest first, with no newer match left out.
        next_position: the `created_at` and number below which there may be more; None when there are no more.
    """

    matches: Sequence[Match]
    next_position: tuple[Any, int] | None


class SearchExecutor:
    """Runs searches on one database; it finds what is indexed by then."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._sql: MatchSql = SqliteMatchSql() if db.kind == "sqlite" else PostgresMatchSql(db.citus)

    async def newest(self, criteria: SearchCriteria, count: int, *, words: bool) -> MatchPage:
        """The newest `count` matches, or fewer where there are no more or the budget is spent.

        With `words` they come with what ranking needs. Raises BadRequest (400) where the budget is too small for one.
        """
        buckets = await self._buckets(criteria)
        builder = QueryBuilder(self._sql, criteria)
        # Words that are looked up in the index for each bucket.
        lookups = sum(len(phrase.terms) for phrase in criteria.query.phrases())
        matches: list[Match] = []
        searched, size, budget = 0, 1, BUDGET
        while searched < len(buckets):
            batch = buckets[searched : searched + size]
            scanned, more = await self._search(builder, batch, count + 1, words)
            if scanned > MAX_SCANNED and size > 1:
                size = max(1, size // 4)
                continue
            searched += len(batch)
            budget -= scanned + lookups * len(batch) * _LOOKUP_COST
            # A match begins with its `created_at` and number.
            matches = sorted([*matches, *more], reverse=True)[: count + 1]
            if searched == len(buckets):
                break
            newest_left = buckets[searched].newest
            if len(matches) > count and matches[count - 1].created_at > newest_left:
                break
            if budget <= 0:
                if criteria.before is not None and newest_left >= self._sql.comparable(criteria.before[0]):
                    raise BadRequest(_TOO_EXPENSIVE)
                return _newer_than(newest_left, matches)
            size = self._next_size(size, searched, len(buckets), budget, BUDGET - budget, lookups)
        next_position = matches[count - 1][:2] if len(matches) > count else None
        return MatchPage(matches[:count], next_position)

    def _next_size(self, size: int, searched: int, count: int, budget: int, spent: int, lookups: int) -> int:
        """How many buckets to search next: more each time, but not more than the budget may suffice for."""
        more = count if count <= FEW_BUCKETS else 2 * size
        return max(1, min(more, budget * searched // max(spent, 1), _MAX_LOOKUPS // lookups))

    async def _search(
        self, builder: QueryBuilder, buckets: Sequence[Bucket], limit: int, words: bool
    ) -> tuple[int, list[Match]]:
        """How many documents were scanned, and the matches."""
        statement, arguments = builder.statement([bucket.number for bucket in buckets], limit, words=words)
        rows = await self._db.driver.fetch(statement, *arguments)
        comparable = self._sql.comparable
        return rows[0][0], [Match(comparable(row[1]), *row[2:]) for row in rows if row[1] is not None]

    async def _buckets(self, criteria: SearchCriteria) -> list[Bucket]:
        """The buckets that may have matches, those with the newest ones first."""
        rows: Sequence[Any] = await self._db.driver.fetch(_BUCKETS, criteria.user_id)
        comparable = self._sql.comparable
        buckets = [Bucket(row[0], comparable(row[1]), comparable(row[2])) for row in rows]
        if criteria.chat_id is not None and len(buckets) > 1:
            rows = await self._db.driver.fetch(_CHAT_BUCKETS, criteria.user_id, criteria.chat_id)
            if sum(row[1] for row in rows) <= _SMALL_CHAT:
                numbers = {row[0] for row in rows}
                buckets = [bucket for bucket in buckets if bucket.number in numbers]
        if criteria.after is not None:
            after = comparable(criteria.after)
            buckets = [bucket for bucket in buckets if bucket.newest > after]
        if criteria.before is not None:
            before = comparable(criteria.before[0])
            buckets = [bucket for bucket in buckets if bucket.oldest <= before]
            buckets = [replace(bucket, newest=min(bucket.newest, before)) for bucket in buckets]
        return sorted(buckets, key=lambda bucket: (bucket.newest, bucket.number), reverse=True)


def _newer_than(newest_left: Any, matches: list[Match]) -> MatchPage:
    """The matches that are newer than all in the buckets that were not searched."""
    certain = matches[: bisect.bisect_left(matches, True, key=lambda match: match.created_at <= newest_left)]
    return MatchPage(certain, (newest_left, MAX_DOC))
