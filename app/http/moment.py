"""Moments as clients write them."""

from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field


def _only_iso_text(value: object) -> object:
    # Pydantic would read a number as seconds, or as milliseconds.
    if isinstance(value, str) and not value.strip().lstrip("+-").replace(".", "", 1).isdigit():
        return value
    raise ValueError("a moment is written as ISO 8601 with a time zone, such as 2026-01-31T12:00:00Z")


Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_only_iso_text)]
"""A moment with a time zone, as ISO 8601 text; a naive one is refused."""
