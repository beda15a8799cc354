"""Reading a series: the counters of quarters of an hour, added up by the database into steps."""

from bisect import bisect_right
from typing import Any

import orjson

from app.db.driver import Reader
from app.events.counter_deltas import SLOT
from app.stats.calendar import SECONDS, By, Steps
from app.stats.database_kind import StatsSql
from app.stats.deltas import SLOT_TOTALS

_QUARTER = int(SLOT.total_seconds())
# Makes every number positive, since a division cuts towards zero; a multiple of every step.
_SHIFT = 604_800 * 1_000_000
# 1970 began on a Thursday, and weeks begin on a Monday.
_INTO_THE_WEEK = 3 * 86_400


async def series(reader: Reader, sql: StatsSql, user_id: str | None, steps: Steps, by: By) -> list[dict[str, Any]]:
    """The steps of a user, or with None of all, as `app.stats.schemas.Step` says them."""
    sums = [[0] * len(SLOT_TOTALS) for _ in steps.starts[1:]]
    first, last = steps.starts[0], steps.starts[-1]
    stretches = [
        [_slot(max(one.begin, first)), _slot(min(one.end, last)), one.offset + _INTO_THE_WEEK + _SHIFT]
        for one in steps.stretches
        if one.begin < last and one.end > first
    ]
    totals = ", ".join(f"sum(s.{name})" for name in SLOT_TOTALS)
    mine = "" if user_id is None else "s.user_id = $2 AND "
    # Quarters of one group lie in one step: it begins with a step or with a stretch.
    statement = (
        f"SELECT min(s.slot), {totals} FROM {sql.rows(['bigint'] * 3)} "
        f"JOIN usage_slots s ON {mine}s.slot >= given.c0 AND s.slot < given.c1 "
        f"GROUP BY given.c0, (s.slot * {_QUARTER} + given.c2) / {SECONDS[by]}"
    )
    owner = () if user_id is None else (user_id,)
    for slot, *numbers in await reader.fetch(statement, orjson.dumps(stretches).decode(), *owner):
        into = sums[bisect_right(steps.starts, slot * _QUARTER) - 1]
        into[:] = (known + int(more) for known, more in zip(into, numbers, strict=True))
    names = ("conversations", *SLOT_TOTALS[1:])
    return [{"start": steps.start(place), **dict(zip(names, one, strict=True))} for place, one in enumerate(sums)]


def _slot(second: int) -> int:
    """The first slot that begins at a second or later."""
    return -(-second // _QUARTER)
