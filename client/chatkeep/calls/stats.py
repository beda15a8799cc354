"""Calls of statistics."""

from datetime import date, datetime
from typing import Literal

from chatkeep.call import Call, get_call
from chatkeep.models.model import parse_list, parse_model
from chatkeep.models.stats import Series, Stats, Storage, TopUser

Day = date | datetime | str
TopUsers = list[TopUser]


def totals(*, user_id: str | None = None, all_users: bool | None = None) -> Call[Stats]:
    """What the caller has; with the scope `admin` what another user has, or all of them."""
    return get_call("/stats", parse_model(Stats), user_id=user_id, all_users=all_users)


def daily(
    *,
    from_: Day | None = None,
    to: Day | None = None,
    by: Literal["hour", "day", "week"] | None = None,
    tz: str | None = None,
    user_id: str | None = None,
    all_users: bool | None = None,
) -> Call[Series]:
    """A series by hour, day or week, of the last 30 days by default, the day `to` included."""
    return get_call(
        "/stats/daily", parse_model(Series), from_=from_, to=to, by=by, tz=tz, user_id=user_id, all_users=all_users
    )


def top(*, by: Literal["messages", "tokens", "chats"] | None = None, limit: int | None = None) -> Call[TopUsers]:
    """The most active users. Needs the scope `admin`."""
    return get_call("/stats/top", parse_list(TopUser, "items"), for_user=False, by=by, limit=limit)


def storage() -> Call[Storage]:
    """What the database takes. Needs the scope `admin`."""
    return get_call("/stats/storage", parse_model(Storage), for_user=False)
