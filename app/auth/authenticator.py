"""Authentication: finds the caller of a request by its headers. Callers are cached, since every request needs one."""

import hashlib
import hmac
import re
import time
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes

from starlette.requests import HTTPConnection

from app.auth import keys
from app.auth.cache import ExpiringCache
from app.auth.caller import SCOPES, Caller, User, is_user_id
from app.auth.jwks import JwksCache
from app.auth.jwt import JwtVerifier
from app.auth.store import ApiKeyStore
from app.db.database import Database
from app.http.errors import BadRequest, Forbidden, Unauthorized
from app.settings import Settings

# A revoked key is refused within 5 seconds in every process: this long it is trusted, and a request takes its time too.
KEY_CACHE_SECONDS = 3
TOKEN_CACHE_SECONDS = 60
CACHE_SIZE = 10_000
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_UNKNOWN_KEY = "The API key is unknown, revoked or expired."


class Authenticator:
    """Authenticates by API key, by the admin key of the settings, or by the identity provider's token."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self.keys = ApiKeyStore(db)
        self._jwks = JwksCache(settings.jwks_url) if settings.jwks_url else None
        self._jwts = JwtVerifier(settings, self._jwks) if settings.signs_in_by_jwt else None
        key = settings.admin_key
        self._admin = hashlib.sha256(key.get_secret_value().encode()).digest() if key else None
        self._admin_caller = Caller(None, frozenset(SCOPES), "admin-key")
        # A cache of its own, so that a flood of made-up keys evicts no caller.
        self._callers: ExpiringCache[Caller] = ExpiringCache(CACHE_SIZE)
        self._unknown: ExpiringCache[bool] = ExpiringCache(CACHE_SIZE)
        self._active: ExpiringCache[bool] = ExpiringCache(CACHE_SIZE)

    async def authenticate(self, request: HTTPConnection) -> Caller:
        """The caller of a request: a User where it acts for one.

        Raises Unauthorized (401), Forbidden (403) where `X-User-Id` comes from anyone but a service key, BadRequest
        (400) where it is no user id, and Overloaded (503) where the identity provider cannot be reached.
        """
        token = acting_for = None
        for name, value in request.scope["headers"]:
            if name == b"authorization":
                token = _bearer(value, token)
            elif name == b"x-user-id":
                acting_for = [*(acting_for or ()), value]
        if token is None:
            raise Unauthorized
        digest = hashlib.sha256(token).digest()
        caller = self._callers.get(digest) or await self._recognise(token, digest)
        if acting_for is None:
            return caller
        if caller.user_id is not None:
            raise Forbidden("X-User-Id is for service keys only: this caller acts for its own user.")
        return User(_user_id(acting_for), caller.scopes, caller.principal)

    async def token_expires_at(self, request: HTTPConnection) -> datetime | None:
        """When the token of an authenticated request expires; None for a key, which may be revoked instead.

        Raises Unauthorized (401) where it has expired in the meantime.
        """
        token = bearer_token(request)
        if self._jwts is None or keys.looks_like_key(token) or token.count(b".") != 2:
            return None
        _, expires_at = await self._jwts.verify(token.decode())
        return datetime.fromtimestamp(expires_at, UTC)

    async def check_still_valid(self, principal: str, until: datetime | None) -> None:
        """Raises Unauthorized (401) where what a caller came with once is no longer good: see `runs_out_at`."""
        if until is not None and until <= datetime.now(UTC):
            raise Unauthorized("The token has expired.")
        kind, _, key_id = principal.partition(":")
        if kind == "admin-key" and self._admin is None:
            raise Unauthorized
        if kind != "key" or self._active.get(principal.encode()):
            return
        began = time.monotonic()
        if not await self.keys.is_active(key_id):
            raise Unauthorized(_UNKNOWN_KEY)
        self._active.put(principal.encode(), True, began + KEY_CACHE_SECONDS)

    def forget(self) -> None:
        """Clears the caches, so that a revoked key is refused at once in this process."""
        self._callers.clear()
        self._active.clear()

    async def close(self) -> None:
        """Ends what runs in the background."""
        if self._jwks:
            await self._jwks.close()

    async def _recognise(self, token: bytes, digest: bytes) -> Caller:
        # Taken before the look-up, whose result may expire while it runs.
        began = time.monotonic()
        if self._admin is not None and hmac.compare_digest(digest, self._admin):
            self._callers.put(digest, self._admin_caller, began + TOKEN_CACHE_SECONDS)
            return self._admin_caller
        if keys.looks_like_key(token):
            return await self._by_key(digest, began)
        if self._jwts is None or not token.isascii() or token.count(b".") != 2:
            raise Unauthorized
        caller, expires_at = await self._jwts.verify(token.decode())
        self._callers.put(digest, caller, began + min(TOKEN_CACHE_SECONDS, expires_at - time.time()))
        return caller

    async def _by_key(self, digest: bytes, began: float) -> Caller:
        if self._unknown.get(digest):
            raise Unauthorized(_UNKNOWN_KEY)
        key = await self.keys.find(digest.hex())
        remaining = float(KEY_CACHE_SECONDS)
        if key is not None and key[1] is not None:
            remaining = min(remaining, (key[1] - datetime.now(UTC)).total_seconds())
        if key is None or remaining <= 0:
            self._unknown.put(digest, True, began + KEY_CACHE_SECONDS)
            raise Unauthorized(_UNKNOWN_KEY)
        self._callers.put(digest, key[0], began + remaining)
        return key[0]


def bearer_token(request: HTTPConnection) -> bytes:
    """The token of a request that was authenticated."""
    return _bearer(request.headers["authorization"].encode("latin-1"), None)


def _bearer(value: bytes, before: bytes | None) -> bytes:
    """The token in `Authorization: Bearer <token>` (RFC 6750, 2.1). A second such header could mean another caller."""
    scheme, _, token = value.partition(b" ")
    if before is not None or scheme.lower() != b"bearer" or not token.strip():
        raise Unauthorized
    return token.strip()


def _user_id(values: list[bytes]) -> str:
    """The user that `X-User-Id` names: UTF-8, percent-encoded where it must be; a `%` itself is `%25`."""
    try:
        user_id = unquote_to_bytes(values[0]).decode("utf-8")
    except UnicodeDecodeError:
        user_id = ""
    if len(values) > 1 or _BAD_ESCAPE.search(values[0]) or not is_user_id(user_id):
        raise BadRequest(
            "X-User-Id must be one user id of 1 to 255 characters, without control characters, in UTF-8 and "
            "percent-encoded: a % is %25."
        )
    return user_id
