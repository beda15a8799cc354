"""Clients that follow a feed, by Server-Sent Events or by WebSocket, and come back with their last cursor."""

import asyncio
import random
import time
from bisect import bisect
from collections.abc import Callable
from typing import Any

import httpx2
import orjson
import websockets
from websockets.asyncio.client import connect

Json = dict[str, Any]


class Listener:
    """A client that follows a feed and is cut off `cuts` times at random moments; it resumes with its last cursor."""

    def __init__(self, base_url: str, headers: Json, chat: str | None = None, since: str = "start") -> None:
        self.base_url = base_url
        self.headers = headers
        self.chat = chat
        self.cursor = since
        self.changes: list[Json] = []
        self.received_at: list[float] = []
        self.connected_at: list[float] = []
        self.cuts = 0
        self._abort: Callable[[], None] = lambda: None

    async def listen(self, cuts: int, pause: Callable[[], float]) -> None:
        """Until it is cancelled."""
        while True:
            cutting = None
            if self.cuts < cuts:
                cutting = asyncio.get_running_loop().call_later(pause(), self.cut)
            try:
                await self.connection()
            except (OSError, EOFError, websockets.WebSocketException, httpx2.TransportError):
                await asyncio.sleep(random.uniform(0, 0.05))
            finally:
                if cutting:
                    cutting.cancel()

    async def connection(self) -> None:
        """One connection, until it ends."""
        raise NotImplementedError

    def cut(self) -> None:
        """Ends its connection, as when a train enters a tunnel."""
        self.cuts += 1
        self._abort()

    def took(self, change: Json) -> None:
        """Notes what a complete event or message said."""
        self.cursor = change["cursor"]
        if change["type"] != "cursor":
            self.changes.append(change)
            self.received_at.append(time.perf_counter())

    def connected_before(self, at: float) -> float:
        """When the connection began that was open at a moment."""
        return self.connected_at[bisect(self.connected_at, at) - 1]

    @property
    def query(self) -> Json:
        """Where it goes on, and whether it is about one chat."""
        return {"since": self.cursor} | ({"chat": self.chat} if self.chat else {})


class EventListener(Listener):
    """By Server-Sent Events, read from the socket."""

    async def connection(self) -> None:
        """See Listener."""
        url = httpx2.URL(self.base_url).join("/events").copy_merge_params({"chat": self.chat} if self.chat else {})
        reader, writer = await asyncio.open_connection(url.host, url.port, limit=2**24)
        self._abort = writer.transport.abort
        try:
            headers = {**self.headers, "Host": "chatkeep.test", "Last-Event-ID": self.cursor}
            lines = [f"GET {url.raw_path.decode()} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.partition(b"\r\n")[0]:
                raise OSError(head)
            self.connected_at.append(time.perf_counter())
            waiting = b""
            while size := int(await reader.readuntil(b"\n"), 16):
                waiting += (await reader.readexactly(size + 2))[:-2]
                *events, waiting = waiting.split(b"\n\n")
                for event in events:
                    lines = event.decode().split("\n")
                    values = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
                    if "data" in values:
                        change = orjson.loads(values["data"])
                        assert values["id"] == change["cursor"]
                        assert values["event"] == change["type"]
                        self.took(change)
        finally:
            writer.transport.abort()


class SocketListener(Listener):
    """By WebSocket: with a ticket, or with the header."""

    def __init__(self, base_url: str, headers: Json, chat: str | None = None, *, ticket: bool) -> None:
        super().__init__(base_url, headers, chat)
        self.ticket = ticket

    async def connection(self) -> None:
        """See Listener."""
        url = httpx2.URL(self.base_url).join("/ws").copy_with(scheme="ws").copy_merge_params(self.query)
        headers = self.headers
        if self.ticket:
            async with httpx2.AsyncClient(base_url=self.base_url, trust_env=False, timeout=30, verify=False) as client:
                made = (await client.post("/tickets", headers=headers)).raise_for_status().json()
            url, headers = url.copy_merge_params({"ticket": made["ticket"]}), {}
        async with connect(str(url), additional_headers=headers, proxy=None, max_size=2**24) as socket:
            self._abort = socket.transport.abort
            self.connected_at.append(time.perf_counter())
            async for text in socket:
                self.took(orjson.loads(text))
