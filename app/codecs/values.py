"""The values that items hold: JSON as text, and moments."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import orjson

_DEEPEST = 48  # of the 64 that a body may have: the item around it has some
_MAX_INTEGER = 2**53


def text_of(value: Any) -> str:
    """A value as text: a text itself, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def value_of(text: str) -> Any:
    """What a text means: the object or the list that it is the JSON of, else the text itself.

    It stays a text, too, where it has what would be refused, were it sent back to us as JSON: see app/http/strict_json.
    """
    if text[:1] not in ("{", "["):
        return text
    try:
        value = _decode(text)
    except (ValueError, RecursionError):
        return text
    return value if _is_plain(value) else text


def object_of(text: str) -> dict[str, Any] | None:
    """The object that a text is the JSON of, None if it is none."""
    value = value_of(text)
    return value if isinstance(value, dict) else None


def moment_at(seconds: Any) -> str | None:
    """A moment as messages have it, from seconds since 1970; None from anything else."""
    if type(seconds) not in (int, float):
        return None
    try:
        return _written(datetime.fromtimestamp(seconds, UTC))
    except (OverflowError, ValueError, OSError):
        return None


def moment_in(text: Any) -> str | None:
    """A moment as messages have it, from ISO 8601 with a time zone; None from anything else."""
    try:
        moment = datetime.fromisoformat(text)
        return None if moment.tzinfo is None else _written(moment.astimezone(UTC))
    except (OverflowError, TypeError, ValueError):
        return None


def seconds_at(moment: str) -> float:
    """A message's moment as seconds since 1970."""
    return datetime.fromisoformat(moment).timestamp()


def _written(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name is twice in an object")
    return made


_decode = json.JSONDecoder(object_pairs_hook=_object).decode


def _is_plain(value: Any) -> bool:
    pending = [(value, 1)]
    while pending:
        one, depth = pending.pop()
        if isinstance(one, dict | list):
            if depth > _DEEPEST:
                return False
            pending += [(member, depth + 1) for member in (one.values() if isinstance(one, dict) else one)]
            if isinstance(one, dict) and not all(map(_is_text, one)):
                return False
        elif isinstance(one, str):
            if not _is_text(one):
                return False
        elif isinstance(one, int):
            if abs(one) > _MAX_INTEGER:
                return False
        elif isinstance(one, float) and not math.isfinite(one):
            return False
    return True


def _is_text(text: str) -> bool:
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
