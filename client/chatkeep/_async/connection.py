"""Sends calls over a connection pool, and sends them again where that helps."""

import asyncio
from typing import Any

import httpx2

from chatkeep import http
from chatkeep.account import Account
from chatkeep.call import Call, T
from chatkeep.connection_pools import AsyncConnectionPool
from chatkeep.retries import Attempts


class AsyncConnection:
    """A connection pool with a timeout and a number of retries."""

    def __init__(self, timeout: float, max_retries: int, transport: httpx2.AsyncBaseTransport | None) -> None:
        self._timeout = timeout
        self._max_retries = max_retries
        self._pool = AsyncConnectionPool(transport)

    async def send(self, account: Account, call: Call[T]) -> T:
        """Sends a call and returns its parsed response. Raises ChatkeepError."""
        return http.parse_response(call, await self._send_with_retries(account, call, stream=False))

    async def open(self, account: Account, call: Call[Any]) -> httpx2.Response:
        """Sends a call and returns its response unread; the caller closes it. Raises ChatkeepError."""
        return await self._send_with_retries(account, call, stream=True)

    async def send_once(
        self, account: Account, call: Call[Any], content: http.Content, *, stream: bool
    ) -> httpx2.Response:
        """Sends a call without retries. An error response is read. Raises httpx2.RequestError."""
        client = await self._pool.client()
        response = await client.send(http.build_request(account, call, self._timeout, content), stream=stream)
        if stream and not response.is_success:
            try:
                await response.aread()
            finally:
                await response.aclose()
        return response

    def attempts(self, call: Call[Any]) -> Attempts:
        """The attempts that a call has."""
        return Attempts(self._max_retries, retryable=call.retryable)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._pool.aclose()

    async def _send_with_retries(self, account: Account, call: Call[Any], *, stream: bool) -> httpx2.Response:
        attempts = self.attempts(call)
        while True:
            content = call.body if isinstance(call.body, bytes | None) else call.body.async_blocks()
            try:
                response = await self.send_once(account, call, content, stream=stream)
            except http.NO_RESPONSE as failure:
                wait = None
                if not http.is_permanent(failure):
                    wait = attempts.after_failure(may_have_arrived=http.may_have_arrived(failure))
                if wait is None:
                    raise http.connection_failed(call, failure) from failure
            else:
                error = http.response_error(response)
                if error is None or http.deleted_by_earlier_attempt(call, error, attempts):
                    return response
                wait = attempts.after_response(response.status_code, response.headers)
                if wait is None:
                    raise error
            await asyncio.sleep(wait)
