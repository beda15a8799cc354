"""Idempotency keys: a retried POST with the same `Idempotency-Key` has one effect and gets the first response again.

The response is stored in the transaction of its effect, so a request that failed leaves no key behind. A second
request that comes while the first is running waits for it at the row's primary key. A key is kept for 24 hours and
belongs to a caller and a route. After draft-ietf-httpapi-idempotency-key-header-07.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import bindparam, delete, select, text, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request
from starlette.responses import Response

from app.db.database import Database
from app.db.timestamps import now
from app.db.types import UtcDateTime
from app.http.errors import Unprocessable
from app.http.middleware import ENCODED_SLASH
from app.http.services import service
from app.models import Idempotency

RETENTION = timedelta(hours=24)
REPLAYED_HEADER = "Idempotency-Replayed"

MAX_KEY = 255
IDEMPOTENT: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Chosen by the client, new for each write: a retry with the same one has no second effect.",
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY},
        }
    ]
}
"""What a POST route says of itself in the OpenAPI document (`openapi_extra`)."""

_CLAIM = text(
    "INSERT INTO idempotency (user_id, route, key, request_sha256, status, body, headers, created_at) "
    "VALUES (:user_id, :route, :key, :request_sha256, 0, '', '{}', :now) ON CONFLICT DO NOTHING"
).bindparams(bindparam("now", type_=UtcDateTime()))


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A parsed idempotency request: the key that its client chose, and a hash of what it asks for."""

    route: str
    key: str
    request_sha256: str


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The response of a request, as it is stored for its retries."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    chat_id: str | None = None

    def response(self) -> Response:
        """It as an HTTP response."""
        return Response(self.body, self.status, self.headers, "application/json")


async def idempotent_request(request: Request) -> IdempotentRequest | None:
    """What a request's `Idempotency-Key` says, if it has one. Raises Unprocessable (422) for one that is no key."""
    key = idempotency_key(request)
    return None if key is None else idempotent_request_of(request, key, await request.body())


def idempotency_key(request: Request) -> str | None:
    """A request's `Idempotency-Key`, if it has one. Raises Unprocessable (422) for one that is no key."""
    keys = request.headers.getlist("Idempotency-Key")
    if not keys:
        return None
    if len(keys) > 1 or not 0 < len(keys[0]) <= MAX_KEY or not keys[0].isprintable():
        raise Unprocessable(f"An Idempotency-Key has 1 to {MAX_KEY} printable characters.")
    return keys[0]


def idempotent_request_of(request: Request, key: str, body: bytes) -> IdempotentRequest:
    """What a request with a key asks for by its query and its body, or by what stands for that."""
    request_sha256 = hashlib.sha256(request.scope["query_string"] + b"\0" + body).hexdigest()
    path = request.scope["path"].replace(ENCODED_SLASH, "/")
    return IdempotentRequest(f"{request.method} {path}", key, request_sha256)


def check_same_request(idempotency: IdempotentRequest, request_sha256: str) -> None:
    """Raises Unprocessable (422) when a retry asks for something else than the first request with its key."""
    if request_sha256 != idempotency.request_sha256:
        raise Unprocessable("This Idempotency-Key was used for another request.")


def oldest_kept() -> datetime:
    """The timestamp from which on keys are kept."""
    return now() - RETENTION


async def run_idempotent(
    session: AsyncSession,
    user_id: str,
    idempotency: IdempotentRequest | None,
    effect: Callable[[], Awaitable[StoredResponse]],
) -> StoredResponse:
    """Runs `effect` in the session's transaction, or gives the answer it had when this is a retry.

    Raises Unprocessable (422) when the key was used for another request, and whatever `effect` raises.
    """
    if idempotency is None:
        return await effect()
    row = _row(user_id, idempotency)
    await session.execute(delete(Idempotency).where(row, col(Idempotency.created_at) < oldest_kept()))
    claim = {"user_id": user_id, **asdict(idempotency), "now": now()}
    # On Postgres this waits while another transaction holds the same key.
    if (await session.execute(_CLAIM, claim)).rowcount == 0:  # type: ignore[attr-defined]
        return _replay(idempotency, (await session.execute(select(Idempotency).where(row))).scalar_one())
    answer = await effect()
    await session.execute(
        update(Idempotency)
        .where(row)
        .values(
            status=answer.status,
            body=answer.body.decode(),
            headers=orjson.dumps(answer.headers).decode(),
            chat_id=answer.chat_id,
        )
    )
    return answer


async def write_once(
    request: Request, user_id: str, effect: Callable[[AsyncSession], Awaitable[StoredResponse]]
) -> Response:
    """Answers a POST: runs `effect` in a write session of its own, or gives the first answer when this is a retry.

    Raises Unprocessable (422) for what is no key or was used for another request, and whatever `effect` raises.
    """
    idempotency = await idempotent_request(request)
    async with service(request, Database).write() as session:
        stored = await run_idempotent(session, user_id, idempotency, lambda: effect(session))
    return stored.response()


async def stored_response(session: AsyncSession, user_id: str, idempotency: IdempotentRequest) -> StoredResponse | None:
    """The answer that a request had already, if it is a retry. Raises Unprocessable (422) as `run_once` does."""
    first = (await session.execute(select(Idempotency).where(_row(user_id, idempotency)))).scalar_one_or_none()
    return None if first is None or first.created_at < oldest_kept() else _replay(idempotency, first)


def _replay(idempotency: IdempotentRequest, first: Idempotency) -> StoredResponse:
    check_same_request(idempotency, first.request_sha256)
    return StoredResponse(first.status, first.body.encode(), {**orjson.loads(first.headers), REPLAYED_HEADER: "true"})


def _row(user_id: str, idempotency: IdempotentRequest) -> Any:
    return (
        (col(Idempotency.user_id) == user_id)
        & (col(Idempotency.route) == idempotency.route)
        & (col(Idempotency.key) == idempotency.key)
    )
