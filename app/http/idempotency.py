"""Nothing twice: a retried POST with the same `Idempotency-Key` has one effect and gets the first answer again.

The answer is committed in the transaction of its effect, so a request that failed leaves no key behind, and a second
request that comes while the first is running waits for it at the row's primary key. A key is kept for 24 hours and
belongs to a caller and a route. After draft-ietf-httpapi-idempotency-key-header-07.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import bindparam, delete, select, text, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request
from starlette.responses import Response

from app.db.types import UtcDateTime, now
from app.http.errors import Unprocessable
from app.http.middleware import ENCODED_SLASH
from app.models import Idempotency

KEPT_FOR = timedelta(hours=24)
REPLAYED = "Idempotency-Replayed"

MAX_KEY = 255
MAY_BE_RETRIED: dict[str, Any] = {
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
    "VALUES (:user_id, :route, :key, :asked, 0, '', '{}', :now) ON CONFLICT DO NOTHING"
).bindparams(bindparam("now", type_=UtcDateTime()))


@dataclass(frozen=True, slots=True)
class Once:
    """A request that must have one effect: `key` as its client chose it, and what it asks for as a hash."""

    route: str
    key: str
    request_sha256: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered, as it is kept for its retries."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    chat_id: str | None = None

    def response(self) -> Response:
        """The answer as a response."""
        return Response(self.body, self.status, self.headers, "application/json")


async def once_only(request: Request) -> Once | None:
    """What a request's `Idempotency-Key` says, if it has one. Raises Unprocessable (422) for one that is no key."""
    key = key_of(request)
    return None if key is None else once_for(request, key, await request.body())


def key_of(request: Request) -> str | None:
    """A request's `Idempotency-Key`, if it has one. Raises Unprocessable (422) for one that is no key."""
    keys = request.headers.getlist("Idempotency-Key")
    if not keys:
        return None
    if len(keys) > 1 or not 0 < len(keys[0]) <= MAX_KEY or not keys[0].isprintable():
        raise Unprocessable(f"An Idempotency-Key has 1 to {MAX_KEY} printable characters.")
    return keys[0]


def once_for(request: Request, key: str, body: bytes) -> Once:
    """What a request with a key asks for by its query and its body, or by what stands for that."""
    asked = hashlib.sha256(request.scope["query_string"] + b"\0" + body).hexdigest()
    return Once(f"{request.method} {request.scope['path'].replace(ENCODED_SLASH, '/')}", key, asked)


def replayed(once: Once, request_sha256: str, answer: Answer) -> Answer:
    """The first answer, for a retry. Raises Unprocessable (422) when the retry asks for something else."""
    if request_sha256 != once.request_sha256:
        raise Unprocessable("This Idempotency-Key was used for another request.")
    return Answer(answer.status, answer.body, {**answer.headers, REPLAYED: "true"})


def cutoff() -> datetime:
    """Keys from before this moment are forgotten."""
    return now() - KEPT_FOR


async def run_once(
    session: AsyncSession, user_id: str, once: Once | None, effect: Callable[[], Awaitable[Answer]]
) -> Answer:
    """Runs `effect` in the session's transaction, or gives the answer it had when this is a retry.

    Raises Unprocessable (422) when the key was used for another request, and whatever `effect` raises.
    """
    if once is None:
        return await effect()
    row = _row(user_id, once)
    await session.execute(delete(Idempotency).where(row, col(Idempotency.created_at) < cutoff()))
    claim = {"user_id": user_id, "route": once.route, "key": once.key, "asked": once.request_sha256, "now": now()}
    # On Postgres this waits while another transaction holds the same key.
    if (await session.execute(_CLAIM, claim)).rowcount == 0:  # type: ignore[attr-defined]
        return _again(once, (await session.execute(select(Idempotency).where(row))).scalar_one())
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


async def answered(session: AsyncSession, user_id: str, once: Once) -> Answer | None:
    """The answer that a request had already, if it is a retry. Raises Unprocessable (422) as `run_once` does."""
    first = (await session.execute(select(Idempotency).where(_row(user_id, once)))).scalar_one_or_none()
    return None if first is None or first.created_at < cutoff() else _again(once, first)


def _again(once: Once, first: Idempotency) -> Answer:
    return replayed(once, first.request_sha256, Answer(first.status, first.body.encode(), orjson.loads(first.headers)))


def _row(user_id: str, once: Once) -> Any:
    return (
        (col(Idempotency.user_id) == user_id)
        & (col(Idempotency.route) == once.route)
        & (col(Idempotency.key) == once.key)
    )
