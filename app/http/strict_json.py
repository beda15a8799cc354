"""Strict JSON parsing: accepts what can be stored and read back unchanged on every database, and refuses the rest.

RFC 8259 leaves several things to the receiver. Chatkeep refuses what would be lost or changed on the way: duplicate
keys, integers beyond ±2^53, numbers beyond float64, NaN and infinities, NUL and lone surrogates, and deep nesting.
"""

import json
import math
from typing import Any, NoReturn

from app.http.errors import Unprocessable

MAX_DEPTH = 64
MAX_INTEGER = 2**53


def loads(body: bytes) -> Any:
    """The value that a JSON text in UTF-8 means.

    Raises Unprocessable (422) where the text is not JSON, or has what Chatkeep does not take.
    """
    try:
        value = decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise _refused("The body is not UTF-8.") from None
    except RecursionError:
        raise _refused(f"JSON is nested deeper than {MAX_DEPTH}.") from None
    except ValueError as error:
        # Python's limit on the digits of an int raises a plain ValueError.
        if isinstance(error, json.JSONDecodeError):
            raise _refused(f"The body is not JSON: {error.msg} at character {error.pos}.") from None
        raise _refused(f"An integer is beyond ±{MAX_INTEGER}.") from None
    check(value)
    return value


def check(value: Any) -> None:
    """Raises Unprocessable (422) for a value that JSON could carry but Chatkeep does not keep."""
    pending = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        kind = type(item)
        if kind is str:
            check_text(item)
        elif kind is dict or kind is list:
            if depth > MAX_DEPTH:
                raise _refused(f"JSON is nested deeper than {MAX_DEPTH}.")
            if kind is dict:
                for key, member in item.items():
                    check_text(key)
                    pending.append((member, depth + 1))
            else:
                pending.extend((member, depth + 1) for member in item)
        elif kind is int:
            if not -MAX_INTEGER <= item <= MAX_INTEGER:
                raise _refused(f"An integer is beyond ±{MAX_INTEGER}.")
        elif kind is float and not math.isfinite(item):
            raise _refused("A number is beyond float64.")


def check_text(text: str) -> None:
    """Raises Unprocessable (422) for text that a database would refuse: NUL characters and lone surrogates."""
    if "\0" in text:
        raise _refused("A text has a NUL character.")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise _refused("A text has a lone surrogate.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _refused("An object has the same key twice.")
    return result


def _constant(name: str) -> NoReturn:
    raise _refused(f"{name} is not JSON.")


def _refused(message: str) -> Unprocessable:
    return Unprocessable(errors=[{"loc": ["body"], "msg": message, "type": "json"}])


# Made once: json.loads would make one for each body, for as much time as it needs to read a small one.
decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode
"""The value of a JSON text, still to be checked: no name is twice in an object. Raises what `loads` handles."""
