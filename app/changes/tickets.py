"""Tickets: what a browser opens a WebSocket with, since it cannot send a header there.

A ticket is good once and for half a minute, so that one in an address that somebody logged is worth nothing. It lives
in a table: any process takes it, and only one of them.
"""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

import orjson
from sqlalchemy import delete, insert
from sqlmodel import col
from uuid_utils import uuid7

from app.auth import keys
from app.auth.caller import User
from app.db.database import Database
from app.db.timestamps import now, to_iso
from app.http.errors import Conflict, Unauthorized
from app.http.idempotency import IdempotentRequest, StoredResponse, run_idempotent
from app.models import Ticket

GOOD_FOR = timedelta(seconds=30)


class TicketStore:
    """The tickets that were not used yet."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(
        self, user: User, until: datetime | None, *, idempotency: IdempotentRequest | None, token: bytes
    ) -> StoredResponse:
        """A ticket for a caller whose token runs out at `until`, if it does; the answer is a TicketOut as JSON.

        As with API keys, the ticket is not in what is kept for a retry, but derived from the bearer `token`. Raises
        Conflict (409) where another token was used the first time.
        """
        made = ""

        async def insert_one() -> StoredResponse:
            nonlocal made
            ticket_id, expires_at = str(uuid7()), now() + GOOD_FOR
            made = _derived(token, ticket_id, idempotency.key) if idempotency else secrets.token_urlsafe(32)
            row = {
                "user_id": user.user_id,
                "sha256": _sha256(made),
                "principal": user.principal,
                "scopes": sorted(user.scopes),
                "caller_until": until,
                "expires_at": expires_at,
            }
            await session.execute(insert(Ticket).values(row))
            kept = {"ticket_id": ticket_id, "sha256": _sha256(made), "expires_at": to_iso(expires_at)}
            return StoredResponse(201, orjson.dumps(kept))

        async with self._db.write() as session:
            answer = await run_idempotent(session, user.user_id, idempotency, insert_one)
        kept = orjson.loads(answer.body)
        if idempotency:
            made = _derived(token, kept["ticket_id"], idempotency.key)
            if not hmac.compare_digest(kept["sha256"], _sha256(made)):
                raise Conflict(
                    "This ticket was made with another bearer token: ask for one with a new Idempotency-Key."
                )
        return StoredResponse(201, orjson.dumps({"ticket": made, "expires_at": kept["expires_at"]}), answer.headers)

    async def redeem(self, ticket: str) -> tuple[User, datetime | None]:
        """Who asked for a ticket, and until when that one's token is good. Raises Unauthorized (401).

        It cannot be used again, whatever comes of this.
        """
        columns = [getattr(Ticket, name) for name in ("user_id", "principal", "scopes", "caller_until", "expires_at")]
        async with self._db.write() as session:
            used = delete(Ticket).where(col(Ticket.sha256) == _sha256(ticket)).returning(*columns)
            row = (await session.execute(used.execution_options(synchronize_session=False))).one_or_none()
        if row is None or row.expires_at <= now():
            raise Unauthorized("The ticket is unknown, was used, or is too old.")
        return User(row.user_id, frozenset(row.scopes), row.principal), row.caller_until


def _derived(token: bytes, ticket_id: str, idempotency_key: str) -> str:
    return keys.derive(token, ticket_id, idempotency_key).removeprefix(keys.PREFIX)


def _sha256(ticket: str) -> str:
    # What no header could carry is no ticket either, but must not break this.
    return hashlib.sha256(ticket.encode(errors="replace")).hexdigest()
