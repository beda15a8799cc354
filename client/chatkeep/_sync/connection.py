# Generated from chatkeep/_async/connection.py by client/generate_sync.py: edit that file, then run `make format`.
"""Sends calls over a connection pool, and sends them again where that helps."""

import time
from typing import Any

import httpx2

from chatkeep import http
from chatkeep.account import Account
from chatkeep.call import Call, T
from chatkeep.connection_pools import ConnectionPool
from chatkeep.retries import Attempts


class Connection:
    """A connection pool with a timeout and a number of retries."""

    def __init__(self, timeout: float, max_retries: int, transport: httpx2.BaseTransport | None) -> None:
        self._timeout = timeout
        self._max_retries = max_retries
        self._pool = ConnectionPool(transport)

    def send(self, account: Account, call: Call[T]) -> T:
        """Sends a call and returns its parsed response. Raises ChatkeepError."""
        return http.parse_response(call, self._send_with_retries(account, call, stream=False))

    def open(self, account: Account, call: Call[Any]) -> httpx2.Response:
        """Sends a call and returns its response unread; the caller closes it. Raises ChatkeepError."""
        return self._send_with_retries(account, call, stream=True)

    def send_once(self, account: Account, call: Call[Any], content: http.Content, *, stream: bool) -> httpx2.Response:
        """Sends a call without retries. An error response is read. Raises httpx2.RequestError."""
        client = self._pool.client()
        response = client.send(http.build_request(account, call, self._timeout, content), stream=stream)
        if stream and not response.is_success:
            try:
                response.read()
            finally:
                response.close()
        return response

    def attempts(self, call: Call[Any]) -> Attempts:
        """The attempts that a call has."""
        return Attempts(self._max_retries, retryable=call.retryable)

    def close(self) -> None:
        """Closes the connections."""
        self._pool.close()

    def _send_with_retries(self, account: Account, call: Call[Any], *, stream: bool) -> httpx2.Response:
        attempts = self.attempts(call)
        while True:
            content = call.body if isinstance(call.body, bytes | None) else call.body.blocks()
            try:
                response = self.send_once(account, call, content, stream=stream)
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
            time.sleep(wait)
