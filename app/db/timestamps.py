"""Timestamps as drivers give them and as the API writes them: UTC, with microseconds, in ISO 8601.

SQLite's driver gives text, and Postgres' a datetime. asyncpg stores the first and the last datetime that there is as
±infinity, and gives those two back without a time zone.
"""

from datetime import UTC, datetime
from typing import overload


def now() -> datetime:
    """The current time, in UTC."""
    return datetime.now(UTC)


@overload
def to_datetime(value: datetime | str) -> datetime: ...
@overload
def to_datetime(value: None) -> None: ...
def to_datetime(value: datetime | str | None) -> datetime | None:
    """A driver's timestamp as a datetime with a time zone."""
    if value is None:
        return None
    timestamp = datetime.fromisoformat(value) if isinstance(value, str) else value
    return timestamp if timestamp.tzinfo is not None else timestamp.replace(tzinfo=UTC)


@overload
def to_iso(value: datetime | str) -> str: ...
@overload
def to_iso(value: None) -> None: ...
def to_iso(value: datetime | str | None) -> str | None:
    """`2026-01-31T12:00:00.000000Z`: always UTC, always microseconds, so that the texts sort as the times do."""
    if isinstance(value, datetime):
        return to_datetime(value).astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    return value
