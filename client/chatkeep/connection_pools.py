"""Connection pools: one httpx2 client for all threads, or one for each event loop.

This is where the sync and the async client differ; the rest of the sync client is generated from the async one.
"""

import asyncio
import ssl
import threading
from collections.abc import AsyncGenerator
from functools import cache
from weakref import WeakKeyDictionary

import httpx2

LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
"""A stream keeps its connection to itself, so there must be enough of them."""


@cache
def _certificates() -> ssl.SSLContext:
    """What servers are checked by: loaded once for all clients of the process, since that takes some 15 ms."""
    return httpx2.create_ssl_context()


_LoopClient = tuple[httpx2.AsyncClient, AsyncGenerator[httpx2.AsyncClient]]


class ConnectionPool:
    """A pool of connections that threads may share."""

    def __init__(self, transport: httpx2.BaseTransport | None) -> None:
        self._client = httpx2.Client(transport=transport, verify=_certificates(), limits=LIMITS)

    def client(self) -> httpx2.Client:
        """The httpx2 client to send with."""
        return self._client

    def close(self) -> None:
        """Closes every connection."""
        self._client.close()


class AsyncConnectionPool:
    """A pool of connections for each event loop that uses it. Loops may share it, in one thread or in several."""

    def __init__(self, transport: httpx2.AsyncBaseTransport | None) -> None:
        self._transport = transport
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopClient] = WeakKeyDictionary()
        self._lock = threading.Lock()

    async def client(self) -> httpx2.AsyncClient:
        """The httpx2 client of the running event loop."""
        loop = asyncio.get_running_loop()
        if (opened := self._open_client(loop)) is not None:
            return opened[0]
        # A loop closes the asynchronous generators that were begun in it when it ends (`shutdown_asyncgens`), and with
        # this one what can only be closed in that loop: asyncio.run leaves nothing open, client closed or not.
        generator = self._until_the_loop_ends()
        client = await anext(generator)
        if (opened := self._open_client(loop)) is not None:
            # Another task was quicker.
            await generator.aclose()
            return opened[0]
        with self._lock:
            for ended in [other for other in self._clients if other.is_closed()]:
                del self._clients[ended]
            self._clients[loop] = (client, generator)
        return client

    async def aclose(self) -> None:
        """Closes every connection of this event loop. Those of another one are closed when that ends."""
        with self._lock:
            opened = self._clients.pop(asyncio.get_running_loop(), None)
        if opened is not None:
            await opened[1].aclose()

    def _open_client(self, loop: asyncio.AbstractEventLoop) -> _LoopClient | None:
        with self._lock:
            opened = self._clients.get(loop)
        # A loop may go on after it closed its generators: Runner.run_sync of the OpenAI Agents SDK has it do both.
        return None if opened is None or opened[0].is_closed else opened

    async def _until_the_loop_ends(self) -> AsyncGenerator[httpx2.AsyncClient]:
        async with httpx2.AsyncClient(transport=self._transport, verify=_certificates(), limits=LIMITS) as client:
            yield client
