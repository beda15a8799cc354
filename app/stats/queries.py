"""Statistics queries: the SQL of totals, rankings and series, and what differs between the databases."""

from collections.abc import Sequence
from typing import Any, Protocol

from app.db.database import Database
from app.stats.deltas import BUCKET_TOTALS, TOTALS
from app.stats.postgres import PostgresStats
from app.stats.sqlite import SqliteStats

# What the most active users have most of.
RANKINGS = {"messages": "messages", "tokens": "total_tokens", "chats": "active_chats + deleted_chats"}

_NAMES = ", ".join(TOTALS)
_SUMS = ", ".join(f"sum({name})" for name in TOTALS)
_NOTHING = "CAST(NULL AS integer), CAST(NULL AS timestamptz), CAST(NULL AS timestamptz), CAST(NULL AS text), 0"
# `longest` may be unknown again soon after it was determined, where somebody goes on writing.
_LONGEST = "coalesce(longest, (SELECT max(c.message_count) FROM chats c WHERE c.user_id = usage.user_id), 0)"
_OWN_LONGEST = "coalesce(longest, (SELECT max(c.message_count) FROM chats c WHERE c.user_id = $1), 0)"

# Rows of totals: kind and name (NULL for all together), TOTALS, and of all together `longest`, `first_at`, `last_at`,
# whose chat is the longest, and how many users there are. One statement, so that a response is of one snapshot.
USER_TOTALS = f"""
SELECT CAST(NULL AS text) AS kind, CAST(NULL AS text) AS name, {_NAMES}, {_OWN_LONGEST}, first_at, last_at, user_id, 1
FROM usage WHERE user_id = $1
UNION ALL SELECT kind, name, {_NAMES}, {_NOTHING} FROM usage_by WHERE user_id = $1
"""
ALL_TOTALS = f"""
SELECT CAST(NULL AS text) AS kind, CAST(NULL AS text) AS name, {_SUMS}, max({_LONGEST}), min(first_at), max(last_at), (
    SELECT user_id FROM usage ORDER BY {_LONGEST} DESC, user_id LIMIT 1
), count(CASE WHEN active_chats + deleted_chats > 0 THEN 1 END)
FROM usage
UNION ALL SELECT kind, name, {_SUMS}, {_NOTHING} FROM usage_by GROUP BY kind, name
"""


class StatsSql(Protocol):
    """The SQL of one database."""

    changes: str
    """The changes of users (a JSON array of ids, $1) that are not aggregated, at most $2 rows of each user: user_id,
    `position` and `longest` of the counters (NULL without any), `position` of the feed, and of the changes `position`,
    `at`, `events` and `deltas` (NULL for a user without changes). Users one after the other, changes in their order.
    """
    user_changes: str
    """The same of one user, whose id is $1."""

    def rows(self, types: Sequence[str]) -> str:
        """A FROM item `args` of rows that are arrays in a JSON array, $1: its columns are c0, c1 …, of these types."""

    least: str
    greatest: str
    """The functions that return the least and the greatest of their arguments."""

    async def storage(self, db: Database) -> dict[str, Any]:
        """The size of the database, as in `app.stats.schemas.StorageOut`, without the rows of tables."""


def stats_sql(db: Database) -> StatsSql:
    """The SQL of the open database."""
    return SqliteStats() if db.kind == "sqlite" else PostgresStats()


def top_users(by: str, limit: int) -> str:
    """The users with most of something in RANKINGS: user_id, TOTALS, `longest`, `first_at` and `last_at`."""
    ranking = RANKINGS[by]
    return (
        f"SELECT user_id, {_NAMES}, {_LONGEST}, first_at, last_at FROM usage "
        f"WHERE {ranking} > 0 ORDER BY {ranking} DESC, user_id LIMIT {limit}"
    )


def series_totals(sql: StatsSql, user_id: str | None) -> str:
    """The BUCKET_TOTALS of each step of a series that has any, after the index of the step.

    $1 are runs of steps with equal lengths, but for the last step of a run: the indexes of the first and the last step,
    the first time bucket of the run, the one after it, and the time buckets of a step. $2 is the user, unless it is of
    all.
    """
    step = f"{sql.least}(args.c0 + (s.time_bucket - args.c2) / args.c4, args.c1)"
    totals = ", ".join(f"sum(s.{name})" for name in BUCKET_TOTALS)
    owner = "" if user_id is None else "s.user_id = $2 AND "
    return (
        f"SELECT {step}, {totals} FROM {sql.rows(['bigint'] * 5)} "
        f"JOIN usage_time_buckets s ON {owner}s.time_bucket >= args.c2 AND s.time_bucket < args.c3 GROUP BY 1"
    )
