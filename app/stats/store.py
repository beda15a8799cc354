"""Statistics store: totals, series, the most active users and storage, read from the counters."""

from itertools import pairwise
from typing import Any

import orjson

from app.db.database import Database
from app.events.counter_deltas import TIME_BUCKET
from app.stats.calendar import Steps
from app.stats.deltas import BUCKET_TOTALS
from app.stats.queries import ALL_TOTALS, USER_TOTALS, series_totals, stats_sql, top_users
from app.stats.serialize import serialize_totals, serialize_user

_BUCKET_SECONDS = int(TIME_BUCKET.total_seconds())


class StatsStore:
    """The statistics of one database. What is not aggregated yet is not in them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._sql = stats_sql(db)

    async def totals(self, user_id: str | None) -> dict[str, Any]:
        """The totals of a user, or with None of all, as in `app.stats.schemas.StatsOut`."""
        if user_id is None:
            return serialize_totals(await self._db.driver.fetch(ALL_TOTALS))
        totals = serialize_totals(await self._db.driver.fetch(USER_TOTALS, user_id))
        del totals["total_users"]
        return totals

    async def top(self, by: str, limit: int) -> list[dict[str, Any]]:
        """The users with most of something in RANKINGS, as in `app.stats.schemas.TopUser`."""
        return [serialize_user(row) for row in await self._db.driver.fetch(top_users(by, limit))]

    async def series(self, user_id: str | None, steps: Steps) -> list[dict[str, Any]]:
        """The steps of a user, or with None of all, as in `app.stats.schemas.Step`."""
        arguments = (orjson.dumps(_runs(steps)).decode(), *(() if user_id is None else (user_id,)))
        rows = await self._db.driver.fetch(series_totals(self._sql, user_id), *arguments)
        totals = {row[0]: map(int, tuple(row)[1:]) for row in rows}
        names = ("conversations", *BUCKET_TOTALS[1:])
        nothing = (0,) * len(names)
        return [
            {"start": steps.start(index), **dict(zip(names, totals.get(index, nothing), strict=True))}
            for index in range(len(steps.starts) - 1)
        ]

    async def storage(self) -> dict[str, Any]:
        """The size of all there is, as in `app.stats.schemas.StorageOut`. No row is counted."""
        storage = await self._sql.storage(self._db)
        totals = await self.totals(None)
        counted = {"chats": totals["total_conversations"], "messages": totals["total_messages"]}
        for table in storage["tables"]:
            table["rows"] = counted.get(table["name"], table["rows"])
            sizes = [index["bytes"] for index in table["indexes"]]
            table["index_bytes"] = None if table["bytes"] is None or None in sizes else sum(sizes)
        return {"database": self._db.kind, **storage}


def _runs(steps: Steps) -> list[list[int]]:
    """Runs of steps with equal lengths, as `series_totals` takes them; the last step of a run may have any length.

    A time bucket belongs to the step in which it begins.
    """
    runs: list[list[int]] = []
    is_open = False
    # The first time bucket that begins in each step.
    firsts = [-(-start // _BUCKET_SECONDS) for start in steps.starts]
    for index, (first, end) in enumerate(pairwise(firsts)):
        if is_open:
            runs[-1][1], runs[-1][3] = index, end
            is_open = end - first == runs[-1][4]
        else:
            # A step may be so short that no time bucket begins in it.
            runs.append([index, index, first, end, max(end - first, 1)])
            is_open = end > first
    return runs
