"""The socket on which a command asks the service in its own process: it streams both ways, and nothing outlives it."""

import asyncio
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import typer
from starlette.types import Message, Receive, Scope, Send

from app.cli.in_process import socket_transport

App = Callable[[Scope, Receive, Send], Awaitable[None]]
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"x-test", b"yes")]}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}
# More than a socket holds.
CHUNK = b"0123456789" * 100_000


def chunk_of(body: bytes) -> Message:
    """A chunk of a response that is not the last one."""
    return {"type": "http.response.body", "body": body, "more_body": True}


@asynccontextmanager
async def client_of(app: App) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application on a socket."""
    async with socket_transport(app) as transport:
        yield httpx2.AsyncClient(transport=transport, base_url="http://here.test", timeout=60)


async def test_the_application_waits_for_whoever_reads() -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(START)
        for _ in range(20):
            await send(chunk_of(CHUNK))
            sent += 1
        await send(END)

    async with client_of(app) as client, client.stream("GET", "/") as response:
        assert (response.status_code, response.headers["x-test"]) == (200, "yes")
        await asyncio.sleep(0.05)
        assert sent <= 2
        chunks = [chunk async for chunk in response.aiter_raw()]
    assert sent == 20
    assert b"".join(chunks) == CHUNK * 20


async def test_a_body_is_read_as_the_application_asks_for_it() -> None:
    given = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(20):
            given += 1
            yield CHUNK

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        size = len((await receive())["body"])
        await asyncio.sleep(0.05)
        assert given <= 2
        more = True
        while more:
            message = await receive()
            size, more = size + len(message["body"]), message["more_body"]
        await send(START)
        await send({"type": "http.response.body", "body": str(size).encode()})

    async with client_of(app) as client:
        assert (await client.post("/", content=body())).text == str(20 * len(CHUNK))


@pytest.mark.parametrize("fails", [True, False])
async def test_a_response_that_breaks_off_is_seen_to_be_broken(fails: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(chunk_of(b"half"))
        if fails:
            raise ZeroDivisionError

    async with client_of(app) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/")


@pytest.mark.parametrize("fails", [True, False])
async def test_no_response_is_an_error(fails: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if fails:
            raise ZeroDivisionError

    async with client_of(app) as client:
        assert (await client.get("/")).status_code == 500


async def test_who_stops_reading_is_seen_to_be_gone() -> None:
    gone = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(chunk_of(b"more"))
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with client_of(app) as client:
        async with client.stream("GET", "/") as response:
            async for _ in response.aiter_raw():
                break
        await asyncio.wait_for(gone.wait(), 60)


async def test_what_is_under_way_at_the_end_is_cancelled() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0.01)
            ended.set()

    async with client_of(app) as client:
        request = asyncio.create_task(client.get("/"))
        await begun.wait()
        request.cancel()
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
        response = await client.get("/chats/key:a%2Fb", params={"q": "ö"}, headers={"X-A": "1"})
    assert response.text == repr(("GET", "/chats/key:a/b", b"/chats/key:a%2Fb", b"q=%C3%B6", b"1"))


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that is never asked."""


async def test_the_socket_is_for_this_user_alone_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with socket_transport(nothing):
        (folder,) = tmp_path.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == []


async def test_where_no_socket_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(typer.Exit):
        async with socket_transport(nothing):
            pass
    assert capsys.readouterr().err.count("\n") == 1
    assert list(folder.iterdir()) == []
