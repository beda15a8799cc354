"""Timestamps in requests: ISO 8601 with a time zone, as a Pydantic type."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field


def _only_iso_text(value: object) -> object:
    # Pydantic would read a number as seconds, or as milliseconds.
    if isinstance(value, str) and not value.strip().lstrip("+-").replace(".", "", 1).isdigit():
        return value
    raise ValueError("a moment is written as ISO 8601 with a time zone, such as 2026-01-31T12:00:00Z")


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        # Such as 9999-12-31T23:59:59-01:00.
        raise ValueError("a moment outside the years 1 to 9999") from None


Timestamp = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_only_iso_text), AfterValidator(_in_utc)]
"""A timestamp with a time zone, as ISO 8601 text; a naive one is refused."""
