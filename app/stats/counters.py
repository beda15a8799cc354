"""Adding up: what the feeds say goes into the counters, behind the writers and before a statistic is read.

Each user's changes are added once and in their order: who adds them moves `usage.position` with them, and leaves out a
user for whom another process has moved it meanwhile.
"""

import contextlib
from collections.abc import Collection, Iterable, Sequence

import orjson
from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.database import Database
from app.db.driver import Row, SessionReader
from app.models import Usage
from app.stats.database_kind import kind_of
from app.stats.deltas import SLOT_TOTALS, TOTALS, Sums

USERS_AT_ONCE = 200
# Rows of the feeds read in one query, shared among its users; each has a few, however many users there are.
CHANGES_AT_ONCE = 4000
FEWEST_CHANGES = 20

_FEEDS = "FROM feeds f LEFT JOIN usage u ON u.user_id = f.user_id"
_IS_BEHIND = "f.position > coalesce(u.position, 0)"
_BEHIND = f"SELECT f.user_id {_FEEDS} WHERE {_IS_BEHIND} LIMIT {USERS_AT_ONCE}"
# Who is behind, or whose longest chat is not known; for all, and for one.
_UNSETTLED = f"SELECT f.user_id, f.position, coalesce(u.position, 0) {_FEEDS} WHERE ({_IS_BEHIND} OR u.longest IS NULL)"
_IS_UNSETTLED = f"{_UNSETTLED} AND f.user_id = $1"
_UNMEASURED = "SELECT user_id FROM usage WHERE longest IS NULL"


class Counters:
    """Keeps the counters of `usage`, `usage_by` and `usage_slots` up to date."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._sql = kind_of(db)
        self._longest = (
            "SELECT given.c0, max(c.message_count) FROM "
            f"{self._sql.rows(('text', 'uuid'))} JOIN chats c ON c.user_id = given.c0 AND c.chat_id = given.c1 "
            "GROUP BY given.c0"
        )
        moments = [
            f"{name} = coalesce({function}(usage.{name}, excluded.{name}), excluded.{name}, usage.{name})"
            for name, function in (("first_at", self._sql.least), ("last_at", self._sql.greatest))
        ]
        self._add_totals = self._upsert(
            "usage",
            ("user_id", "position", *TOTALS, "longest", "first_at", "last_at"),
            ("text", *["bigint"] * 7, "int", "timestamptz", "timestamptz"),
            ("position = excluded.position", "longest = excluded.longest", *moments, *_added("usage", TOTALS)),
            keys=1,
        )
        self._add_by = self._upsert(
            "usage_by",
            ("user_id", "kind", "name", *TOTALS),
            ("text", "text", "text", *["bigint"] * 6),
            _added("usage_by", TOTALS),
            keys=3,
        )
        self._add_slots = self._upsert(
            "usage_slots",
            ("user_id", "slot", *SLOT_TOTALS),
            ("text", *["bigint"] * 6),
            _added("usage_slots", SLOT_TOTALS),
            keys=2,
        )

    async def behind(self) -> Collection[str]:
        """Some of the users who have changes that are not added up yet."""
        return [row[0] for row in await self._db.driver.fetch(_BEHIND)]

    async def add_up(self, users: Collection[str]) -> None:
        """Adds up all that these users have changed. Raises what the database raises; others than those whom it is
        about are added up all the same."""
        failure: Exception | None = None
        given = sorted(users)
        for start in range(0, len(given), USERS_AT_ONCE):
            some: Sequence[str] = given[start : start + USERS_AT_ONCE]
            try:
                while some:
                    some = await self._add_some(some)
            except Exception as error:  # noqa: BLE001 - raised below, once the others are served
                failure = error
                for user_id in some if len(given) > 1 else ():
                    with contextlib.suppress(Exception):
                        await self.add_up([user_id])
        if failure is not None:
            raise failure

    async def catch_up(self, user_id: str | None) -> None:
        """Adds up what a user, or with None anybody, has changed until now, and finds the longest chats anew where
        they are not known."""
        if user_id is None:
            rows = await self._db.driver.fetch(_UNSETTLED)
            await self.add_up([row[0] for row in rows if row[2] < row[1]])
            unmeasured = await self._db.driver.fetch(_UNMEASURED) if rows else ()
        else:
            rows = await self._db.driver.fetch(_IS_UNSETTLED, user_id)
            for _, feed, _ in rows:
                await self._catch_up_one(user_id, feed)
            unmeasured = await self._db.driver.fetch(f"{_UNMEASURED} AND user_id = $1", user_id) if rows else ()
        for row in unmeasured:
            await self._measure(row[0])

    async def _catch_up_one(self, user_id: str, until: int) -> None:
        """To where the feed was: somebody may write faster than this adds up."""
        while rows := await self._db.driver.fetch(_IS_UNSETTLED, user_id):
            if rows[0][2] >= until:
                return
            await self._add_some([user_id])

    async def _add_some(self, users: Sequence[str]) -> Sequence[str]:
        """Adds some of the changes of these users up; those of them who may have more."""
        at_most = max(FEWEST_CHANGES, CHANGES_AT_ONCE // len(users))
        rows = await self._db.driver.fetch(self._sql.changes, orjson.dumps(list(users)).decode(), at_most)
        if not rows:
            return ()
        sums, longest, found = _summed(rows)
        grown = [[user_id, chat_id] for user_id, one in sums.items() for chat_id in sorted(one.grown)]
        if grown:
            for user_id, count in await self._db.driver.fetch(self._longest, orjson.dumps(grown).decode()):
                known = longest[user_id]
                longest[user_id] = None if known is None else max(known, count)
        async with self._db.write() as session:
            mine = await _locked(session, sums)
            await self._add(session, {user_id: (sums[user_id], longest[user_id]) for user_id in mine})
        return [user_id for user_id in sums if user_id not in mine or found[user_id] >= at_most]

    async def _add(self, session: AsyncSession, sums: dict[str, tuple[Sums, int | None]]) -> None:
        totals, by, slots = [], [], []
        for user_id, (one, longest) in sums.items():
            totals.append(one.row(user_id, longest))
            by += one.rows_by(user_id)
            slots += one.rows_of_slots(user_id)
        connection = await session.connection()
        for statement, rows in ((self._add_totals, totals), (self._add_by, by), (self._add_slots, slots)):
            if rows:
                await connection.exec_driver_sql(statement, (orjson.dumps(rows).decode(),))

    async def _measure(self, user_id: str) -> None:
        """Finds out how long a user's longest chat is, now that nobody adds anything up for him."""
        async with self._db.write() as session:
            own = col(Usage.user_id) == user_id
            known = select(col(Usage.longest)).where(own).with_for_update()
            if (await session.execute(known)).scalar_one() is None:
                most = "SELECT max(message_count) FROM chats WHERE user_id = $1"
                row = await SessionReader(session).fetch_one(most, user_id)
                await session.execute(update(Usage).where(own).values(longest=(row and row[0]) or 0))

    def _upsert(
        self, table: str, columns: Sequence[str], types: Sequence[str], changes: Iterable[str], *, keys: int
    ) -> str:
        given = ", ".join(f"given.c{n}" for n in range(len(columns)))
        statement = (
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {given} FROM {self._sql.rows(types)} WHERE true "
            f"ON CONFLICT ({', '.join(columns[:keys])}) DO UPDATE SET {', '.join(changes)}"
        )
        return statement.replace("$1", "?1") if self._db.kind == "sqlite" else statement


def _added(table: str, names: Iterable[str]) -> list[str]:
    return [f"{name} = {table}.{name} + excluded.{name}" for name in names]


def _summed(rows: Iterable[Row]) -> tuple[dict[str, Sums], dict[str, int | None], dict[str, int]]:
    """What each user's changes add up to, how long his longest chat may be by what is known, and how many they are."""
    sums: dict[str, Sums] = {}
    known: dict[str, int | None] = {}
    found: dict[str, int] = {}
    for user_id, counted, longest, feed, position, at, entries, counts in rows:
        if user_id not in sums:
            sums[user_id] = Sums(counted or 0, counted or 0)
            known[user_id] = 0 if counted is None else longest
            found[user_id] = 0
        one = sums[user_id]
        if position is None:
            # The changes are gone, as after a repair by hand: nothing can be added, nor ever will be.
            one.position = feed
            continue
        one.add(position, at, orjson.loads(entries), orjson.loads(counts) if counts else ())
        found[user_id] += 1
    for user_id, one in sums.items():
        most = known[user_id]
        if most is not None and one.shrunk >= max(most, 1):
            known[user_id] = None
    return sums, known, found


async def _locked(session: AsyncSession, sums: dict[str, Sums]) -> set[str]:
    """Locks the counters of these users, in the order in which everybody does; those who are where they were."""
    new = [user_id for user_id in sorted(sums) if sums[user_id].began == 0]
    if new:
        insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
        empty = {**dict.fromkeys(TOTALS, 0), "position": 0, "longest": 0}
        rows = [{"user_id": user_id, **empty} for user_id in new]
        await session.execute(insert(Usage).values(rows).on_conflict_do_nothing())
    statement = (
        select(col(Usage.user_id), col(Usage.position))
        .where(col(Usage.user_id).in_(sums))
        .order_by(col(Usage.user_id))
        .with_for_update()
    )
    return {user_id for user_id, at in await session.execute(statement) if at == sums[user_id].began}
