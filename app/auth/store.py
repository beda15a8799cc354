"""The store of API keys. It holds their SHA-256 only, so that nothing stored lets anyone use one."""

import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils import uuid7

from app.auth import keys
from app.auth.caller import Caller, User
from app.auth.schemas import ApiKeyIn, key_fields
from app.db.database import Database
from app.db.timestamps import now, to_datetime
from app.http.errors import Conflict, NotFound
from app.http.idempotency import REPLAYED_HEADER, IdempotentRequest, StoredResponse, run_idempotent
from app.http.references import is_uuid
from app.models import ApiKey

_FIND = "SELECT key_id, user_id, scopes, expires_at FROM api_keys WHERE sha256 = $1 AND revoked_at IS NULL"
_EXPIRY = "SELECT expires_at FROM api_keys WHERE key_id = $1 AND revoked_at IS NULL"


class ApiKeyStore:
    """API keys: make, recognise, list and revoke them. A revoked key stays in the list."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(
        self,
        details: ApiKeyIn,
        *,
        key_id: str | None = None,
        idempotency: IdempotentRequest | None = None,
        by: str = "",
        token: bytes = b"",
    ) -> StoredResponse:
        """Makes a key; the response is an ApiKeyMade as JSON, with 201.

        With `idempotency`, a retry by the same principal `by` gets the first response again. The secret is not
        stored for that: it is derived from the caller's bearer `token`, and compared with the stored hash. Raises
        Conflict (409) where another token was used the first time, and Unprocessable (422) where the idempotency key is
        another request's.
        """
        key = ""

        async def insert() -> StoredResponse:
            nonlocal key
            new_id = key_id or str(uuid7())
            key = keys.derive(token, new_id, idempotency.key) if idempotency else keys.make()
            body = await _insert(session, details, new_id, key)
            return StoredResponse(201, body, {"Location": f"/admin/api-keys/{new_id}"})

        async with self._db.write() as session:
            answer = await run_idempotent(session, by, idempotency, insert)
            fields: dict[str, Any] = orjson.loads(answer.body)
            if idempotency and REPLAYED_HEADER in answer.headers:
                key = keys.derive(token, fields["key_id"], idempotency.key)
                row = await session.get(ApiKey, fields["key_id"])
                if row is None or not hmac.compare_digest(row.sha256, keys.sha256(key)):
                    raise Conflict(
                        f"Key {fields['key_id']} was made by this request before, with another bearer token: its "
                        "secret cannot be shown again. Revoke it and make another with a new Idempotency-Key."
                    )
        return StoredResponse(answer.status, orjson.dumps({"key": key, **fields}), answer.headers)

    async def find(self, sha256: str) -> tuple[Caller, datetime | None] | None:
        """Who comes with the key of this hash, and when it expires; None if unknown or revoked. One indexed read."""
        row = await self._db.driver.fetch_one(_FIND, sha256)
        if row is None:
            return None
        key_id, user_id, scopes, expires_at = row
        granted, principal = frozenset(orjson.loads(scopes)), f"key:{key_id}"
        caller = Caller(None, granted, principal) if user_id is None else User(user_id, granted, principal)
        return caller, to_datetime(expires_at)

    async def is_active(self, key_id: str) -> bool:
        """Whether a key still works. One indexed read."""
        row = await self._db.driver.fetch_one(_EXPIRY, key_id)
        if row is None:
            return False
        expires_at = to_datetime(row[0])
        return expires_at is None or expires_at > now()

    async def get(self, key_id: str) -> ApiKey:
        """One key. Raises NotFound (404)."""
        async with self._db.read() as session:
            row = await session.get(ApiKey, _canonical(key_id))
        if row is None:
            raise NotFound
        return row

    async def page(self, limit: int, after: str | None = None) -> Sequence[ApiKey]:
        """The next `limit` keys after the one with the id `after`, newest first, revoked ones too.

        By `key_id` alone: as a UUIDv7 it begins with the moment it was made (RFC 9562, 5.7).
        """
        query = select(ApiKey).order_by(col(ApiKey.key_id).desc()).limit(limit)
        if after is not None:
            query = query.where(col(ApiKey.key_id) < after)
        async with self._db.read() as session:
            return (await session.exec(query)).all()

    async def revoke(self, key_id: str) -> None:
        """Ends a key for good; once more changes nothing. Raises NotFound (404)."""
        row = col(ApiKey.key_id) == _canonical(key_id)
        async with self._db.write() as session:
            if (await session.exec(select(ApiKey.key_id).where(row))).first() is None:
                raise NotFound
            await session.exec(update(ApiKey).where(row, col(ApiKey.revoked_at).is_(None)).values(revoked_at=now()))

    async def has_any(self) -> bool:
        """Whether a key was ever made."""
        return await self._db.driver.fetch_one("SELECT 1 FROM api_keys LIMIT 1") is not None


async def _insert(session: AsyncSession, details: ApiKeyIn, key_id: str, key: str) -> bytes:
    row = ApiKey(
        key_id=key_id,
        name=details.name,
        user_id=details.user_id,
        sha256=keys.sha256(key),
        hint=keys.hint(key),
        scopes=list(details.scopes),
        created_at=now(),
        expires_at=details.expires_at,
    )
    session.add(row)
    await session.flush()
    return orjson.dumps(key_fields(row))


def _canonical(key_id: str) -> str:
    if not is_uuid(key_id):
        raise NotFound
    return key_id.lower()
