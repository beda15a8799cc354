"""One-time tickets that open a WebSocket, since a browser cannot send an `Authorization` header there.

A ticket is valid once and for half a minute, so that one in a logged URL is worth nothing. Tickets are stored in a
table: any process takes one, and only one of them. A ticket ends with its user, by whom the table is read.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

import orjson
from sqlalchemy import delete, insert
from sqlmodel import col
from uuid_utils import uuid7

from app.auth import keys
from app.auth.caller import User, is_user_id
from app.db.database import Database
from app.db.timestamps import now, to_iso
from app.http.errors import Conflict, Unauthorized
from app.http.idempotency import IdempotentRequest, StoredResponse, run_idempotent
from app.models import Ticket

LIFETIME = timedelta(seconds=30)


class TicketStore:
    """The store of unused tickets."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(
        self, user: User, until: datetime | None, *, idempotency: IdempotentRequest | None, token: bytes
    ) -> StoredResponse:
        """Creates a ticket for a caller whose token expires at `until`, if it does. Gives a TicketOut as JSON.

        As with API keys, the response stored for retries has no ticket: it is derived again from the bearer `token`.
        Raises Conflict (409) where the first request came with another token.
        """
        ticket = ""

        async def insert_ticket() -> StoredResponse:
            nonlocal ticket
            ticket_id, expires_at = str(uuid7()), now() + LIFETIME
            secret = _derived(token, ticket_id, idempotency.key) if idempotency else secrets.token_urlsafe(32)
            ticket = _with_user(secret, user.user_id)
            row = {
                "user_id": user.user_id,
                "sha256": _sha256(ticket),
                "principal": user.principal,
                "scopes": sorted(user.scopes),
                "caller_until": until,
                "expires_at": expires_at,
            }
            await session.execute(insert(Ticket).values(row))
            body = {"ticket_id": ticket_id, "sha256": _sha256(ticket), "expires_at": to_iso(expires_at)}
            return StoredResponse(201, orjson.dumps(body))

        async with self._db.write() as session:
            stored = await run_idempotent(session, user.user_id, idempotency, insert_ticket)
        body = orjson.loads(stored.body)
        if idempotency:
            ticket = _with_user(_derived(token, body["ticket_id"], idempotency.key), user.user_id)
            if not hmac.compare_digest(body["sha256"], _sha256(ticket)):
                raise Conflict(
                    "This ticket was made with another bearer token: ask for one with a new Idempotency-Key."
                )
        return StoredResponse(201, orjson.dumps({"ticket": ticket, "expires_at": body["expires_at"]}), stored.headers)

    async def redeem(self, ticket: str) -> tuple[User, datetime | None]:
        """The user that created a ticket, and when that user's token expires. Raises Unauthorized (401).

        The ticket cannot be used again, whatever happens next.
        """
        user_id = _user_of(ticket)
        columns = [getattr(Ticket, name) for name in ("user_id", "principal", "scopes", "caller_until", "expires_at")]
        async with self._db.write() as session:
            own = (col(Ticket.user_id) == user_id, col(Ticket.sha256) == _sha256(ticket))
            statement = delete(Ticket).where(*own).returning(*columns)
            row = (await session.execute(statement.execution_options(synchronize_session=False))).one_or_none()
        if row is None or row.expires_at <= now():
            raise Unauthorized("The ticket is unknown, was used, or is too old.")
        return User(row.user_id, frozenset(row.scopes), row.principal), row.caller_until


def _derived(token: bytes, ticket_id: str, idempotency_key: str) -> str:
    return keys.derive(token, ticket_id, idempotency_key).removeprefix(keys.PREFIX)


def _with_user(secret: str, user_id: str) -> str:
    return f"{secret}.{base64.urlsafe_b64encode(user_id.encode()).decode().rstrip('=')}"


def _user_of(ticket: str) -> str:
    """The user that a ticket ends with; nobody's id where it is none."""
    encoded = ticket.rpartition(".")[2]
    try:
        user_id = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        return ""
    return user_id if is_user_id(user_id) else ""


def _sha256(ticket: str) -> str:
    # A URL can carry text that UTF-8 cannot encode: it is no ticket, but must not raise.
    return hashlib.sha256(ticket.encode(errors="replace")).hexdigest()
