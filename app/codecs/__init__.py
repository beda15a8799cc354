"""Codecs: each decodes and encodes the items of one API or library, around one canonical message.

A codec is one file in this folder, which registers itself. Codecs are pure: they know neither a database nor HTTP.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from app.codecs.canonical import CanonicalMessage, canonical_message
from app.codecs.values import Json


@dataclass(frozen=True, slots=True)
class Codec:
    """The decoder and the encoder of one kind of items.

    Attributes:
        name: the value of `?format=` that asks for it.
        decode: gives the message of an item: `role`, and as needed `type`, `content`, `tool_calls`, `tool_call_id`,
            `name`, `model` and `metadata`. Raises UndecodableItem.
        encode: gives the items of a message, none where the format has no words for it. Never fails.
        join: merges items of consecutive messages that belong together; None where there is nothing to merge.
    """

    name: str
    decode: Callable[[Json], Json]
    encode: Callable[[CanonicalMessage], list[Json]]
    join: Callable[[list[Json]], list[Json]] | None = None


class UndecodableItem(ValueError):
    """An item that its codec cannot decode. Its text says why; `path` where in the item: keys and list indexes."""

    def __init__(self, reason: str, *path: str | int) -> None:
        super().__init__(reason)
        self.path = path


CODECS: dict[str, Codec] = {}


def register(codec: Codec) -> None:
    """Adds a codec to CODECS."""
    CODECS[codec.name] = codec


def decode_item(codec: Codec, item: Json) -> tuple[Json, Json | None]:
    """Decodes an item for storage: gives its message and the payload that keeps the item itself.

    The payload is None where encoding the message gives the item back. Raises UndecodableItem.
    """
    message = codec.decode(item)
    is_empty = message.get("content") is None and not message.get("tool_calls") and "type" not in message
    if not is_empty and same_json(codec.encode(canonical_message(_STORED | message)), [item]):
        return message, None
    return message, {"format": codec.name, "item": item}


def encode_message(codec: Codec, message: Json, payload: Any) -> list[Json]:
    """Encodes a stored message (its JSON in the API) as items.

    A payload of this codec gives its item, unless the message was edited since and the item no longer says the same.
    """
    item = stored_item(codec, payload)
    if item is not None and ("edited_at" not in message or _matches(codec, item, message)):
        return [item]
    return codec.encode(canonical_message(message))


def stored_item(codec: Codec, payload: Any) -> Json | None:
    """The item that a payload keeps, if it is one of this codec."""
    if isinstance(payload, dict) and payload.get("format") == codec.name:
        item: Json = payload["item"]
        return item
    return None


def check_payload(payload: Any) -> None:
    """Raises UndecodableItem for an imported payload that names a codec and holds no item of it.

    A payload that names no known codec may be anything: nothing will decode it.
    """
    name = payload.get("format") if isinstance(payload, dict) else None
    codec = CODECS.get(name) if isinstance(name, str) else None
    if codec is None:
        return
    if payload.keys() != {"format", "item"} or not isinstance(payload["item"], dict):
        raise UndecodableItem("a payload has a format and an item")
    codec.decode(payload["item"])


def same_json(left: Any, right: Any) -> bool:
    """Whether two values are the same JSON. Comparing them is not enough: in Python 1, 1.0 and True are equal."""
    return left == right and orjson.dumps(left, option=_SORTED) == orjson.dumps(right, option=_SORTED)


# What storing adds to a message. An item that would come back with these must be kept as a payload.
_STORED = {"message_id": "00000000-0000-0000-0000-000000000000", "created_at": "0001-01-01T00:00:00.000000Z"}
_SORTED = orjson.OPT_SORT_KEYS
_CONTENT_FIELDS = ("role", "type", "content", "tool_calls", "tool_call_id", "name")


def _matches(codec: Codec, item: Json, message: Json) -> bool:
    try:
        original = {"type": "message"} | codec.decode(item)
    except UndecodableItem:
        # The codec may have become stricter since the item was stored.
        return False
    return all(same_json(original.get(name), message.get(name)) for name in _CONTENT_FIELDS)


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
