"""Values of items: type checks, JSON as text, and timestamps."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import orjson

Json = dict[str, Any]

_MAX_DEPTH = 48  # a body may have 64 levels, and the item around a value has some of them
_MAX_INTEGER = 2**53


def string_or_none(value: object) -> str | None:
    """A text that is not empty; None for anything else."""
    return value if isinstance(value, str) and value else None


def dict_or_empty(value: object) -> Json:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_text(value: Any) -> str:
    """A value as text: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def parse_json(text: str) -> Any:
    """The object or list that a text is the JSON of, else the text itself.

    It also stays a text where the value would be refused if it were sent back to us: see app/http/strict_json.
    """
    if text[:1] not in ("{", "["):
        return text
    try:
        value = _decode(text)
    except (ValueError, RecursionError):
        return text
    return value if _is_plain(value) else text


def parse_json_object(text: str) -> Json | None:
    """The object that a text is the JSON of; None if it is none."""
    value = parse_json(text)
    return value if isinstance(value, dict) else None


def timestamp_from_seconds(seconds: Any) -> str | None:
    """A timestamp as messages have it, from seconds since 1970; None from anything else."""
    if type(seconds) not in (int, float):
        return None
    try:
        return _format(datetime.fromtimestamp(seconds, UTC))
    except (OverflowError, ValueError, OSError):
        return None


def timestamp_from_iso(text: Any) -> str | None:
    """A timestamp as messages have it, from ISO 8601 with a time zone; None from anything else."""
    try:
        timestamp = datetime.fromisoformat(text)
        return None if timestamp.tzinfo is None else _format(timestamp.astimezone(UTC))
    except (OverflowError, TypeError, ValueError):
        return None


def seconds_from_timestamp(timestamp: str) -> float:
    """A message's timestamp as seconds since 1970."""
    return datetime.fromisoformat(timestamp).timestamp()


def _format(timestamp: datetime) -> str:
    return timestamp.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> Json:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is twice in an object")
    return members


_decode = json.JSONDecoder(object_pairs_hook=_object_without_duplicates).decode


def _is_plain(root: Any) -> bool:
    pending = [(root, 1)]
    while pending:
        value, depth = pending.pop()
        if isinstance(value, dict | list):
            if depth > _MAX_DEPTH:
                return False
            pending += [(member, depth + 1) for member in (value.values() if isinstance(value, dict) else value)]
            if isinstance(value, dict) and not all(map(_is_plain_text, value)):
                return False
        elif isinstance(value, str):
            if not _is_plain_text(value):
                return False
        elif isinstance(value, int):
            if abs(value) > _MAX_INTEGER:
                return False
        elif isinstance(value, float) and not math.isfinite(value):
            return False
    return True


def _is_plain_text(text: str) -> bool:
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
