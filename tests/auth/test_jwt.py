"""JWTs: those of the provider are taken, forged ones never."""

import asyncio
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from tests.auth.forgeries import FORGERIES, SHARED_SECRET
from tests.servers.identity import AUDIENCE, IdentityProvider, Json, secret

pytestmark = pytest.mark.any_database

ADMIN_PAGE = "/admin/api-keys"


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    """The provider that the service trusts; everything that a forgery publishes is published before the first fetch."""
    with IdentityProvider() as made:
        for forge in FORGERIES.values():
            forge(made)
        yield made


def trusting(settings: Settings, provider: IdentityProvider, **changed: Any) -> Settings:
    """Settings for tokens of the provider and of the shared secret."""
    given: Json = {"jwks_url": provider.url, "jwt_issuer": provider.issuer, "jwt_audience": (AUDIENCE,)}
    return Settings.model_validate({**settings.model_dump(), **given, "jwt_secret": SHARED_SECRET, **changed})


@pytest.fixture(scope="module")
async def app(settings: Settings, provider: IdentityProvider) -> AsyncIterator[FastAPI]:
    """The service, trusting the provider."""
    made = create_app(trusting(settings, provider))
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture(scope="module")
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of it."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://chatkeep.test") as made:
        yield made


def bearing(token: str) -> dict[str, str]:
    """The headers of a request that brings a token."""
    return {"Authorization": f"Bearer {token}"}


def test_there_are_at_least_thirty_ways_to_forge() -> None:
    assert len(FORGERIES) >= 30


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
async def test_a_forged_token_is_refused_and_a_genuine_one_beside_it_is_not(
    client: httpx2.AsyncClient, provider: IdentityProvider, forge: Any
) -> None:
    forged = await client.get("/chats", headers=bearing(forge(provider)))
    genuine = await client.get("/chats", headers=bearing(provider.token()))
    assert (forged.status_code, genuine.status_code) == (401, 200)
    assert forged.headers["www-authenticate"] == "Bearer"
    assert forged.headers["content-type"] == "application/problem+json"
    assert forged.json()["title"] == "Unauthorized"


GENUINE: dict[str, Json] = {
    "RS256": {},
    "RS256, key for any algorithm": {"kid": "rsa-any"},
    "ES256": {"kid": "ec", "alg": "ES256"},
    "ES256, no kid, one key fits": {"kid": "ec", "alg": "ES256", "header": {"kid": None}},
    "HS256 with the shared secret": {"alg": "HS256", "key": secret(SHARED_SECRET.encode()), "header": {"kid": None}},
    "typ at+jwt": {"header": {"typ": "at+jwt"}},
    "typ AT+JWT": {"header": {"typ": "AT+JWT"}},
    "typ application/at+jwt": {"header": {"typ": "application/at+jwt"}},
    "typ jwt": {"header": {"typ": "jwt"}},
    "no typ": {"header": {"typ": None}},
    "further headers": {"header": {"cat": "cl_1", "x5t": "AAAA", "jku": "https://idp.test/jwks"}},
    "aud a list with ours": {"claims": {"aud": ["billing", AUDIENCE]}},
    "exp with a fraction": {"claims": {"exp": time.time() + 3600.5}},
    "iat a little ahead of our clock": {"claims": {"iat": time.time() + 10}},
    "nbf now": {"claims": {"nbf": int(time.time())}},
    "no iat": {"claims": {"iat": None}},
    "sub of 255 characters": {"claims": {"sub": "ü" * 255}},
    "sub as Auth0 writes it": {"claims": {"sub": "auth0|5f7c8ec7c33c6c004bbafe82"}},
}


@pytest.mark.parametrize("parts", GENUINE.values(), ids=GENUINE)
async def test_a_genuine_token_is_taken(client: httpx2.AsyncClient, provider: IdentityProvider, parts: Json) -> None:
    answer = await client.get("/chats", headers=bearing(provider.token(**parts)))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("claim", "may_read", "may_write", "may_administer"),
    [
        (None, True, True, False),
        ("openid profile", True, True, False),
        ("chats:read", True, False, False),
        ("openid chats:write", False, True, False),
        ("admin", False, False, True),
        (["chats:read", "chats:write", "admin"], True, True, True),
        ({"chats:read": True}, True, True, False),
        (["CHATS:READ", 1, None], True, True, False),
        (7, True, True, False),
    ],
)
async def test_scopes_come_from_their_claim(
    client: httpx2.AsyncClient,
    provider: IdentityProvider,
    claim: object,
    may_read: bool,
    may_write: bool,
    may_administer: bool,
) -> None:
    headers = bearing(provider.token(claims={"scope": claim}))
    read = await client.get("/chats", headers=headers)
    write = await client.post("/chats", headers=headers, json={})
    administer = await client.get(ADMIN_PAGE, headers=headers)
    assert (read.status_code, write.status_code, administer.status_code) == (
        200 if may_read else 403,
        201 if may_write else 403,
        200 if may_administer else 403,
    )


async def test_two_users_of_the_provider_see_their_own_chats(
    client: httpx2.AsyncClient, provider: IdentityProvider, make_user: Any
) -> None:
    ann, bob = (bearing(provider.token(claims={"sub": make_user()})) for _ in range(2))
    made = await client.post("/chats", headers=ann, json={"title": "Ann's"})
    assert made.status_code == 201
    assert (await client.get("/chats", headers=bob)).json()["items"] == []
    assert [chat["title"] for chat in (await client.get("/chats", headers=ann)).json()["items"]] == ["Ann's"]


async def test_a_user_may_not_act_for_another(client: httpx2.AsyncClient, provider: IdentityProvider) -> None:
    headers = bearing(provider.token(claims={"sub": "ann", "scope": "admin chats:read"}))
    for user in ("bob", "ann"):
        assert (await client.get("/chats", headers={**headers, "X-User-Id": user})).status_code == 403


async def test_a_token_is_refused_from_the_moment_it_expires(
    client: httpx2.AsyncClient, provider: IdentityProvider
) -> None:
    moment = time.time() + 1
    headers = bearing(provider.token(claims={"exp": moment}))
    assert (await client.get("/chats", headers=headers)).status_code == 200 or time.time() >= moment
    while time.time() < moment:
        await asyncio.sleep(0.01)
    assert (await client.get("/chats", headers=headers)).status_code == 401


BY_SECRET: Json = {"alg": "HS256", "key": secret(SHARED_SECRET.encode())}
NO_SECRET: Json = {"alg": "HS256", "key": secret(b"\0")}
DECISIONS: dict[str, tuple[Json, Json, int]] = {
    "EdDSA in the list": ({"jwt_algorithms": "EdDSA"}, {"kid": "ed", "alg": "EdDSA"}, 200),
    "Ed25519 in the list": ({"jwt_algorithms": "Ed25519"}, {"kid": "ed", "alg": "Ed25519"}, 200),
    "ES384 in the list": ({"jwt_algorithms": "ES384, PS256"}, {"kid": "ec-384", "alg": "ES384"}, 200),
    "PS256 in the list": ({"jwt_algorithms": "ES384, PS256"}, {"kid": "rsa-any", "alg": "PS256"}, 200),
    "PS256 by a key for RS256": ({"jwt_algorithms": "PS256"}, {"kid": "rsa", "alg": "PS256"}, 401),
    "RS256 not in the list": ({"jwt_algorithms": "ES256"}, {}, 401),
    "two audiences": ({"jwt_audience": "billing, chatkeep"}, {}, 200),
    "any audience": ({"jwt_audience": ""}, {"claims": {"aud": None}}, 200),
    "any issuer": ({"jwt_issuer": ""}, {"claims": {"iss": None}}, 200),
    "user by email": ({"jwt_user_claim": "email"}, {"claims": {"sub": None, "email": "ann@example.org"}}, 200),
    "user by email, none": ({"jwt_user_claim": "email"}, {}, 401),
    "scopes elsewhere": ({"jwt_scope_claim": "permissions"}, {"claims": {"permissions": ["chats:write"]}}, 403),
    "no shared secret": ({"jwt_secret": None}, BY_SECRET, 401),
    "no provider": ({"jwks_url": ""}, {}, 401),
    "no provider, but a secret": ({"jwks_url": ""}, BY_SECRET, 200),
    "no tokens at all": ({"jwks_url": "", "jwt_secret": None}, {}, 401),
    "no tokens at all, signed with nothing": ({"jwks_url": "", "jwt_secret": None}, NO_SECRET, 401),
}


@pytest.mark.parametrize(("changed", "parts", "status"), DECISIONS.values(), ids=DECISIONS)
async def test_the_settings_decide(
    settings: Settings, provider: IdentityProvider, changed: Json, parts: Json, status: int
) -> None:
    made = create_app(trusting(settings, provider, **changed))
    async with (
        made.router.lifespan_context(made),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(made), base_url="http://chatkeep.test") as client,
    ):
        answer = await client.get("/chats", headers=bearing(provider.token(**parts)))
    assert answer.status_code == status, answer.text


async def test_the_token_of_the_documentation_is_taken(settings: Settings, provider: IdentityProvider) -> None:
    page = (Path(__file__).parents[2] / "docs" / "auth.md").read_text()
    (script,) = (block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "hmac" in block)
    environment = {**os.environ, "CHATKEEP_JWT_SECRET": SHARED_SECRET}
    token = subprocess.run(
        ["/bin/sh", "-ec", script], env=environment, capture_output=True, text=True, check=True
    ).stdout
    made = create_app(trusting(settings, provider, jwks_url="", jwt_issuer="", jwt_audience=""))
    async with (
        made.router.lifespan_context(made),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(made), base_url="http://chatkeep.test") as client,
    ):
        assert (await client.get("/chats", headers=bearing(token.strip()))).status_code == 200


@pytest.mark.parametrize(
    "wrong", [{"jwt_secret": "short"}, {"jwt_algorithms": "HS256"}, {"jwt_algorithms": "RS256,none"}], ids=str
)
def test_weak_settings_are_refused(settings: Settings, wrong: Json) -> None:
    with pytest.raises(ValueError, match=r"JWT_SECRET|public-key algorithms"):
        Settings.model_validate({**settings.model_dump(), **wrong})
