"""Steps of a series in a time zone: where each begins, as the clocks there show it. Pure.

A day has 23 or 25 hours where the clocks are changed, an hour may come twice, and there were days that never were. A
zone may change its offset at any moment, so the steps are found by looking, never by adding.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from app.http.errors import BadRequest

By = Literal["hour", "day", "week"]

MOST_STEPS = 5000
DEFAULT_DAYS = 30
SECONDS = {"hour": 3600, "day": 86_400, "week": 604_800}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_HOW = "is a day, such as 2026-01-31, or a moment, such as 2026-01-31T12:00:00Z, between the years 2 and 9998"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time in which a zone has one offset: from `begin` to before `end`, seconds since 1970 in UTC."""

    begin: int
    end: int
    offset: int


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a series: the first seconds of each, in order, and of what comes after the last; and what they lie
    in."""

    zone: tzinfo
    starts: list[int]
    stretches: list[Stretch]

    def start(self, place: int) -> str:
        """When a step begins, as its zone writes it."""
        return (_EPOCH + timedelta(seconds=self.starts[place])).astimezone(self.zone).isoformat()


def zone_of(name: str) -> tzinfo:
    """The time zone with an IANA name. Raises BadRequest (400)."""
    if name in ("UTC", "Etc/UTC"):
        return UTC
    if name not in _names():
        raise BadRequest("tz is the IANA name of a time zone, such as Europe/Berlin, Asia/Kolkata or UTC.")
    return ZoneInfo(name)


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


def steps(begin: str | None, end: str | None, by: By, zone: tzinfo, now: datetime) -> Steps:
    """The steps from the one that has `begin` in it to the one that has `end` in it.

    Raises BadRequest (400) where these are no days or moments, in the wrong order, or so far apart that there would be
    more than MOST_STEPS.
    """
    last = _local(end, "to", zone) if end else now.astimezone(zone)
    first = _local(begin, "from", zone) if begin else last - timedelta(days=DEFAULT_DAYS - 1)
    if end and _DAY.fullmatch(end):
        # The whole of the day.
        last = last.replace(hour=23, minute=59, second=59, fold=1)
    if not begin and by != "hour":
        first = first.replace(hour=0, minute=0, second=0, microsecond=0)
    low, high = _seconds(first), _seconds(last)
    if low > high:
        raise BadRequest("from is after to.")
    if (high - low) // SECONDS[by] >= MOST_STEPS:
        raise BadRequest(
            f"A series has at most {MOST_STEPS:,} steps, and from {first.date()} to {last.date()} there are more: "
            f"ask for a shorter time, or for longer steps than by={by}."
        )
    # A step has at most a week, and what the clocks are moved by.
    stretches = list(_stretches(low - 9 * 86_400, high + 9 * 86_400, zone))
    starts = _starts(stretches, by) if by == "hour" else _midnights(first, last, by, zone)
    after = next(place for place, start in enumerate(starts) if start > high)
    before = max(place for place, start in enumerate(starts) if start <= low)
    return Steps(zone, starts[before : after + 1], stretches)


def _local(text: str, name: str, zone: tzinfo) -> datetime:
    """The moment that a text says, or with which the day begins that it says, in the zone."""
    try:
        if _DAY.fullmatch(text):
            found = datetime.combine(date.fromisoformat(text), time(), zone)
        else:
            found = datetime.fromisoformat(text)
            if found.tzinfo is None:
                raise BadRequest(f"{name} {_HOW}; a moment needs its time zone.")
            found = found.astimezone(zone)
    except (ValueError, OverflowError):
        raise BadRequest(f"{name} {_HOW}.") from None
    if not 2 <= found.year <= 9998:
        raise BadRequest(f"{name} {_HOW}.")
    return found


def _seconds(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)


def _offset(second: int, zone: tzinfo) -> int:
    offset = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(seconds=1)


def _stretches(low: int, high: int, zone: tzinfo) -> Iterator[Stretch]:
    begin, offset = low, _offset(low, zone)
    for day in range(low, high, 86_400):
        after = min(day + 86_400, high)
        if (later := _offset(after, zone)) != offset:
            same, other = day, after
            while other - same > 1:
                middle = (same + other) // 2
                same, other = (middle, other) if _offset(middle, zone) == offset else (same, middle)
            yield Stretch(begin, other, offset)
            begin, offset = other, later
    yield Stretch(begin, high, offset)


def _starts(stretches: list[Stretch], by: By) -> list[int]:
    """Full hours by the clocks, and where these are moved."""
    width = SECONDS[by]
    found = set()
    for one in stretches:
        found.add(one.begin)
        found.update(range(one.begin + (-(one.begin + one.offset)) % width, one.end, width))
    return sorted(found)


def _midnights(first: datetime, last: datetime, by: By, zone: tzinfo) -> list[int]:
    """When days or weeks begin. A day that never was begins when the next one does, and is none."""
    days = 7 if by == "week" else 1
    day = first.date() - timedelta(days=first.weekday() if by == "week" else 0)
    found = set()
    while day <= last.date() + timedelta(days=days):
        found.add(_seconds(datetime.combine(day, time(), zone)))
        day += timedelta(days=days)
    return sorted(found)
