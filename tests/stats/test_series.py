"""Series: steps by the clocks of a time zone, without holes, and what falls into each."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
import pytest

from app.stats.calendar import series_steps, time_zone
from tests.callers import Json, ok, problem
from tests.profiles import count

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "America/Havana",
    "Pacific/Kiritimati",
    "Africa/Casablanca",
)


def local(begin: str, end: str, by: Any, zone: str) -> list[str]:
    """When the steps begin."""
    found = series_steps(begin, end, by, time_zone(zone), datetime(2026, 1, 31, 12, tzinfo=UTC))
    return [found.start(place) for place in range(len(found.starts) - 1)]


def hours(begin: str, zone: str) -> list[str]:
    """The hours of a day."""
    return local(begin, begin, "hour", zone)


def test_a_day_has_23_or_25_hours_where_the_clocks_are_changed() -> None:
    assert len(hours("2026-03-28", "Europe/Berlin")) == 24
    spring = hours("2026-03-29", "Europe/Berlin")
    assert len(spring) == 23
    assert spring[1:3] == ["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"]
    autumn = hours("2026-10-25", "Europe/Berlin")
    assert len(autumn) == 25
    assert autumn[2:4] == ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]
    assert autumn[-1] == "2026-10-25T23:00:00+01:00"


def test_hours_begin_as_the_clocks_there_show() -> None:
    assert hours("2026-01-31", "Asia/Kolkata")[::23] == ["2026-01-31T00:00:00+05:30", "2026-01-31T23:00:00+05:30"]
    assert hours("2026-01-31", "Asia/Kathmandu")[0] == "2026-01-31T00:00:00+05:45"
    # Half an hour back, at two.
    assert hours("2026-04-05", "Australia/Lord_Howe")[1:4] == [
        "2026-04-05T01:00:00+11:00",
        "2026-04-05T01:30:00+10:30",
        "2026-04-05T02:00:00+10:30",
    ]


def test_a_day_that_never_was_is_none() -> None:
    days = local("2011-12-29", "2011-12-31", "day", "Pacific/Apia")
    assert days == ["2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"]
    # Clocks went from midnight to one, and later from midnight back to eleven.
    assert local("2018-11-04", "2018-11-05", "day", "America/Sao_Paulo") == [
        "2018-11-04T01:00:00-02:00",
        "2018-11-05T00:00:00-02:00",
    ]
    assert len(hours("2018-02-17", "America/Sao_Paulo")) == 25


def test_weeks_are_those_of_iso_8601() -> None:
    assert local("2026-01-01", "2026-01-05", "week", "Asia/Kolkata") == [
        "2025-12-29T00:00:00+05:30",
        "2026-01-05T00:00:00+05:30",
    ]
    # A day, a moment in it and its end are in the same step.
    for end in ("2026-01-11", "2026-01-11T23:59:59.999999+05:30", "2026-01-05T00:00:00+05:30"):
        assert local("2026-01-05", end, "week", "Asia/Kolkata") == ["2026-01-05T00:00:00+05:30"]


def test_without_days_it_is_the_last_thirty() -> None:
    found = series_steps(None, None, "day", time_zone("Asia/Tokyo"), datetime(2026, 1, 31, 16, tzinfo=UTC))
    assert len(found.starts) == 31
    assert found.start(0) == "2026-01-03T00:00:00+09:00"
    assert found.start(29) == "2026-02-01T00:00:00+09:00"


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("by", ["hour", "day", "week"])
def test_steps_have_no_holes(zone: str, by: Any, seed: int) -> None:
    source = random.Random(f"{zone} {by} {seed}")
    for _ in range(count(fast=10, all=80)):
        day = date(1975, 1, 1) + timedelta(days=source.randrange(25_000))
        end = day + timedelta(days=source.randrange(60))
        found = series_steps(str(day), str(end), by, time_zone(zone), datetime(2026, 1, 1, tzinfo=UTC))
        assert found.starts == sorted(set(found.starts))
        begins = [datetime.fromisoformat(found.start(place)) for place in range(len(found.starts))]
        assert all(begin.minute in (0, 30) for begin in begins if by == "hour")
        if by != "hour":
            assert all(begin.hour in (0, 1) for begin in begins)
            dates = [begin.astimezone(time_zone(zone)).date() for begin in begins]
            assert all((a.weekday(), b.weekday()) == (0, 0) for a, b in pairwise(dates) if by == "week")
            assert dates == sorted(set(dates))
            assert dates[0] <= day <= end < dates[-1]


async def test_what_falls_into_each(me: httpx2.AsyncClient, seed: int) -> None:
    source = random.Random(seed)
    first = datetime(2026, 3, 20, tzinfo=UTC)
    moments = [first + timedelta(seconds=source.randrange(20 * 86_400)) for _ in range(300)]
    # The turns of days and hours, to the microsecond.
    moments += [datetime(2026, 3, 29, 1, tzinfo=UTC) - timedelta(microseconds=number) for number in (0, 1)]
    moments += [datetime(2026, 4, 4, 15, tzinfo=UTC) + timedelta(minutes=number) for number in range(-60, 60, 15)]
    messages = [{"role": "user", "content": "x", "tokens": 3, "created_at": one.isoformat()} for one in moments]
    ok(await me.post("/chats/key:x/messages", json={"messages": messages}))
    for tz in ZONES:
        zone = ZoneInfo(tz)
        for by in ("hour", "day", "week"):
            query = {"from": "2026-03-18T00:00:00Z", "to": "2026-04-10T00:00:00Z", "by": by, "tz": tz}
            answer = ok(await me.get("/stats/daily", params=query))
            assert (answer["by"], answer["tz"]) == (by, tz)
            items = [item for item in answer["items"] if item["messages"]]
            assert sum(item["messages"] for item in items) == len(moments)
            assert all(item["total_tokens"] == 3 * item["messages"] for item in items)
            assert all(item["input_tokens"] == item["output_tokens"] == item["conversations"] == 0 for item in items)
            if by != "hour" or tz != "Australia/Lord_Howe":
                assert {item["start"]: item["messages"] for item in items} == Counter(
                    begun(one.astimezone(zone), by) for one in moments
                )


def begun(moment: datetime, by: str) -> str:
    """When the step began that has a moment in it."""
    if by == "hour":
        return moment.replace(minute=0, second=0, microsecond=0).isoformat()
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    begin = day - timedelta(days=day.weekday() if by == "week" else 0)
    return begin.astimezone(UTC).astimezone(moment.tzinfo).isoformat()


async def test_years_end_and_years_are_odd(me: httpx2.AsyncClient) -> None:
    moments = (
        "2025-12-31T23:59:59.999999Z",
        "2026-01-01T00:00:00Z",
        "0002-01-01T00:00:00Z",
        "9998-12-31T23:59:59Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00Z",
    )
    messages = [{"role": "user", "content": "x", "created_at": one} for one in moments]
    ok(await me.post("/chats", json={"conversation": messages}))

    async def found(begin: str, end: str, **query: str) -> list[Json]:
        answer: Json = ok(await me.get("/stats/daily", params={"from": begin, "to": end, **query}))
        return [item for item in answer["items"] if item["messages"]]

    assert [item["start"][:10] for item in await found("2025-12-31", "2026-01-01")] == ["2025-12-31", "2026-01-01"]
    assert [item["start"][:10] for item in await found("2025-12-31", "2026-01-01", tz="Asia/Tokyo")] == ["2026-01-01"]
    assert [item["messages"] for item in await found("2025-12-29", "2026-01-04", by="week")] == [2]
    for day in ("0002-01-01", "9998-12-31"):
        assert [item["start"][:10] for item in await found(day, day)] == [day]
    assert [item["start"][:13] for item in await found("1969-12-31", "1970-01-01", by="hour")] == [
        "1969-12-31T23",
        "1970-01-01T00",
    ]
    today = ok(await me.get("/stats/daily"))["items"]
    assert len(today) == 30
    assert [item["conversations"] for item in today][-2:] in ([0, 1], [1, 0])


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"from": "2026-02-30"}, "from is a day"),
        ({"from": "yesterday"}, "from is a day"),
        ({"to": "2026-01-31T12:00:00"}, "its time zone"),
        ({"to": "2026-W05"}, "to is a day"),
        ({"to": "20260131"}, "to is a day"),
        ({"to": "1769860800"}, "to is a day"),
        ({"from": "0001-01-01", "to": "0001-01-02"}, "the years 2 and 9998"),
        ({"to": "9999-12-31"}, "the years 2 and 9998"),
        ({"to": "9999-12-31T23:59:59-14:00"}, "the years 2 and 9998"),
        ({"from": "2026-02-01", "to": "2026-01-31"}, "from is after to"),
        ({"from": "2026-01-31T12:00:01Z", "to": "2026-01-31T12:00:00Z"}, "from is after to"),
        ({"from": "2000-01-01", "to": "2026-01-01"}, "at most 5,000 steps"),
        ({"from": "2026-01-01", "to": "2026-12-31", "by": "hour"}, "at most 5,000 steps"),
        ({"from": "0002-01-01", "to": "9998-01-01", "by": "week"}, "at most 5,000 steps"),
        *(
            ({"tz": tz}, "IANA name")
            for tz in (
                "Berlin",
                "europe/berlin",
                "+01:00",
                "../../etc/passwd",
                "/etc/localtime",
                "Europe",
                "posixrules",
            )
        ),
    ],
)
async def test_what_is_no_series_is_refused(me: httpx2.AsyncClient, query: dict[str, str], says: str) -> None:
    assert says in problem(await me.get("/stats/daily", params=query), 400)["detail"]


async def test_the_longest_series(me: httpx2.AsyncClient) -> None:
    query = {"from": "2012-12-15", "to": "2026-08-23"}
    assert len(ok(await me.get("/stats/daily", params=query))["items"]) == 5000
    query = {"from": "1930-11-03", "to": "2026-08-23", "by": "week", "tz": "Africa/Casablanca"}
    assert len(ok(await me.get("/stats/daily", params=query))["items"]) == 4999
