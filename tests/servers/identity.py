"""An identity provider: a JWKS on a real HTTP server that counts its fetches, and the keys to sign tokens with."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

AUDIENCE = "chatkeep"
Json = dict[str, Any]


class IdentityProvider:
    """Serves `published` at `url`. Whatever else it should answer is set in `status`, `body`, `headers` and `delay`.

    While `gate` is closed (`clear()`) it does not answer.
    """

    def __init__(self) -> None:
        self.keys = dict(_keys())
        self.published: list[Json] = [dict(key.as_dict(private=False)) for key in self.keys.values()]
        self.fetches = 0
        self.gate = threading.Event()
        self.gate.set()
        self.status, self.body, self.headers, self.delay = 200, b"", dict[str, str](), 0.0

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def issuer(self) -> str:
        """Its `iss`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """Where its keys are."""
        return f"{self.issuer}/jwks.json"

    def publish(self, kid: str, key: Key | None = None) -> Key:
        """Adds a key, a new one if none is given."""
        self.keys[kid] = key or RSAKey.generate_key(2048, {"kid": kid})
        self.published.append({**self.keys[kid].as_dict(private=False), "kid": kid})
        return self.keys[kid]

    def withdraw(self, kid: str) -> None:
        """Publishes a key no longer."""
        self.published = [key for key in self.published if key.get("kid") != kid]

    def claims(self, **changed: Any) -> Json:
        """What a genuine token says, with some of it changed; what is None is left out."""
        now = int(time.time())
        genuine = {"iss": self.issuer, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 600}
        return {name: value for name, value in {**genuine, **changed}.items() if value is not None}

    def token(
        self,
        kid: str = "rsa",
        alg: str = "RS256",
        *,
        header: Json | None = None,
        claims: Json | None = None,
        key: Key | None = None,
    ) -> str:
        """A token signed with one of its keys, or with another one."""
        head = {"alg": alg, "typ": "JWT", "kid": kid, **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        return compact(head, self.claims(**(claims or {})), signer(alg, key or self.keys[kid]))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.fetches += 1
                time.sleep(provider.delay)
                provider.gate.wait(30)
                body = provider.body or json.dumps({"keys": provider.published}).encode()
                self.send_response(provider.status)
                for name, value in {"Content-Length": str(len(body)), **provider.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing: tests count, they do not read."""

        return Handler


@cache
def _keys() -> dict[str, Key]:
    """The keys of every provider here: to make RSA keys takes a while."""
    return {
        "rsa": RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig", "alg": "RS256"}),
        "rsa-any": RSAKey.generate_key(2048, {"kid": "rsa-any"}),
        "ec": ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"}),
        "ec-384": ECKey.generate_key("P-384", {"kid": "ec-384"}),
        "ed": OKPKey.generate_key("Ed25519", {"kid": "ed", "use": "sig"}),
        "enc": RSAKey.generate_key(2048, {"kid": "enc", "use": "enc"}),
    }


def base64url(value: bytes | str | Json | list[Any]) -> str:
    """A part of a token; JSON where it is not bytes or text yet."""
    if isinstance(value, dict | list):
        value = json.dumps(value)
    raw = value.encode() if isinstance(value, str) else value
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def compact(
    header: bytes | str | Json | list[Any], payload: bytes | str | Json | list[Any], sign: Callable[[bytes], bytes]
) -> str:
    """A JWS, well-formed or not."""
    signed = f"{base64url(header)}.{base64url(payload)}"
    return f"{signed}.{base64url(sign(signed.encode()))}"


def signer(alg: str, key: Key) -> Callable[[bytes], bytes]:
    """Signs with a key."""
    return lambda signed: JWSRegistry.algorithms[alg].sign(signed, key)


def secret(value: bytes) -> Key:
    """A symmetric key of any bytes, those too that a library would refuse."""
    return OctKey(value, value)


def weak_rsa() -> RSAKey:
    """An RSA key of 1024 bits."""
    return RSAKey(rsa.generate_private_key(65537, 1024), None)


def swapped(token: str, **changed: Any) -> str:
    """A token whose claims were changed after it was signed."""
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return f"{head}.{base64url({**claims, **changed})}.{signature}"
