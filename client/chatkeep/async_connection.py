"""The connections of the client that is awaited: sends calls, and sends them again where that helps."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import Any
from weakref import WeakKeyDictionary

import httpx2

from chatkeep import wire
from chatkeep.account import Account
from chatkeep.request import Call, T
from chatkeep.retrying import Attempts

Opened = tuple[httpx2.AsyncClient, AsyncGenerator[httpx2.AsyncClient]]


class AsyncConnection:
    """A pool of connections for each event loop that uses it. Loops may share it, in one thread or in several."""

    def __init__(self, timeout: float, max_retries: int, transport: httpx2.AsyncBaseTransport | None) -> None:
        self._timeout = timeout
        self._max_retries = max_retries
        self._transport = transport
        self._certificates = httpx2.create_ssl_context()
        self._opened: WeakKeyDictionary[asyncio.AbstractEventLoop, Opened] = WeakKeyDictionary()
        self._lock = threading.Lock()

    async def send(self, account: Account, call: Call[T]) -> T:
        """Sends a call until it is answered, and says what the answer says. Raises ChatkeepError."""
        return wire.read(call, await self._respond(account, call, stream=False))

    async def open(self, account: Account, call: Call[Any]) -> httpx2.Response:
        """The same for an answer that is still to be read; it must be closed."""
        return await self._respond(account, call, stream=True)

    async def try_once(
        self, account: Account, call: Call[Any], content: wire.Content, *, stream: bool
    ) -> httpx2.Response:
        """Sends a call, once. An answer that is no success is read. Raises httpx2.RequestError."""
        http = await self._http()
        response = await http.send(wire.request(account, call, self._timeout, content), stream=stream)
        if stream and not response.is_success:
            try:
                await response.aread()
            finally:
                await response.aclose()
        return response

    def attempts(self, call: Call[Any]) -> Attempts:
        """How often a call may be sent again."""
        return Attempts(self._max_retries, repeatable=call.repeatable)

    async def close(self) -> None:
        """Closes every connection of this event loop. Those of another one are closed when that ends."""
        with self._lock:
            opened = self._opened.pop(asyncio.get_running_loop(), None)
        if opened is not None:
            await opened[1].aclose()

    async def _http(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        if (opened := self._of(loop)) is not None:
            return opened[0]
        # A loop closes the asynchronous generators that were begun in it when it ends (`shutdown_asyncgens`), and with
        # this one what can only be closed in that loop: asyncio.run leaves nothing open, client closed or not.
        generator = self._until_the_loop_ends()
        http = await anext(generator)
        if (opened := self._of(loop)) is not None:
            # Another task was quicker.
            await generator.aclose()
            return opened[0]
        with self._lock:
            for ended in [other for other in self._opened if other.is_closed()]:
                del self._opened[ended]
            self._opened[loop] = (http, generator)
        return http

    def _of(self, loop: asyncio.AbstractEventLoop) -> Opened | None:
        with self._lock:
            opened = self._opened.get(loop)
        # A loop may go on after it closed its generators: Runner.run_sync of the OpenAI Agents SDK has it do both.
        return None if opened is None or opened[0].is_closed else opened

    async def _until_the_loop_ends(self) -> AsyncGenerator[httpx2.AsyncClient]:
        async with httpx2.AsyncClient(transport=self._transport, verify=self._certificates, limits=wire.LIMITS) as http:
            yield http

    async def _respond(self, account: Account, call: Call[Any], *, stream: bool) -> httpx2.Response:
        attempts = self.attempts(call)
        while True:
            content = call.body if isinstance(call.body, bytes | None) else call.body.async_blocks()
            try:
                response = await self.try_once(account, call, content, stream=stream)
            except wire.NO_ANSWER as failure:
                wait = None if wire.hopeless(failure) else attempts.after_failure(begun=wire.begun(failure))
                if wait is None:
                    raise wire.failed(call, failure) from failure
            else:
                error = wire.refused(response)
                if error is None or wire.deleted_before(call, error, attempts):
                    return response
                wait = attempts.after_answer(response.status_code, response.headers)
                if wait is None:
                    raise error
            await asyncio.sleep(wait)
