"""Streams of the service inside this process: what an ASGI server would do, with a reader that can stop reading."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlencode

from fastapi import FastAPI

from tests.callers import Json

PATIENCE = 10


class Stream:
    """An open event stream. While `reading` is cleared, nothing more is taken from the application."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.reading = asyncio.Event()
        self.reading.set()
        self.ended = asyncio.Event()
        self.parts: list[bytes] = []
        self.complete = False
        self._pending = b""
        self._blocks: asyncio.Queue[str] = asyncio.Queue()

    async def take(self, message: Any) -> None:
        """What the application sends."""
        await self.reading.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self.parts.append(message["body"])
        self.complete |= not message.get("more_body", False)
        *blocks, self._pending = (self._pending + message["body"]).split(b"\n\n")
        for block in blocks:
            self._blocks.put_nowait(block.decode())

    async def block(self) -> str:
        """The next event, comment or `retry`, as it came."""
        return await asyncio.wait_for(self._blocks.get(), PATIENCE)

    async def event(self) -> Json:
        """The data of the next event, which says the same as its other lines."""
        while True:
            lines = [line.partition(": ") for line in (await self.block()).split("\n")]
            said = {name: value for name, _, value in lines if name}
            if "data" in said:
                data: Json = json.loads(said["data"])
                assert (said["id"], said["event"]) == (data["cursor"], data["type"])
                return data

    async def events(self, count: int) -> list[Json]:
        """The next few of them."""
        return [await self.event() for _ in range(count)]

    def nothing_left(self) -> bool:
        """Whether everything that came was looked at."""
        return self._blocks.empty()

    @property
    def body(self) -> bytes:
        """All that came."""
        return b"".join(self.parts)


@asynccontextmanager
async def events(app: FastAPI, headers: Json, path: str = "/events", **query: str) -> AsyncIterator[Stream]:
    """A stream that is open for a while; at the end the client goes away."""
    stream, gone = Stream(), asyncio.Event()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": urlencode(query).encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "server": ("chatkeep.test", 80),
        "client": ("127.0.0.1", 1),
    }
    asked = False

    async def receive() -> Json:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def run() -> None:
        try:
            await app(scope, receive, stream.take)
        finally:
            stream.ended.set()

    task = asyncio.create_task(run())
    try:
        while not stream.status and not task.done():
            await asyncio.sleep(0.001)
        yield stream
    finally:
        gone.set()
        stream.reading.set()
        await asyncio.wait_for(task, PATIENCE)


class Socket:
    """A WebSocket: `message()` gives the next one; `code` is that with which it was closed."""

    def __init__(self) -> None:
        self.accepted = False
        self.code: int | None = None
        self.reason = ""
        self.ended = asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()
        self._messages: asyncio.Queue[str] = asyncio.Queue()
        self.outgoing: asyncio.Queue[Json] = asyncio.Queue()

    async def take(self, message: Any) -> None:
        """What the application sends."""
        await self.reading.wait()
        if message["type"] == "websocket.accept":
            self.accepted = True
        elif message["type"] == "websocket.close":
            self.code, self.reason = message["code"], message["reason"]
        else:
            self._messages.put_nowait(message["text"])

    async def message(self) -> Json:
        """The next message."""
        said: Json = json.loads(await asyncio.wait_for(self._messages.get(), PATIENCE))
        return said

    async def messages(self, count: int) -> list[Json]:
        """The next few of them."""
        return [await self.message() for _ in range(count)]

    async def closed(self) -> Self:
        """Waits for the end."""
        await asyncio.wait_for(self.ended.wait(), PATIENCE)
        return self


@asynccontextmanager
async def socket(app: FastAPI, headers: Json, **query: str) -> AsyncIterator[Socket]:
    """A WebSocket that is open for a while; at the end the client goes away."""
    made = Socket()
    made.outgoing.put_nowait({"type": "websocket.connect"})
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "path": "/ws",
        "raw_path": b"/ws",
        "root_path": "",
        "scheme": "ws",
        "query_string": urlencode(query).encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "server": ("chatkeep.test", 80),
        "client": ("127.0.0.1", 1),
        "subprotocols": [],
    }

    async def run() -> None:
        try:
            await app(scope, made.outgoing.get, made.take)
        finally:
            made.ended.set()

    task = asyncio.create_task(run())
    try:
        yield made
    finally:
        made.outgoing.put_nowait({"type": "websocket.disconnect", "code": 1005})
        made.reading.set()
        await asyncio.wait_for(task, PATIENCE)
