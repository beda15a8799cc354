"""A real OpenID provider, and people who sign in to it as with a browser."""

import base64
import hashlib
import json
import secrets
import subprocess
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from joserfc.jwk import ECKey, KeyParameters, RSAKey

from tests.e2e import tools
from tests.servers.postgres import free_port

AUDIENCE = "chatkeep"
# Resource indicators (RFC 8707): what a token is asked for decides its audience and how long it lasts.
CHATKEEP = "https://chatkeep.test/"
CHATKEEP_BRIEFLY = "https://chatkeep.test/briefly"
SOMETHING_ELSE = "https://billing.test/"
RESOURCES = {
    CHATKEEP: {"audience": AUDIENCE, "seconds": 3600},
    CHATKEEP_BRIEFLY: {"audience": AUDIENCE, "seconds": 3},
    SOMETHING_ELSE: {"audience": "billing", "seconds": 3600},
}
CLIENT_ID = "a-frontend"
REDIRECT_URI = "http://127.0.0.1/signed-in"

Jwk = dict[str, Any]


def signing_key(algorithm: str = "RS256") -> Jwk:
    """A new private key."""
    named: KeyParameters = {"kid": secrets.token_hex(8), "use": "sig", "alg": algorithm}
    key = RSAKey.generate_key(2048, named) if algorithm == "RS256" else ECKey.generate_key("P-256", named)
    return dict(key.as_dict(private=True))


class Provider:
    """oidc-provider in a process of its own. It signs with the first of its keys and publishes all of them."""

    def __init__(self, *keys: Jwk) -> None:
        self._port = free_port()
        self.issuer = f"http://127.0.0.1:{self._port}"
        self.keys = keys

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends it."""
        if self._process.poll() is None:
            self._process.communicate(timeout=10)

    def rotate(self, *keys: Jwk) -> None:
        """Starts again with other keys."""
        self.stop()
        self.keys = keys
        self._start()

    def discover(self) -> dict[str, Any]:
        """Its metadata (OpenID Connect Discovery 1.0)."""
        response = httpx2.get(f"{self.issuer}/.well-known/openid-configuration", trust_env=False)
        metadata: dict[str, Any] = response.raise_for_status().json()
        return metadata

    def sign_in(
        self, user: str, resource: str | None = CHATKEEP, scope: str = "openid chats:read chats:write"
    ) -> dict[str, Any]:
        """The tokens of a person who signs in and agrees: authorization code with PKCE, forms and cookies and all."""
        metadata, verifier = self.discover(), secrets.token_urlsafe(32)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        wanted = {"resource": resource} if resource else {}
        asked = {
            **wanted,
            "client_id": CLIENT_ID,
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "scope": scope,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        with httpx2.Client(trust_env=False) as browser:
            page = browser.get(metadata["authorization_endpoint"], params=asked)
            while not (arrived := page.headers.get("location", "")).startswith(REDIRECT_URI):
                if page.is_redirect:
                    page = browser.get(urljoin(str(page.url), arrived))
                else:
                    assert page.is_success, page.text
                    form = (
                        {"prompt": "login", "login": user, "password": "any"}
                        if 'name="login"' in page.text
                        else {"prompt": "consent"}
                    )
                    page = browser.post(str(page.url), data=form)
            returned = parse_qs(urlsplit(arrived).query)
            assert "code" in returned, returned
            answer = browser.post(
                metadata["token_endpoint"],
                data={
                    **wanted,
                    "grant_type": "authorization_code",
                    "client_id": CLIENT_ID,
                    "redirect_uri": REDIRECT_URI,
                    "code": returned["code"][0],
                    "code_verifier": verifier,
                },
            )
        tokens: dict[str, Any] = answer.raise_for_status().json()
        return tokens

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [tools.node(), "provider.mjs"], cwd=tools.HERE, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin
        assert self._process.stdout
        configuration = {
            "port": self._port,
            "jwks": {"keys": self.keys},
            "client_id": CLIENT_ID,
            "redirect_uri": REDIRECT_URI,
            "resources": RESOURCES,
        }
        self._process.stdin.write(json.dumps(configuration) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line == "ready\n":
                return
        raise RuntimeError(f"The OpenID provider did not start: it ended with {self._process.wait()}.")
