"""A request to the service, and how its answer is read. Everything here is pure: the clients send it."""

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

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Json = Mapping[str, Any]


class Unset(Enum):
    """The type of UNSET."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""What is not said, where None says something: null."""


class Upload(Protocol):
    """A body that is too large to be at hand. It is read anew for each attempt."""

    def blocks(self) -> Iterator[bytes]:
        """Its bytes, block by block."""

    def async_blocks(self) -> AsyncIterator[bytes]:
        """The same, without holding up the event loop."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answered: below 300, and all of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T_co]):
    """A request, how its answer is read, and whether it may be sent again.

    `repeatable`: sending it twice does what sending it once does, even if somebody else wrote in between. Others are
    sent again only when the service cannot have begun with them.
    """

    method: Method
    path: str
    read: Callable[[Answer], T_co]
    query: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Upload | None = None
    repeatable: bool = True
    for_user: bool = True
    """Whether it acts for a user: only then does `X-User-Id` go with it."""
    patience: float | None = None
    """Seconds to wait for the answer, or for more of it, where it is not the client's `timeout`."""

    def asking(self, **query: str) -> "Call[T_co]":
        """The same with more in its query."""
        return replace(self, query={**self.query, **query})

    def saying(self, **headers: str) -> "Call[T_co]":
        """The same with more headers, `last_event_id` for `Last-Event-Id`."""
        return replace(self, headers={**self.headers, **{name.replace("_", "-"): it for name, it in headers.items()}})

    def waiting(self, patience: float) -> "Call[T_co]":
        """The same with other patience, in seconds."""
        return replace(self, patience=patience)


def path(*segments: str | int) -> str:
    """A path of segments, which may have any characters: a slash in one is `%2F`.

    Raises ValueError for a segment that would lead elsewhere: an empty one, `.` and `..`.
    """
    for segment in segments:
        if segment in ("", ".", ".."):
            raise ValueError(f"{segment!r} names nothing of the service.")
    return "".join("/" + quote(str(segment), safe=":") for segment in segments)


def query(**parameters: object) -> dict[str, str | Sequence[str]]:
    """The parameters that are said, as texts.

    `from_` is `from`; a list is there once for each of its members, and `metadata` as `metadata.<name>`.
    """
    said: dict[str, str | Sequence[str]] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            said |= {f"{name}.{member}": _text(one) for member, one in value.items()}
        elif value is not None:
            said[name.rstrip("_")] = _text(value)
    return said


def _text(value: object) -> str | list[str]:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [str(one) for one in value]
    return str(value)


def given(**fields: object) -> dict[str, object]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def set_(**fields: object) -> dict[str, object]:
    """The fields that are not UNSET."""
    return {name: value for name, value in fields.items() if value is not UNSET}


def json_body(value: object) -> bytes:
    """A body as UTF-8 JSON. Raises ValueError for what JSON cannot say: NaN, infinities and lone surrogates."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode()


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON can say.")


def headers(
    *, turn: int | None = None, if_match: str | None = None, idempotency_key: str | None = None, json: bool = False
) -> dict[str, str]:
    """The headers of a write, those that are said."""
    said = {
        "Turn-Token": None if turn is None else str(turn),
        "If-Match": if_match,
        "Idempotency-Key": idempotency_key,
        "Content-Type": "application/json" if json else None,
    }
    return {name: value for name, value in said.items() if value is not None}


def get(place: str, read: Callable[[Answer], T], *, for_user: bool = True, **parameters: object) -> Call[T]:
    """A read of a place, with those parameters that are not None."""
    return Call(method="GET", path=place, read=read, query=query(**parameters), for_user=for_user)


def post(
    place: str,
    read: Callable[[Answer], T],
    body: object = UNSET,
    *,
    idempotency_key: str | None,
    turn: int | None = None,
    if_match: str | None = None,
    for_user: bool = True,
    **parameters: object,
) -> Call[T]:
    """A write that has one effect however often it is sent: it has an idempotency key, made here if not given."""
    key = idempotency_key or str(uuid4())
    return Call(
        method="POST",
        path=place,
        read=read,
        query=query(**parameters),
        headers=headers(turn=turn, if_match=if_match, idempotency_key=key, json=body is not UNSET),
        body=None if body is UNSET else json_body(body),
        for_user=for_user,
    )
