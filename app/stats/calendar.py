"""Calendar: when the hours, days and weeks of a time zone begin, by its clocks. Pure.

A day has 23 or 25 hours where the clocks are changed, an hour may come twice, and a day may be left out. `zoneinfo`
knows them all, so each step is asked of it, never computed from the step before.
"""

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from app.http.errors import BadRequest

By = Literal["hour", "day", "week"]

MAX_STEPS = 5000
DEFAULT_DAYS = 30
_SECONDS = {"hour": 3600, "day": 86_400, "week": 604_800}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_EXPECTED = "is a day, such as 2026-01-31, or a moment, such as 2026-01-31T12:00:00Z, between the years 2 and 9998"


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a series: the second since 1970 in which each begins, in order, and the end of the last one."""

    zone: tzinfo
    starts: list[int]

    def start(self, index: int) -> str:
        """When a step begins, as ISO 8601 with the offset of its time zone."""
        return _local(self.starts[index], self.zone).isoformat()


def time_zone(name: str) -> tzinfo:
    """The time zone with an IANA name. Raises BadRequest (400)."""
    if name in ("UTC", "Etc/UTC"):
        return UTC
    if name not in _names():
        raise BadRequest("tz is the IANA name of a time zone, such as Europe/Berlin, Asia/Kolkata or UTC.")
    return ZoneInfo(name)


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


def series_steps(begin: str | None, end: str | None, by: By, zone: tzinfo, now: datetime) -> Steps:
    """The steps from the one that contains `begin` to the one that contains `end`.

    Raises BadRequest (400) where these are no days or timestamps, in the wrong order, or so far apart that there would
    be more than MAX_STEPS.
    """
    last = _parse(end, "to", zone) if end else now.astimezone(zone)
    first = _parse(begin, "from", zone) if begin else last - timedelta(days=DEFAULT_DAYS - 1)
    if end and _DAY.fullmatch(end):
        # The whole of the day.
        last = last.replace(hour=23, minute=59, second=59, fold=1)
    if not begin and by != "hour":
        first = first.replace(hour=0, minute=0, second=0, microsecond=0)
    low, high = _seconds(first), _seconds(last)
    if low > high:
        raise BadRequest("from is after to.")
    if (high - low) // _SECONDS[by] >= MAX_STEPS:
        raise BadRequest(
            f"A series has at most {MAX_STEPS:,} steps, and from {first.date()} to {last.date()} there are more: "
            f"ask for a shorter time, or for longer steps than by={by}."
        )
    starts = _hours(low, high, zone) if by == "hour" else _days(first, last, 7 if by == "week" else 1)
    return Steps(zone, starts[bisect_right(starts, low) - 1 : bisect_right(starts, high) + 1])


def _parse(text: str, name: str, zone: tzinfo) -> datetime:
    """A timestamp, or the begin of a day, in the zone. Raises BadRequest (400)."""
    try:
        if _DAY.fullmatch(text):
            timestamp = datetime.combine(date.fromisoformat(text), time(), zone)
        else:
            timestamp = datetime.fromisoformat(text)
            if timestamp.tzinfo is None:
                raise BadRequest(f"{name} {_EXPECTED}; a moment needs its time zone.")
            timestamp = timestamp.astimezone(zone)
    except (ValueError, OverflowError):
        raise BadRequest(f"{name} {_EXPECTED}.") from None
    if not 2 <= timestamp.year <= 9998:
        raise BadRequest(f"{name} {_EXPECTED}.")
    return timestamp


def _seconds(timestamp: datetime) -> int:
    return (timestamp.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)


def _local(second: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(seconds=second)).astimezone(zone)


def _hours(low: int, high: int, zone: tzinfo) -> list[int]:
    """When hours begin by the clocks, and where the clocks are changed; at least from `low` to after `high`."""
    starts = []
    second = low - 3600
    while second <= high:
        local = _local(second, zone)
        offset = local.utcoffset()
        end = second + 3600 - 60 * local.minute - local.second
        if _local(end, zone).utcoffset() != offset:
            seconds = range(second, end)
            end = second + bisect_left(seconds, True, key=lambda at: _local(at, zone).utcoffset() != offset)
        starts.append(end)
        second = end
    return starts


def _days(first: datetime, last: datetime, days: int) -> list[int]:
    """When days or weeks begin. A day that was left out begins when the next one does, and is none."""
    day = first.date() - timedelta(days=first.weekday() if days == 7 else 0)
    starts = set()
    while day <= last.date() + timedelta(days=days):
        starts.add(_seconds(datetime.combine(day, time(), first.tzinfo)))
        day += timedelta(days=days)
    return sorted(starts)
