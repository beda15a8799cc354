"""JWT verification, after RFC 7519 and the best practices of RFC 8725.

Nothing in a token chooses how it is verified: algorithms come from the settings, keys from the JWKS or the shared
secret, and `jwk`, `jku`, `x5u` and `x5c` headers are not looked at.
"""

import base64
import binascii
import time
from typing import Any

from joserfc.errors import ClaimError, JoseError
from joserfc.jwk import Key, OctKey
from joserfc.jws import JWSRegistry
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry

from app.auth.caller import CHATS_READ, CHATS_WRITE, SCOPES, User, is_user_id
from app.auth.jwks import JwksCache
from app.http import strict_json
from app.http.errors import Unauthorized, Unprocessable
from app.settings import Settings

MAX_TOKEN_BYTES = 8192
# For `nbf` and `iat`, since a token is often used in the second it was made and clocks differ. `exp` gets none.
LEEWAY_SECONDS = 30
SYMMETRIC_ALGORITHM = "HS256"
_TYPES = {"jwt", "at+jwt", "application/at+jwt"}
_DEFAULT_SCOPES = frozenset({CHATS_READ, CHATS_WRITE})
_INVALID = "The token is not valid."
_EXPIRED = "The token has expired, or has no `exp`."
_NO_USER = "The token names no user."
_REFUSALS = {
    "iss": "The token is from another issuer.",
    "aud": "The token is for another audience.",
    "exp": _EXPIRED,
    "nbf": "The token is not valid yet.",
    "iat": "The token is not valid yet.",
    "sub": _NO_USER,
}


class JwtVerifier:
    """Verifies bearer tokens, as the settings say. `jwks` is None where the provider's keys are not configured."""

    def __init__(self, settings: Settings, jwks: JwksCache | None) -> None:
        self._settings = settings
        self._jwks = jwks
        secret = settings.jwt_secret
        self._secret = OctKey.import_key(secret.get_secret_value()) if secret else None
        expected: dict[str, ClaimsOption] = {"exp": {"essential": True}}
        if settings.jwt_issuer:
            expected["iss"] = {"essential": True, "value": settings.jwt_issuer}
        if settings.jwt_audience:
            expected["aud"] = {"essential": True, "values": list(settings.jwt_audience)}
        self._claims = JWTClaimsRegistry(None, LEEWAY_SECONDS, **expected)

    async def verify(self, token: str) -> tuple[User, float]:
        """Who the token is for, and its `exp` in seconds since 1970.

        Raises Unauthorized (401), and Overloaded (503) where the provider's keys were never reached.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise Unauthorized("The token is too large.")
        signed, _, signature = token.rpartition(".")
        head, _, payload = signed.partition(".")
        header = _object(head)
        if "crit" in header or "b64" in header:
            # No extension is understood here, so every critical one is refused (RFC 7515, 4.1.11; RFC 7797, 6).
            raise Unauthorized(_INVALID)
        if "typ" in header and (not isinstance(header["typ"], str) or header["typ"].lower() not in _TYPES):
            raise Unauthorized("The token is of another type than JWT or at+jwt.")
        algorithm = header.get("alg")
        keys = await self._keys(algorithm, header.get("kid"))
        if not any(_is_signed(signed.encode(), _bytes(signature), algorithm, key) for key in keys):
            raise Unauthorized(_INVALID)
        return self._accept(_object(payload))

    async def _keys(self, algorithm: object, kid: object) -> list[Key]:
        if algorithm == SYMMETRIC_ALGORITHM:
            return [self._secret] if self._secret else []
        if self._jwks is None or algorithm not in self._settings.jwt_algorithms:
            return []
        if kid is not None and not isinstance(kid, str):
            return []
        keys = [key for key in await self._jwks.find(kid) if _fits(key, str(algorithm))]
        # Without a kid the provider must have one key that fits (OpenID Connect Core, 10.1).
        return keys if kid is not None or len(keys) == 1 else []

    def _accept(self, claims: dict[str, Any]) -> tuple[User, float]:
        try:
            self._claims.validate(claims)
        except ClaimError as error:
            raise Unauthorized(_REFUSALS.get(error.claim.partition(",")[0], _INVALID)) from None
        # The registry gives `exp` the leeway of the others.
        if claims["exp"] <= time.time():
            raise Unauthorized(_EXPIRED)
        user_id = claims.get(self._settings.jwt_user_claim)
        if not isinstance(user_id, str) or not is_user_id(user_id):
            raise Unauthorized(_NO_USER)
        return User(user_id, self._scopes(claims), f"user:{user_id}"), claims["exp"]

    def _scopes(self, claims: dict[str, Any]) -> frozenset[str]:
        claim = claims.get(self._settings.jwt_scope_claim)
        named = claim.split(" ") if isinstance(claim, str) else claim if isinstance(claim, list) else []
        return frozenset(scope for scope in SCOPES if scope in named) or _DEFAULT_SCOPES


def _bytes(segment: str) -> bytes:
    """A part of a token, as RFC 7515 writes base64url: no padding, no other characters, one way to write each text."""
    try:
        value = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Unauthorized(_INVALID) from None
    if not segment or base64.urlsafe_b64encode(value).rstrip(b"=").decode() != segment:
        raise Unauthorized(_INVALID)
    return value


def _object(segment: str) -> dict[str, Any]:
    try:
        value = strict_json.loads(_bytes(segment))
    except Unprocessable:
        raise Unauthorized(_INVALID) from None
    if not isinstance(value, dict):
        raise Unauthorized(_INVALID)
    return value


def _fits(key: Key, algorithm: str) -> bool:
    """Whether the key is of the algorithm's kind and curve, and not meant for another algorithm."""
    try:
        JWSRegistry.algorithms[algorithm].check_key(key)
    except JoseError:
        return False
    return True


def _is_signed(signed: bytes, signature: bytes, algorithm: Any, key: Key) -> bool:
    try:
        return JWSRegistry.algorithms[algorithm].verify(signed, signature, key)
    except (JoseError, ValueError):
        return False
