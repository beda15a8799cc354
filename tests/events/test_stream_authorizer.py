"""Who may listen no more stops hearing within five seconds, whichever process revoked it and whatever it came with."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import SecretStr

from app.auth.authenticator import KEY_CACHE_SECONDS
from app.events.stream_authorizer import CHECK_SECONDS
from app.settings import Settings
from tests.callers import Json, acting, ok, started
from tests.people import Person
from tests.streams import Socket, Stream, events, socket

pytestmark = pytest.mark.any_database

SECRET = "a shared secret of 32 bytes or more"


@pytest.fixture
async def second(settings: Settings) -> AsyncIterator[FastAPI]:
    """Another process, which takes tokens as well."""
    async with started(settings.model_copy(update={"jwt_secret": SecretStr(SECRET)})) as made:
        yield made


async def make_key(person: Person, user_id: str | None = None, **details: object) -> tuple[str, Json]:
    """A key's id and its headers."""
    body = {"name": "k", "scopes": ["chats:read", "chats:write"], "user_id": user_id, **details}
    made = ok(await person.client.post("/admin/api-keys", json=body, headers={"X-User-Id": person.user_id}))
    return made["key_id"], {"Authorization": f"Bearer {made['key']}"}


@pytest.mark.parametrize("here", [True, False], ids=["in the same process", "in another process"])
async def test_a_revoked_key_ends_its_streams(app: FastAPI, second: FastAPI, ann: Person, here: bool) -> None:
    own_id, own = await make_key(ann, ann.user_id)
    service_id, service = await make_key(ann)
    service |= {"X-User-Id": ann.user_id}
    async with AsyncExitStack() as stack:
        streams: list[Stream | Socket] = []
        for headers in (own, service):
            ticket = ok(await (await stack.enter_async_context(acting(app, headers))).post("/tickets"))["ticket"]
            streams += [
                await stack.enter_async_context(events(app, headers)),
                await stack.enter_async_context(socket(app, headers)),
                await stack.enter_async_context(socket(app, {}, ticket=ticket)),
            ]
        staying = await stack.enter_async_context(events(app, ann.headers))
        await asyncio.sleep(1.5)  # looked at once, and so known for three seconds
        assert not any(stream.ended.is_set() for stream in streams)
        revoking = await stack.enter_async_context(acting(app if here else second, ann.headers))
        for key_id in (own_id, service_id):
            answer = await revoking.delete(f"/admin/api-keys/{key_id}", headers={"X-User-Id": ann.user_id})
            assert answer.status_code == 204
        await asyncio.wait_for(asyncio.gather(*(stream.ended.wait() for stream in streams)), 60)
        assert CHECK_SECONDS + KEY_CACHE_SECONDS < 5
        assert {stream.code for stream in streams if isinstance(stream, Socket)} == {4401}
        assert not staying.ended.is_set()


async def test_a_reader_that_does_not_read_is_revoked_all_the_same(app: FastAPI, ann: Person) -> None:
    key_id, headers = await make_key(ann, ann.user_id)
    chat = await ann.chat()
    async with events(app, headers) as stream, socket(app, headers) as one:
        await asyncio.gather(stream.event(), one.message())
        stream.reading.clear()
        one.reading.clear()
        await ann.say(chat, "a")
        ok(await ann.client.delete(f"/admin/api-keys/{key_id}"))
        await asyncio.wait_for(asyncio.gather(stream.ended.wait(), one.ended.wait()), 60)


async def test_a_key_that_expires_ends_its_streams(app: FastAPI, ann: Person) -> None:
    await streams_end_in_time(app, ann, lambda at: make_key(ann, ann.user_id, expires_at=at))


async def test_a_token_that_runs_out_ends_its_streams(second: FastAPI, ann: Person) -> None:
    async def make_token(at: str) -> tuple[str, Json]:
        claims = {"sub": ann.user_id, "exp": time.time() + 2}
        token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))
        return "", {"Authorization": f"Bearer {token}"}

    await streams_end_in_time(second, ann, make_token)


async def streams_end_in_time(app: FastAPI, ann: Person, make: Callable[[str], Awaitable[tuple[str, Json]]]) -> None:
    """Streams opened with something that is good for two seconds."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 3)) + "Z"
    _, headers = await make(at)
    began = time.monotonic()
    async with acting(app, headers) as client:
        ticket = ok(await client.post("/tickets"))["ticket"]
    async with events(app, headers) as stream, socket(app, headers) as one, socket(app, {}, ticket=ticket) as two:
        await asyncio.gather(stream.event(), one.message(), two.message())
        await asyncio.wait_for(asyncio.gather(stream.ended.wait(), one.closed(), two.closed()), 60)
        assert time.monotonic() - began > 1
        assert (one.code, two.code) == (4401, 4401)


async def test_a_ticket_dies_with_the_key_that_made_it(app: FastAPI, ann: Person) -> None:
    key_id, headers = await make_key(ann, ann.user_id)
    async with acting(app, headers) as client:
        ticket = ok(await client.post("/tickets"))["ticket"]
    ok(await ann.client.delete(f"/admin/api-keys/{key_id}"))
    async with socket(app, {}, ticket=ticket) as one:
        assert (await one.closed()).code == 4401


async def test_a_database_out_of_reach_revokes_nothing(
    app: FastAPI, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, headers = await make_key(ann, ann.user_id)

    async def broken(*_: object) -> None:
        raise OSError

    async with events(app, headers) as stream:
        await stream.event()
        monkeypatch.setattr(app.state.services.authenticator.keys, "find", broken)
        app.state.services.authenticator.forget()
        await asyncio.sleep(2.5)
        assert not stream.ended.is_set()
