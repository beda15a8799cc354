"""How a call is said with httpx2, and what its failures mean: what both clients share of the way to the service."""

from collections.abc import AsyncIterator, Iterator

import httpx2

from chatkeep.account import Account
from chatkeep.errors import ApiError, ConnectionFailed, NotFound, UnexpectedAnswer, error_of
from chatkeep.request import Answer, Call, T
from chatkeep.retrying import Attempts

LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
"""A stream keeps its connection to itself: there are to be enough of them."""

NO_ANSWER = httpx2.RequestError
"""What httpx2 raises where no whole answer came."""
_NOT_BEGUN = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
_HOPELESS = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)

Content = bytes | Iterator[bytes] | AsyncIterator[bytes] | None


def request(account: Account, call: Call[T], timeout: float, content: Content) -> httpx2.Request:
    """A call as httpx2 sends it. `timeout` is in seconds, for each step: connecting, a write, a read."""
    timeouts = httpx2.Timeout(timeout, read=call.patience or timeout)
    return httpx2.Request(
        call.method,
        account.address(call),
        headers=account.headers(call),
        content=content,
        extensions={"timeout": timeouts.as_dict()},
    )


def begun(failure: httpx2.RequestError) -> bool:
    """Whether the service may have seen something of a request that failed so."""
    return not isinstance(failure, _NOT_BEGUN)


def hopeless(failure: httpx2.RequestError) -> bool:
    """Whether a request that failed so would always fail: it cannot be said in HTTP."""
    return isinstance(failure, _HOPELESS)


def failed(call: Call[T], failure: Exception | None) -> ConnectionFailed:
    """The error for a call that got no answer."""
    reason = "it ended" if failure is None else str(failure) or type(failure).__name__
    return ConnectionFailed(f"{call.method} {call.path} got no answer, or not all of it: {reason}.")


def refused(response: httpx2.Response) -> ApiError | None:
    """The error that an answer which was read is. Redirects are errors: the key is not for other addresses."""
    if response.is_success:
        return None
    return error_of(response.status_code, response.headers, response.content)


def deleted_before(call: Call[T], error: ApiError, attempts: Attempts) -> bool:
    """Whether what is to be deleted is gone because an attempt whose answer was lost deleted it."""
    return call.method == "DELETE" and isinstance(error, NotFound) and attempts.maybe_done


def read(call: Call[T], response: httpx2.Response) -> T:
    """What an answer says. Raises UnexpectedAnswer where it is none that the call has."""
    try:
        return call.read(Answer(response.status_code, response.headers, response.content))
    except (ValueError, KeyError, TypeError) as error:
        raise UnexpectedAnswer(
            f"{call.method} {call.path} was answered {response.status_code} with what the service does not answer."
        ) from error
