"""A cache of the identity provider's public keys (JWKS, RFC 7517), which is kept while the provider is out of reach."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx2
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

from app.http import strict_json
from app.http.errors import Overloaded, Unprocessable

REFRESH_SECONDS = 600
# However many unknown key ids come: that is what a forger can make us do.
SPACING_SECONDS = 30
# With no keys nobody can sign in: the provider is asked again sooner.
RETRY_SECONDS = 3
FETCH_SECONDS = 5
MAX_BYTES = 1024 * 1024
# 2048 bits in base64url (RFC 7518, 3.3).
_MIN_RSA_CHARACTERS = 342
_PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

log = structlog.get_logger(__name__)


class JwksCache:
    """The keys published at one http(s) address. `clock` gives seconds, as `time.monotonic`. Raises ValueError."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError("CHATKEEP_JWKS_URL must be an http:// or https:// address")
        self._url = url
        self._clock = clock
        # One for all fetches: to make it reads the certificates of the system, for a tenth of a second.
        # No redirects, since they could lead anywhere.
        self._client = httpx2.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False)
        self._keys: Sequence[Key] | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str | None) -> list[Key]:
        """The public signing keys with this id, all of them for None; none when the provider has no such key.

        Raises Overloaded (503) when the provider was never reached.
        """
        if self._keys is None:
            await self._fetch(RETRY_SECONDS)
        elif self._clock() - self._fetched_at > REFRESH_SECONDS:
            self._start(SPACING_SECONDS)
        if self._keys is not None and kid is not None and not self._with(kid):
            await self._fetch(SPACING_SECONDS)
        if self._keys is None:
            raise Overloaded("The identity provider cannot be reached.", retry_after_seconds=RETRY_SECONDS)
        return self._with(kid)

    async def close(self) -> None:
        """Gives up a fetch under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        await self._client.aclose()

    def _with(self, kid: str | None) -> list[Key]:
        return [key for key in self._keys or () if kid is None or key.kid == kid]

    def _start(self, spacing: float) -> asyncio.Task[None] | None:
        """The fetch under way, or a new one if the last began at least `spacing` seconds ago."""
        if self._fetching is None and self._clock() - self._tried_at >= spacing:
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._refresh())
        return self._fetching

    async def _fetch(self, spacing: float) -> None:
        if task := self._start(spacing):
            # Others wait for the same fetch: one of them giving up must not end it.
            await asyncio.shield(task)

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._keys = _signing_keys(await self._download())
            self._fetched_at = self._clock()
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, Unprocessable) as error:
            log.warning("jwks_not_fetched", host=urlsplit(self._url).hostname, reason=type(error).__name__)
        finally:
            self._fetching = None

    async def _download(self) -> bytes:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with self._client.stream("GET", self._url, headers=headers) as response:
            if response.status_code != httpx2.codes.OK:
                raise ValueError(f"status {response.status_code}")
            body = bytearray()
            # Raw: a compressed body could be small here and huge afterwards.
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ValueError("too large")
        return bytes(body)


def _signing_keys(document: bytes) -> list[Key]:
    """The usable keys of a JWKS. One that we cannot use is passed over (RFC 7517, 5)."""
    value = strict_json.loads(document)
    if not isinstance(value, dict) or not isinstance(value.get("keys"), list):
        raise ValueError("not a JWKS")
    return [key for entry in value["keys"] if (key := _signing_key(entry)) is not None]


def _signing_key(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or entry.get("kty") not in ("RSA", "EC", "OKP") or _PRIVATE & entry.keys():
        return None
    try:
        if entry.get("use", "sig") != "sig" or "verify" not in entry.get("key_ops", ["verify"]):
            return None
        if entry["kty"] == "RSA" and len(entry["n"]) < _MIN_RSA_CHARACTERS:
            return None
        return import_key({name: entry[name] for name in entry if not name.startswith("x5")})
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
