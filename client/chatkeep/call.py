"""`Call`: an HTTP request to the service together with the parser of its response. Pure: the clients send it."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum
from typing import Any, Final, Generic, Literal, Protocol, TypeVar
from urllib.parse import quote
from uuid import uuid4

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

DEFAULT_TIMEOUT = 60.0

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Json = Mapping[str, Any]


class Unset(Enum):
    """The type of UNSET."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""The default of a parameter for which None means null."""


class Upload(Protocol):
    """A request body that is streamed. It is read anew for each attempt."""

    def blocks(self) -> Iterator[bytes]:
        """The bytes of the body, block by block."""

    def async_blocks(self) -> AsyncIterator[bytes]:
        """The same, without blocking the event loop."""


@dataclass(frozen=True, slots=True)
class Response:
    """A successful response of the service, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T_co]):
    """A request, the parser of its response, and whether it may be sent again.

    `retryable`: sending it twice does what sending it once does, even if somebody else wrote in between. Others are
    sent again only when the service cannot have begun with them.
    """

    method: Method
    path: str
    parse: Callable[[Response], T_co]
    query: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Upload | None = None
    retryable: bool = True
    for_user: bool = True
    """Whether it acts for a user: only then is `X-User-Id` sent with it."""
    read_timeout: float | None = None
    """Seconds to wait for the response, or for more of it; None for the client's `timeout`."""

    def with_query(self, **query: str) -> "Call[T_co]":
        """A copy with these query parameters too."""
        return replace(self, query={**self.query, **query})

    def with_headers(self, **headers: str) -> "Call[T_co]":
        """A copy with these headers too, `last_event_id` for `Last-Event-Id`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})

    def with_read_timeout(self, seconds: float) -> "Call[T_co]":
        """A copy with this read timeout."""
        return replace(self, read_timeout=seconds)


def build_path(*segments: str | int) -> str:
    """A path of segments, which may have any characters: a slash in one is `%2F`.

    Raises ValueError for a segment that would lead elsewhere: an empty one, `.` and `..`.
    """
    for segment in segments:
        if segment in ("", ".", ".."):
            raise ValueError(f"{segment!r} names nothing of the service.")
    return "".join("/" + quote(str(segment), safe=":") for segment in segments)


def build_query(**parameters: object) -> dict[str, str | Sequence[str]]:
    """Query parameters as texts, those that are not None.

    `from_` is `from`; a list is there once for each of its members, and `metadata` as `metadata.<name>`.
    """
    query: dict[str, str | Sequence[str]] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            query |= {f"{name}.{key}": _query_value(member) for key, member in value.items()}
        elif value is not None:
            query[name.rstrip("_")] = _query_value(value)
    return query


def _query_value(value: object) -> str | list[str]:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [str(member) for member in value]
    return str(value)


def without_none(**fields: object) -> dict[str, object]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def without_unset(**fields: object) -> dict[str, object]:
    """The fields that are not UNSET."""
    return {name: value for name, value in fields.items() if value is not UNSET}


def json_body(value: object) -> bytes:
    """A body as UTF-8 JSON. Raises ValueError for what JSON does not have: NaN, infinities and lone surrogates."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_to_json).encode()


def _to_json(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON can say.")


def build_headers(
    *, turn: int | None = None, if_match: str | None = None, idempotency_key: str | None = None, json: bool = False
) -> dict[str, str]:
    """The headers of a write, those that have a value."""
    headers = {
        "Turn-Token": None if turn is None else str(turn),
        "If-Match": if_match,
        "Idempotency-Key": idempotency_key,
        "Content-Type": "application/json" if json else None,
    }
    return {name: value for name, value in headers.items() if value is not None}


def get_call(path: str, parse: Callable[[Response], T], *, for_user: bool = True, **parameters: object) -> Call[T]:
    """A GET with those query parameters that are not None."""
    return Call(method="GET", path=path, parse=parse, query=build_query(**parameters), for_user=for_user)


def post_call(
    path: str,
    parse: Callable[[Response], T],
    body: object = UNSET,
    *,
    idempotency_key: str | None,
    turn: int | None = None,
    if_match: str | None = None,
    for_user: bool = True,
    method: Method = "POST",
    **parameters: object,
) -> Call[T]:
    """A POST that has one effect however often it is sent: an idempotency key is made where none is given.

    A PUT of a message is one like that too.
    """
    key = idempotency_key or str(uuid4())
    return Call(
        method=method,
        path=path,
        parse=parse,
        query=build_query(**parameters),
        headers=build_headers(turn=turn, if_match=if_match, idempotency_key=key, json=body is not UNSET),
        body=None if body is UNSET else json_body(body),
        for_user=for_user,
    )
