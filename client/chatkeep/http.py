"""Mapping between calls and httpx2: builds requests, and turns failures and error responses into exceptions."""

from collections.abc import AsyncIterator, Iterator

import httpx2

from chatkeep.account import Account
from chatkeep.call import Call, Response, T
from chatkeep.errors import ApiError, ConnectionFailed, NotFound, UnexpectedAnswer, api_error
from chatkeep.retries import Attempts

NO_RESPONSE = httpx2.RequestError
"""What httpx2 raises where no whole response came."""
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
_INVALID_REQUEST = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)

Content = bytes | Iterator[bytes] | AsyncIterator[bytes] | None


def build_request(account: Account, call: Call[T], timeout: float, content: Content) -> httpx2.Request:
    """The request of a call. `timeout` is in seconds, for each step: connecting, a write, a read."""
    timeouts = httpx2.Timeout(timeout, read=call.read_timeout or timeout)
    return httpx2.Request(
        call.method,
        account.url_of(call),
        headers=account.headers_of(call),
        content=content,
        extensions={"timeout": timeouts.as_dict()},
    )


def may_have_arrived(failure: httpx2.RequestError) -> bool:
    """Whether the service may have received something of a request that failed so."""
    return not isinstance(failure, _NOT_SENT)


def is_permanent(failure: httpx2.RequestError) -> bool:
    """Whether a request that failed so would always fail: it is no valid HTTP."""
    return isinstance(failure, _INVALID_REQUEST)


def connection_failed(call: Call[T], failure: Exception | None) -> ConnectionFailed:
    """The error for a call that got no response."""
    reason = "it ended" if failure is None else str(failure) or type(failure).__name__
    return ConnectionFailed(f"{call.method} {call.path} got no answer, or not all of it: {reason}.")


def response_error(response: httpx2.Response) -> ApiError | None:
    """The error of a response that was read; None for a success. Redirects are errors: no other host gets the key."""
    if response.is_success:
        return None
    return api_error(response.status_code, response.headers, response.content)


def deleted_by_earlier_attempt(call: Call[T], error: ApiError, attempts: Attempts) -> bool:
    """Whether the target of a DELETE is gone because an attempt whose response was lost deleted it."""
    return call.method == "DELETE" and isinstance(error, NotFound) and attempts.may_have_succeeded


def parse_response(call: Call[T], response: httpx2.Response) -> T:
    """What a response says. Raises UnexpectedAnswer where the call has no such response."""
    try:
        return call.parse(Response(response.status_code, response.headers, response.content))
    except (ValueError, KeyError, TypeError) as error:
        raise UnexpectedAnswer(
            f"{call.method} {call.path} was answered {response.status_code} with what the service does not answer."
        ) from error
