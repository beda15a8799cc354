"""Lease: what holds a chat's turn, with its fencing token, so that one writer at a time moves the head.

Each lease of a chat has a higher token than the one before, and what is written with another than the newest is refused
(M. Kleppmann, "How to do distributed locking", 2016). It is at least the microseconds since 1970, so that it is higher
than those of another chat that had the same key before, and than those given before a backup was restored.
"""

from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request

from app.db.timestamps import now, to_datetime, to_iso
from app.http.errors import Conflict, Unprocessable
from app.http.idempotency import IDEMPOTENT
from app.models import Chat

LEASE_HEADER_NAME = "Turn-Token"
MAX_TOKEN = 2**53
_PARAMETER: dict[str, Any] = {
    "name": LEASE_HEADER_NAME,
    "in": "header",
    "required": False,
    "description": "The `token` of the turn that this belongs to: when that is over, it is refused. While somebody "
    "holds the chat's turn, what moves the head is refused without it.",
    "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TOKEN},
}
LEASE_HEADER: dict[str, Any] = {"parameters": [_PARAMETER]}
"""The OpenAPI parameters (`openapi_extra`) of a route that writes into a chat."""
IDEMPOTENT_LEASE_HEADER: dict[str, Any] = {"parameters": [*IDEMPOTENT["parameters"], _PARAMETER]}
REQUIRED_LEASE_HEADER: dict[str, Any] = {
    "parameters": [{**_PARAMETER, "required": True, "description": "The `token` of the turn."}]
}
"""The same for a route that changes a lease."""


def lease_token_of(request: Request) -> int | None:
    """The token of the lease that a request is made under, from its header.

    Raises Unprocessable (422) where that is no token.
    """
    values = request.headers.getlist(LEASE_HEADER_NAME)
    if not values:
        return None
    token = values[0] if len(values) == 1 else ""
    if not (token.isascii() and token.isdigit() and len(token) <= 16 and 0 < int(token) <= MAX_TOKEN):
        raise Unprocessable(f"{LEASE_HEADER_NAME} is the token of a turn, a positive integer.")
    return int(token)


def required_lease_token(request: Request) -> int:
    """The same, raises Unprocessable (422) where there is none as well."""
    token = lease_token_of(request)
    if token is None:
        raise Unprocessable(f"The header {LEASE_HEADER_NAME} is missing.")
    return token


def is_held(chat: Chat, at: datetime | None = None) -> bool:
    """Whether somebody holds a chat's lease at a time, or now."""
    return chat.lease_until is not None and chat.lease_until > (at or now())


def check_lease(chat: Chat, lease_token: int | None) -> None:
    """Raises Conflict (409) where a request may not write into a chat: the lease is another's, or its own has ended."""
    held = is_held(chat)
    if held if lease_token is None else not held or chat.lease_token != lease_token:
        raise lease_conflict(chat.lease_holder, chat.lease_until)


def check_own_lease(chat: Chat, lease_token: int | None) -> None:
    """Raises Conflict (409) where a request is made under a lease that has ended. One without a lease may go ahead."""
    if lease_token is not None:
        check_lease(chat, lease_token)


def lease_conflict(holder: str | None, until: Any) -> Conflict:
    """The error for a write that the lease keeps out, from the lease's columns as the driver gives them."""
    ends = to_datetime(until)
    if ends is None or ends <= now():
        return Conflict("The turn is over: take another one.")
    return Conflict(
        f"Somebody else holds the turn of this chat, until {to_iso(ends)}.",
        extensions={"holder": holder, "until": to_iso(ends)},
    )


def take_lease(chat: Chat, holder: str, seconds: int) -> None:
    """Gives a holder the lease of a chat, with a new token. Raises Conflict (409) while another holds it."""
    at = now()
    if is_held(chat, at):
        raise lease_conflict(chat.lease_holder, chat.lease_until)
    chat.lease_token = max((chat.lease_token or 0) + 1, int(at.timestamp() * 1_000_000))
    chat.lease_holder = holder
    chat.lease_until = at + timedelta(seconds=seconds)


def renew_lease(chat: Chat, token: int, seconds: int) -> None:
    """Lets a lease end `seconds` from now. Raises Conflict (409) when it has ended."""
    check_lease(chat, token)
    chat.lease_until = now() + timedelta(seconds=seconds)


def release_lease(chat: Chat, token: int) -> None:
    """Ends a lease early; one that has ended stays so."""
    if chat.lease_token == token:
        # Not now as a timestamp: by the clock of another process that might not have come yet.
        chat.lease_holder = chat.lease_until = None
