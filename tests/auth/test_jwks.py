"""The provider's keys: fetched seldom, by one for all, and kept while the provider is away."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from app.auth import jwks
from app.auth.jwks import JwksCache
from app.http.errors import Overloaded
from app.main import create_app
from app.settings import Settings
from tests.auth.test_jwt import bearing, trusting
from tests.servers.identity import IdentityProvider

pytestmark = pytest.mark.any_database


class Clock:
    """A clock that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """A provider of this test alone: its fetches are counted."""
    with IdentityProvider() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    """The clock of `keys`."""
    return Clock()


@pytest.fixture
async def keys(provider: IdentityProvider, clock: Clock) -> AsyncIterator[JwksCache]:
    """The provider's keys, by the clock."""
    cache = JwksCache(provider.url, clock)
    yield cache
    await cache.close()


@pytest.fixture
async def app(settings: Settings, provider: IdentityProvider) -> AsyncIterator[FastAPI]:
    """The service, trusting the provider."""
    made = create_app(trusting(settings, provider))
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of it."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://chatkeep.test") as made:
        yield made


async def settled(cache: JwksCache) -> None:
    """Waits for a fetch in the background."""
    while cache._fetching is not None:
        await asyncio.sleep(0.005)


async def statuses(client: httpx2.AsyncClient, tokens: list[str]) -> set[int]:
    """How the service answers requests with these tokens, all at once."""
    answers = await asyncio.gather(*(client.get("/chats", headers=bearing(token)) for token in tokens))
    return {answer.status_code for answer in answers}


async def test_a_thousand_random_kids_cause_no_fetch_where_the_keys_are_known(
    client: httpx2.AsyncClient, provider: IdentityProvider
) -> None:
    assert await statuses(client, [provider.token()]) == {200}
    assert provider.fetches == 1
    forged = [provider.token("ec", "ES256", header={"kid": str(uuid4())}) for _ in range(1000)]
    for hundred in range(0, 1000, 100):
        assert await statuses(client, forged[hundred : hundred + 100]) == {401}
    assert provider.fetches == 1
    assert await statuses(client, [provider.token(claims={"sub": "bob"})]) == {200}


async def test_a_thousand_random_kids_cause_one_fetch_where_nothing_is_known(
    client: httpx2.AsyncClient, provider: IdentityProvider
) -> None:
    forged = [provider.token("ec", "ES256", header={"kid": str(uuid4())}) for _ in range(1000)]
    for hundred in range(0, 1000, 100):
        assert await statuses(client, forged[hundred : hundred + 100]) == {401}
    assert provider.fetches == 1


async def test_random_kids_cause_one_fetch_in_thirty_seconds(
    keys: JwksCache, provider: IdentityProvider, clock: Clock
) -> None:
    await keys.find("rsa")
    for second in range(1, 91):
        clock.now = 1000.0 + second
        for _ in range(20):
            assert await keys.find(str(uuid4())) == []
    assert provider.fetches == 1 + 3


async def test_fifty_callers_at_once_wait_for_one_fetch(client: httpx2.AsyncClient, provider: IdentityProvider) -> None:
    provider.delay = 0.2
    tokens = [provider.token(claims={"sub": f"user-{number}"}) for number in range(50)]
    assert await statuses(client, tokens) == {200}
    assert provider.fetches == 1


async def test_one_that_gives_up_does_not_end_the_fetch_for_the_others(
    keys: JwksCache, provider: IdentityProvider
) -> None:
    provider.delay = 0.2
    first, second = (asyncio.create_task(keys.find("rsa")) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()
    assert len(await second) == 1
    assert provider.fetches == 1


async def test_a_new_key_is_picked_up_when_it_is_first_used(
    keys: JwksCache, provider: IdentityProvider, clock: Clock
) -> None:
    await keys.find("rsa")
    provider.publish("new")
    assert await keys.find("new") == []
    clock.now += jwks.SPACING_SECONDS
    assert [key.kid for key in await keys.find("new")] == ["new"]
    assert provider.fetches == 2


async def test_a_withdrawn_key_goes_after_ten_minutes(
    keys: JwksCache, provider: IdentityProvider, clock: Clock
) -> None:
    assert await keys.find("rsa")
    provider.withdraw("rsa")
    clock.now += jwks.REFRESH_SECONDS - 1
    assert await keys.find("rsa")
    assert provider.fetches == 1
    clock.now += 2
    await keys.find("rsa")
    await settled(keys)
    assert await keys.find("rsa") == []
    assert provider.fetches == 2


async def test_nobody_waits_for_a_refresh(keys: JwksCache, provider: IdentityProvider, clock: Clock) -> None:
    await keys.find("rsa")
    clock.now += jwks.REFRESH_SECONDS + 1
    provider.gate.clear()
    for _ in range(50):
        assert await keys.find("rsa")
    assert keys._fetching is not None
    provider.gate.set()
    await settled(keys)
    assert provider.fetches == 2


FAILURES = {
    "status 500": {"status": 500},
    "status 404": {"status": 404},
    "a redirect": {"status": 302, "headers": {"Location": "/jwks.json"}},
    "no JSON": {"body": b"<html>"},
    "no JWKS": {"body": b"[]"},
    "keys not a list": {"body": b'{"keys": {}}'},
    "keys twice": {"body": b'{"keys": [], "keys": []}'},
    "larger than 1 MiB": {"body": b'{"keys": []}' + b" " * jwks.MAX_BYTES},
    "compressed": {"body": gzip.compress(b'{"keys": []}'), "headers": {"Content-Encoding": "gzip"}},
    "a body that ends too early": {"headers": {"Content-Length": "999999"}},
    "slow": {"delay": 1},
}


@contextlib.contextmanager
def failing(provider: IdentityProvider, failure: dict[str, object]) -> Iterator[None]:
    """As long as this lasts, the provider fails so. What is slow is slower than anybody waits."""
    with pytest.MonkeyPatch.context() as patch:
        if "delay" in failure:
            patch.setattr(jwks, "FETCH_SECONDS", 0.5)
        for name, value in failure.items():
            patch.setattr(provider, name, value)
        yield


async def fetched(provider: IdentityProvider, times: int) -> None:
    """Waits until the provider was asked so often; it may come to notice after whoever asked gave up."""
    async with asyncio.timeout(20):
        while provider.fetches < times:
            await asyncio.sleep(0.01)
    assert provider.fetches == times


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_a_failed_refresh_keeps_the_keys(
    keys: JwksCache, provider: IdentityProvider, clock: Clock, failure: dict[str, object]
) -> None:
    await keys.find("rsa")
    with failing(provider, failure):
        for _ in range(3):
            clock.now += jwks.REFRESH_SECONDS + 1
            assert [key.kid for key in await keys.find("rsa")] == ["rsa"]
            await settled(keys)
        await fetched(provider, 4)
    provider.publish("new")
    clock.now += jwks.SPACING_SECONDS
    assert [key.kid for key in await keys.find("new")] == ["new"]


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_with_no_keys_the_service_is_unavailable_until_the_provider_is_back(
    keys: JwksCache, provider: IdentityProvider, clock: Clock, failure: dict[str, object]
) -> None:
    with failing(provider, failure):
        for _ in range(20):
            with pytest.raises(Overloaded):
                await keys.find("rsa")
        await fetched(provider, 1)
    clock.now += jwks.RETRY_SECONDS
    assert await keys.find("rsa")


async def test_a_provider_that_is_down_is_a_503_and_api_keys_work_on(
    settings: Settings, provider: IdentityProvider, admin: dict[str, str]
) -> None:
    nowhere = trusting(settings, provider, jwks_url="http://127.0.0.1:9/jwks.json")
    made = create_app(nowhere)
    async with (
        made.router.lifespan_context(made),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(made), base_url="http://chatkeep.test") as client,
    ):
        answer = await client.get("/chats", headers=bearing(provider.token()))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, str(jwks.RETRY_SECONDS))
        assert (await client.get("/admin/api-keys", headers=admin)).status_code == 200
        assert (await client.get("/chats", headers=bearing(provider.token(header={"alg": "none"})))).status_code == 401


async def test_keys_that_cannot_be_used_are_passed_over(keys: JwksCache, provider: IdentityProvider) -> None:
    usable = {key["kid"] for key in provider.published if key.get("use") != "enc"}
    provider.published += [
        {"kty": "oct", "kid": "oct", "k": "AAAA"},
        {"kty": "AKP", "kid": "post-quantum", "alg": "ML-DSA-44", "pub": "AAAA"},
        {"kty": "RSA", "kid": "no modulus", "e": "AQAB"},
        {"kty": "RSA", "kid": "modulus a number", "n": 7, "e": "AQAB"},
        {"kty": "EC", "kid": "off the curve", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "kid": "no curve", "crv": "P-1", "x": "AAAA", "y": "AAAA"},
        {"kty": ["RSA"], "kid": "type a list"},
        {"kid": "no type"},
        {**provider.published[0], "kid": 7},
        {**provider.published[0], "kid": "key_ops a number", "key_ops": 7},
        {},
    ]
    provider.body = json.dumps({"keys": [*provider.published, "text", None, []]}).encode()
    assert {key.kid for key in await keys.find(None)} == usable


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://idp.test/jwks", "data:,{}", "idp.test/jwks", "https://"])
def test_only_http_addresses_are_fetched(url: str) -> None:
    with pytest.raises(ValueError, match="CHATKEEP_JWKS_URL"):
        JwksCache(url)
