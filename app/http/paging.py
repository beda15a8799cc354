"""Pages of lists: opaque keyset cursors, bound to the caller and the filters, and the `Link` to the next page."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

import orjson
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from app.db.timestamps import to_iso
from app.http.errors import InvalidCursor

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_DIGEST_BYTES = 12

T = TypeVar("T")

Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="How many items a page has at most.")]
Cursor = Annotated[
    str | None, Field(max_length=1024, description="Where the page begins: the `next_cursor` of the page before.")
]


class Page(BaseModel, Generic[T]):
    """One page of a list. `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None


def encode_cursor(binding: Sequence[Any], position: Sequence[Any]) -> str:
    """A cursor for the place after `position`, good only with the same `binding` (the caller and the filters).

    Not a secret and not a permission: every query is filtered by its caller whatever the cursor says.
    """
    place = orjson.dumps(position)
    return _text(_digest(binding, place) + place)


def decode_cursor(cursor: str, binding: Sequence[Any]) -> list[Any]:
    """The position in a cursor. Raises InvalidCursor (400) when it was damaged or made for another list."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, place = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        # Base64 has several texts for the same bytes; only one of them was ever given.
        if digest != _digest(binding, place) or _text(raw) != cursor:
            raise InvalidCursor
        position = orjson.loads(place)
    except ValueError:
        raise InvalidCursor from None
    if not isinstance(position, list):
        raise InvalidCursor
    return position


def decode_integer_cursor(cursor: str, binding: Sequence[Any], lowest: int, highest: int) -> int:
    """The position in the cursor of a list that is ordered by one integer. Raises InvalidCursor (400)."""
    match decode_cursor(cursor, binding):
        case [position] if type(position) is int and lowest <= position <= highest:
            return position
    raise InvalidCursor


def parse_cursor_timestamp(text: str) -> datetime:
    """A timestamp from a cursor, which must be as `to_iso` writes it. Raises InvalidCursor (400)."""
    try:
        timestamp = datetime.fromisoformat(text)
        if to_iso(timestamp) == text:
            return timestamp
    except (ValueError, OverflowError):
        pass
    raise InvalidCursor


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _digest(binding: Sequence[Any], place: bytes) -> bytes:
    return hashlib.blake2b(orjson.dumps(binding) + b"\0" + place, digest_size=_DIGEST_BYTES).digest()


def page_body(items: Iterable[bytes], next_cursor: str | None, **extra: int) -> bytes:
    """A page as JSON, from items that are JSON already."""
    tail = b"".join(b',"%b":%d' % (name.encode(), value) for name, value in extra.items())
    return b'{"items":[%b],"next_cursor":%b%b}' % (b",".join(items), orjson.dumps(next_cursor), tail)


def next_link(request: Request, next_cursor: str) -> str:
    """The `Link` header (RFC 8288) for the page after this one: this request's own address with another cursor."""
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    path = request.scope["raw_path"].decode("ascii")
    return f'<{path}?{urlencode([*query, ("cursor", next_cursor)])}>; rel="next"'


def page_response(request: Request, body: bytes, next_cursor: str | None, headers: dict[str, str]) -> Response:
    """A page as a response, with its `Link`."""
    if next_cursor is not None:
        headers = {**headers, "Link": next_link(request, next_cursor)}
    return Response(body, headers=headers, media_type="application/json")
