"""The transport that calls the service in the same process: it streams both ways, and says when an answer broke off."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from app.cli.in_process import AsgiTransport

App = Callable[[Scope, Receive, Send], Awaitable[None]]
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"x-said", b"yes")]}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


def part(body: bytes) -> Message:
    """A part of an answer that is not the last one."""
    return {"type": "http.response.body", "body": body, "more_body": True}


def client_of(app: App) -> httpx2.AsyncClient:
    """A client of an application."""
    return httpx2.AsyncClient(transport=AsgiTransport(app), base_url="http://here.test", timeout=5)


async def test_the_application_waits_for_whoever_reads() -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(START)
        for _ in range(100):
            await send(part(b"0123456789"))
            sent += 1
        await send(END)

    async with client_of(app) as client, client.stream("GET", "/") as answer:
        assert (answer.status_code, answer.headers["x-said"]) == (200, "yes")
        await asyncio.sleep(0.05)
        assert sent <= 2
        parts = [one async for one in answer.aiter_raw()]
    assert sent == 100
    assert b"".join(parts) == b"0123456789" * 100


async def test_a_body_is_read_as_the_application_asks_for_it() -> None:
    given = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(100):
            given += 1
            yield b"0123456789"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b"0123456789"
        await asyncio.sleep(0.05)
        assert given == 1
        size = 10
        while (message := await receive())["more_body"]:
            size += len(message["body"])
        await send(START)
        await send({"type": "http.response.body", "body": str(size).encode()})

    async with client_of(app) as client:
        assert (await client.post("/", content=body())).text == "1000"


@pytest.mark.parametrize("fails", [True, False])
async def test_an_answer_that_breaks_off_is_seen_to_be_broken(fails: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(part(b"half"))
        if fails:
            raise ZeroDivisionError

    async with client_of(app) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/")


async def test_what_is_raised_before_the_answer_is_raised() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    async with client_of(app) as client:
        with pytest.raises(ZeroDivisionError):
            await client.get("/")


async def test_no_answer_is_an_error() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    async with client_of(app) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/")


async def test_who_stops_reading_ends_the_application() -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(START)
            while True:
                await send(part(b"more"))
        finally:
            ended.set()

    async with client_of(app) as client, client.stream("GET", "/") as answer:
        async for _ in answer.aiter_raw():
            break
    assert ended.is_set()


async def test_who_gives_up_waiting_ends_the_application() -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with client_of(app) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.get("/"), 0.05)
    assert ended.is_set()


async def test_the_request_arrives_as_it_would_from_a_server() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen = (
            scope["method"],
            scope["path"],
            scope["raw_path"],
            scope["query_string"],
            dict(scope["headers"])[b"x-a"],
        )
        await send(START)
        await send({"type": "http.response.body", "body": repr(seen).encode()})

    async with client_of(app) as client:
        answer = await client.get("/chats/key:a%2Fb", params={"q": "ö"}, headers={"X-A": "1"})
    assert answer.text == repr(("GET", "/chats/key:a/b", b"/chats/key:a%2Fb", b"q=%C3%B6", b"1"))
