"""The languages in which a chat can be written and read, each that of another API or library.

A codec is one file here, which registers itself: it reads an item into a message of ours, and writes what a message
says as items. Nothing here knows of a database or of HTTP.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from app.codecs.said import Said, said

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec: `read` and `write`, pure both.

    Attributes:
        name: what `format` calls it.
        read: gives the message that an item says, with `role` and what else a message has: `type`, `content`,
            `tool_calls`, `tool_call_id`, `name`, `model`, `metadata`. Raises Untranslatable.
        write: gives what a message says as items of this codec, none where it can say nothing of it. Never fails.
        join: gives the items of messages that follow each other as they belong together, where that is something else.
    """

    name: str
    read: Callable[[Json], Json]
    write: Callable[[Said], list[Json]]
    join: Callable[[list[Json]], list[Json]] | None = None


class Untranslatable(ValueError):
    """An item that is none of its codec. Its text says why; `place` where in the item, as names and positions."""

    def __init__(self, why: str, *place: str | int) -> None:
        super().__init__(why)
        self.place = place


CODECS: dict[str, Codec] = {}


def register(codec: Codec) -> None:
    """Adds a codec to those there are."""
    CODECS[codec.name] = codec


def taken(codec: Codec, item: Json) -> tuple[Json, Json | None]:
    """An item as it is stored: the message that it says, and the payload it is given back by.

    The payload is None where the message alone gives the item back. Raises Untranslatable.
    """
    message = codec.read(item)
    silent = message.get("content") is None and not message.get("tool_calls") and "type" not in message
    if not silent and same(codec.write(said(_STORED | message)), [item]):
        return message, None
    return message, {"format": codec.name, "item": item}


def given(codec: Codec, message: Json, payload: Any) -> list[Json]:
    """A stored message, as it is answered, as items of a codec.

    The one that came where it came in this codec, and says what the message says: an edited message is written anew.
    """
    item = kept(codec, payload)
    if item is not None and ("edited_at" not in message or _says(codec, item, message)):
        return [item]
    return codec.write(said(message))


def kept(codec: Codec, payload: Any) -> Json | None:
    """The item that a payload keeps, if it is one of this codec."""
    if isinstance(payload, dict) and payload.get("format") == codec.name:
        item: Json = payload["item"]
        return item
    return None


def check_payload(payload: Any) -> None:
    """Raises Untranslatable for a payload from elsewhere that says it is of a codec, and is none of its items.

    What is of no codec that we know is nobody's to read, and may be anything.
    """
    name = payload.get("format") if isinstance(payload, dict) else None
    codec = CODECS.get(name) if isinstance(name, str) else None
    if codec is None:
        return
    if payload.keys() != {"format", "item"} or not isinstance(payload["item"], dict):
        raise Untranslatable("a payload has a format and an item")
    codec.read(payload["item"])


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: to Python 1, 1.0 and True are equal."""
    return one == other and orjson.dumps(one, option=_SORTED) == orjson.dumps(other, option=_SORTED)


# What a message is given when it is stored: an item that would be given back with it must be kept.
_STORED = {"message_id": "00000000-0000-0000-0000-000000000000", "created_at": "0001-01-01T00:00:00.000000Z"}
_SORTED = orjson.OPT_SORT_KEYS
_SAID = ("role", "type", "content", "tool_calls", "tool_call_id", "name")


def _says(codec: Codec, item: Json, message: Json) -> bool:
    try:
        first = {"type": "message"} | codec.read(item)
    except Untranslatable:
        # A later version may take less than the one that took it.
        return False
    return all(same(first.get(name), message.get(name)) for name in _SAID)


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
