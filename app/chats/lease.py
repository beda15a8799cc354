"""One writer per turn: a lease of a chat, with a token that grows, so that who lost it cannot write any more.

The token is a fencing token: each lease of a chat has a higher one than the lease before, and what is written with
another than the newest is refused (M. Kleppmann, "How to do distributed locking", 2016). It is at least the
microseconds since 1970, so that it is higher than those of another chat that had the same key before, and than those
given before a backup was restored.
"""

from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request

from app.db.timestamps import now, to_datetime, to_iso
from app.http.errors import Conflict, Unprocessable
from app.http.idempotency import IDEMPOTENT
from app.models import Chat

HEADER = "Turn-Token"
MAX_TOKEN = 2**53
_SAID: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The `token` of the turn that this belongs to: when that is over, it is refused. While somebody "
    "holds the chat's turn, what moves the head is refused without it.",
    "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TOKEN},
}
LEASE_HEADER: dict[str, Any] = {"parameters": [_SAID]}
"""What a route that writes into a chat says of itself in the OpenAPI document (`openapi_extra`)."""
IDEMPOTENT_LEASE_HEADER: dict[str, Any] = {"parameters": [*IDEMPOTENT["parameters"], _SAID]}
REQUIRED_LEASE_HEADER: dict[str, Any] = {
    "parameters": [{**_SAID, "required": True, "description": "The `token` of the turn."}]
}
"""The same for a route that changes a turn."""


def lease_token_of(request: Request) -> int | None:
    """The turn that a request belongs to, by its header. Raises Unprocessable (422) for one that is no token."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    token = given[0] if len(given) == 1 else ""
    if not (token.isascii() and token.isdigit() and len(token) <= 16 and 0 < int(token) <= MAX_TOKEN):
        raise Unprocessable(f"{HEADER} is the token of a turn, a positive integer.")
    return int(token)


def is_held(chat: Chat, at: datetime | None = None) -> bool:
    """Whether somebody holds a chat's turn at this moment."""
    return chat.lease_until is not None and chat.lease_until > (at or now())


def check_lease(chat: Chat, lease_token: int | None) -> None:
    """Raises Conflict (409) where a request may not write into a chat: it is another's turn, or its own is over."""
    held = is_held(chat)
    if held if lease_token is None else not held or chat.lease_token != lease_token:
        raise refusal(chat.lease_holder, chat.lease_until)


def check_own_lease(chat: Chat, lease_token: int | None) -> None:
    """Raises Conflict (409) where a request belongs to a turn that is over; one of no turn need not wait for any."""
    if lease_token is not None:
        check_lease(chat, lease_token)


def refusal(holder: str | None, until: Any) -> Conflict:
    """What a write is answered that is not in its turn: who holds it (as the database has it), and until when."""
    ends = to_datetime(until)
    if ends is None or ends <= now():
        return Conflict("The turn is over: take another one.")
    return Conflict(
        f"Somebody else holds the turn of this chat, until {to_iso(ends)}.",
        extensions={"holder": holder, "until": to_iso(ends)},
    )


def take(chat: Chat, holder: str, seconds: int) -> int:
    """Takes a chat's turn for a holder; the token of the new lease. Raises Conflict (409) while another holds it."""
    at = now()
    if is_held(chat, at):
        raise refusal(chat.lease_holder, chat.lease_until)
    chat.lease_token = max((chat.lease_token or 0) + 1, int(at.timestamp() * 1_000_000))
    chat.lease_holder = holder
    chat.lease_until = at + timedelta(seconds=seconds)
    return chat.lease_token


def renew(chat: Chat, token: int, seconds: int) -> None:
    """Holds a turn until `seconds` from now. Raises Conflict (409) when it is over."""
    check_lease(chat, token)
    chat.lease_until = now() + timedelta(seconds=seconds)


def release(chat: Chat, token: int) -> None:
    """Ends a turn before its time; one that is over already stays so."""
    if chat.lease_token == token:
        # No moment: by the clock of another process that might not have come yet.
        chat.lease_holder = chat.lease_until = None
