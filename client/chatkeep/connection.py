"""The connections of the client that waits: sends calls, and sends them again where that helps."""

import time
from typing import Any

import httpx2

from chatkeep import wire
from chatkeep.account import Account
from chatkeep.request import Call, T
from chatkeep.retrying import Attempts


class Connection:
    """A pool of connections. Threads may share it."""

    def __init__(self, timeout: float, max_retries: int, transport: httpx2.BaseTransport | None) -> None:
        self._timeout = timeout
        self._max_retries = max_retries
        self._http = httpx2.Client(transport=transport, limits=wire.LIMITS)

    def send(self, account: Account, call: Call[T]) -> T:
        """Sends a call until it is answered, and says what the answer says. Raises ChatkeepError."""
        return wire.read(call, self._respond(account, call, stream=False))

    def open(self, account: Account, call: Call[Any]) -> httpx2.Response:
        """The same for an answer that is still to be read; it must be closed."""
        return self._respond(account, call, stream=True)

    def try_once(self, account: Account, call: Call[Any], content: wire.Content, *, stream: bool) -> httpx2.Response:
        """Sends a call, once. An answer that is no success is read. Raises httpx2.RequestError."""
        response = self._http.send(wire.request(account, call, self._timeout, content), stream=stream)
        if stream and not response.is_success:
            try:
                response.read()
            finally:
                response.close()
        return response

    def attempts(self, call: Call[Any]) -> Attempts:
        """How often a call may be sent again."""
        return Attempts(self._max_retries, repeatable=call.repeatable)

    def close(self) -> None:
        """Closes every connection."""
        self._http.close()

    def _respond(self, account: Account, call: Call[Any], *, stream: bool) -> httpx2.Response:
        attempts = self.attempts(call)
        while True:
            content = call.body if isinstance(call.body, bytes | None) else call.body.blocks()
            try:
                response = self.try_once(account, call, content, stream=stream)
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
            time.sleep(wait)
