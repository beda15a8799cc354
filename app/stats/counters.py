"""Usage counters: aggregates users' feeds, behind the writers and before a statistic is read.

Each change is counted once, in the order of the feed: `usage.position` moves in the same transaction, which leaves out
users for whom another process has moved it meanwhile.
"""

import contextlib
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import orjson
from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.database import Database
from app.db.driver import Row, SessionReader
from app.models import Usage
from app.stats.deltas import BUCKET_TOTALS, TOTALS, CounterDeltas
from app.stats.queries import stats_sql

USERS_AT_ONCE = 200
# Changes that are read at once, divided among the users; each has a few, however many users there are.
CHANGES_AT_ONCE = 4000
MIN_CHANGES = 20

_FEEDS = "FROM feeds f LEFT JOIN usage u ON u.user_id = {}"
_IS_BEHIND = "f.position > coalesce(u.position, 0)"
_USERS_BEHIND = f"SELECT f.user_id {_FEEDS.format('f.user_id')} WHERE {_IS_BEHIND} LIMIT {USERS_AT_ONCE}"
# Users who are behind, or whose longest chat is unknown: all of them, and one.
_STALE_OF = f"SELECT f.user_id, f.position, coalesce(u.position, 0) {_FEEDS} WHERE ({_IS_BEHIND} OR u.longest IS NULL)"
_STALE = _STALE_OF.format("f.user_id")
_STALE_USER = f"{_STALE_OF.format('$1')} AND f.user_id = $1"
_LONGEST_UNKNOWN = "SELECT user_id FROM usage WHERE longest IS NULL"


class Counters:
    """Keeps the counters of `usage`, `usage_by` and `usage_time_buckets` up to date."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._sql = stats_sql(db)
        # For rows of many users, and for those of the one who is $2: see `_statements`.
        self._of_many, self._of_one = self._statements("args.c0"), self._statements("$2")

    async def users_behind(self) -> Collection[str]:
        """Some users with changes that are not aggregated yet."""
        return [row[0] for row in await self._db.driver.fetch(_USERS_BEHIND)]

    async def aggregate(self, users: Collection[str]) -> None:
        """Aggregates all that these users have changed.

        Raises what the database raises, after it has aggregated the users who are not concerned.
        """
        failure: Exception | None = None
        ordered = sorted(users)
        at_once = min(USERS_AT_ONCE, self._db.users_at_once)
        for start in range(0, len(ordered), at_once):
            batch: Sequence[str] = ordered[start : start + at_once]
            try:
                while batch:
                    batch = await self._aggregate_batch(batch)
            except Exception as error:  # noqa: BLE001 - raised below, after the others had their turn
                failure = error
                for user_id in batch if len(ordered) > 1 else ():
                    with contextlib.suppress(Exception):
                        await self.aggregate([user_id])
        if failure is not None:
            raise failure

    async def catch_up(self, user_id: str | None) -> None:
        """Aggregates what a user, or with None anybody, has changed until now, and determines the longest chats that
        are unknown."""
        if user_id is None:
            rows = await self._db.driver.fetch(_STALE)
            await self.aggregate([row[0] for row in rows if row[2] < row[1]])
            unknown = await self._db.driver.fetch(_LONGEST_UNKNOWN) if rows else ()
        else:
            rows = await self._db.driver.fetch(_STALE_USER, user_id)
            for _, feed_position, _ in rows:
                await self._catch_up_user(user_id, feed_position)
            unknown = await self._db.driver.fetch(f"{_LONGEST_UNKNOWN} AND user_id = $1", user_id) if rows else ()
        for row in unknown:
            await self._update_longest(row[0])

    async def _catch_up_user(self, user_id: str, feed_position: int) -> None:
        """As far as the feed was: somebody may write faster than this aggregates."""
        while rows := await self._db.driver.fetch(_STALE_USER, user_id):
            if rows[0][2] >= feed_position:
                return
            await self._aggregate_batch([user_id])

    async def _aggregate_batch(self, users: Sequence[str]) -> Sequence[str]:
        """Aggregates some of the changes of these users, and returns the users who may have more."""
        limit = max(MIN_CHANGES, CHANGES_AT_ONCE // len(users))
        if len(users) == 1:
            rows = await self._db.driver.fetch(self._sql.user_changes, users[0], limit)
        else:
            rows = await self._db.driver.fetch(self._sql.changes, orjson.dumps(list(users)).decode(), limit)
        if not rows:
            return ()
        deltas, longest, counts = _sum_changes(rows)
        grown = [[user_id, chat_id] for user_id in deltas for chat_id in sorted(deltas[user_id].grown_chats)]
        if grown:
            statements, arguments = self._choose(deltas)
            counted = await self._db.driver.fetch(statements.longest, orjson.dumps(grown).decode(), *arguments)
            for user_id, message_count in counted:
                known = longest[user_id]
                longest[user_id] = None if known is None else max(known, message_count)
        async with self._db.write() as session:
            locked = await _lock(session, deltas)
            await self._add(session, {user_id: (deltas[user_id], longest[user_id]) for user_id in locked})
        return [user_id for user_id in deltas if user_id not in locked or counts[user_id] >= limit]

    async def _add(self, session: AsyncSession, deltas: dict[str, tuple[CounterDeltas, int | None]]) -> None:
        totals, by, buckets = [], [], []
        for user_id, (user_deltas, longest) in deltas.items():
            totals.append(user_deltas.usage_row(user_id, longest))
            by += user_deltas.usage_by_rows(user_id)
            buckets += user_deltas.bucket_rows(user_id)
        statements, arguments = self._choose(deltas)
        reader = SessionReader(session)
        for statement, rows in zip(statements.upserts, (totals, by, buckets), strict=True):
            if rows:
                await reader.execute(statement, orjson.dumps(rows).decode(), *arguments)

    async def _update_longest(self, user_id: str) -> None:
        """Determines how long a user's longest chat is, while nobody aggregates that user's changes."""
        async with self._db.write() as session:
            owner = col(Usage.user_id) == user_id
            known = select(col(Usage.longest)).where(owner).with_for_update()
            if (await session.execute(known)).scalar_one() is None:
                longest = "SELECT max(message_count) FROM chats WHERE user_id = $1"
                row = await SessionReader(session).fetch_one(longest, user_id)
                await session.execute(update(Usage).where(owner).values(longest=(row and row[0]) or 0))

    def _choose(self, users: Collection[str]) -> tuple["_Statements", tuple[str, ...]]:
        """The statements for rows of these users, and their arguments after the rows."""
        return (self._of_one, tuple(users)) if len(users) == 1 else (self._of_many, ())

    def _statements(self, owner: str) -> "_Statements":
        """The statements for rows of arrays, as JSON in $1; `owner` is the user of a row in SQL.

        With a user of its own each goes to the one worker that has it, see CONTRIBUTING.md.
        """
        longest = (
            f"SELECT {owner}, max(c.message_count) FROM {self._sql.rows(('text', 'uuid'))} "
            f"JOIN chats c ON c.user_id = {owner} AND c.chat_id = args.c1 GROUP BY 1"
        )
        timestamps = [
            f"{name} = coalesce({function}(usage.{name}, excluded.{name}), excluded.{name}, usage.{name})"
            for name, function in (("first_at", self._sql.least), ("last_at", self._sql.greatest))
        ]
        totals = self._upsert(
            owner,
            "usage",
            ("user_id", "position", *TOTALS, "longest", "first_at", "last_at"),
            ("text", *["bigint"] * 7, "int", "timestamptz", "timestamptz"),
            ("position = excluded.position", "longest = excluded.longest", *timestamps, *_added("usage", TOTALS)),
            keys=1,
        )
        columns = ("user_id", "kind", "name", *TOTALS)
        by = self._upsert(
            owner, "usage_by", columns, ("text", "text", "text", *["bigint"] * 6), _added("usage_by", TOTALS), keys=3
        )
        buckets = self._upsert(
            owner,
            "usage_time_buckets",
            ("user_id", "time_bucket", *BUCKET_TOTALS),
            ("text", *["bigint"] * 6),
            _added("usage_time_buckets", BUCKET_TOTALS),
            keys=2,
        )
        return _Statements(longest, (totals, by, buckets))

    def _upsert(
        self, owner: str, table: str, columns: Sequence[str], types: Sequence[str], changes: Iterable[str], *, keys: int
    ) -> str:
        values = ", ".join((owner, *(f"args.c{n}" for n in range(1, len(columns)))))
        return (
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {self._sql.rows(types)} WHERE true "
            f"ON CONFLICT ({', '.join(columns[:keys])}) DO UPDATE SET {', '.join(changes)}"
        )


class _Statements(NamedTuple):
    """The longest of some chats by user, and what adds rows to `usage`, `usage_by` and `usage_time_buckets`."""

    longest: str
    upserts: tuple[str, str, str]


def _added(table: str, names: Iterable[str]) -> list[str]:
    return [f"{name} = {table}.{name} + excluded.{name}" for name in names]


def _sum_changes(rows: Iterable[Row]) -> tuple[dict[str, CounterDeltas], dict[str, int | None], dict[str, int]]:
    """By user, the sum of the changes, how long the longest chat was (None: unknown), and the number of changes."""
    deltas: dict[str, CounterDeltas] = {}
    longest: dict[str, int | None] = {}
    counts: dict[str, int] = {}
    for user_id, counted_position, known_longest, feed_position, position, at, events, changes in rows:
        if user_id not in deltas:
            deltas[user_id] = CounterDeltas(counted_position or 0, counted_position or 0)
            longest[user_id] = 0 if counted_position is None else known_longest
            counts[user_id] = 0
        if position is None:
            # The changes are gone, as after a repair by hand: they can never be counted.
            deltas[user_id].position = feed_position
            continue
        deltas[user_id].add(position, at, events, changes)
        counts[user_id] += 1
    for user_id, user_deltas in deltas.items():
        known = longest[user_id]
        if known is not None and user_deltas.largest_shrunk >= max(known, 1):
            longest[user_id] = None
    return deltas, longest, counts


async def _lock(session: AsyncSession, deltas: dict[str, CounterDeltas]) -> set[str]:
    """Locks the counters of these users, always in the same order, and returns users whose position has not moved."""
    new = [user_id for user_id in sorted(deltas) if deltas[user_id].start_position == 0]
    if new:
        insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
        empty = {**dict.fromkeys(TOTALS, 0), "position": 0, "longest": 0}
        rows = [{"user_id": user_id, **empty} for user_id in new]
        await session.execute(insert(Usage).values(rows).on_conflict_do_nothing())
    statement = (
        select(col(Usage.user_id), col(Usage.position))
        .where(col(Usage.user_id) == next(iter(deltas)) if len(deltas) == 1 else col(Usage.user_id).in_(deltas))
        .order_by(col(Usage.user_id))
        .with_for_update()
    )
    positions = await session.execute(statement)
    return {user_id for user_id, position in positions if position == deltas[user_id].start_position}
