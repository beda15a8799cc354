"""Retry policy: whether a call is sent again, and how long to wait before. Pure: the clients wait.

Waits double from half a second to 8, each between a half and the whole of that, so that clients which failed together
do not come back together. A `Retry-After` is waited for as it says, to a minute; what asks for more is given up.
"""

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

DEFAULT_MAX_RETRIES = 2
DEFAULT_GIVE_UP_AFTER = 60.0
INITIAL_WAIT = 0.5
MAX_WAIT = 8.0
MAX_RETRY_AFTER = 60.0

TRANSIENT_STATUSES = frozenset({408, 429, 502, 503, 504})
"""Statuses that may be gone the next time."""
NOT_PROCESSED_STATUSES = frozenset({429})
"""Those among them that say for sure that nothing was done."""


def retry_after(headers: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float | None:
    """The seconds of a `Retry-After` header, which has seconds or an HTTP date; None where there is none."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now()).total_seconds())


def backoff(failures: int) -> float:
    """The seconds to wait after so many failures, 1 and up: exponential, with jitter."""
    wait: float = min(MAX_WAIT, INITIAL_WAIT * 2 ** min(failures - 1, 10))
    return wait * random.uniform(0.5, 1.0)  # noqa: S311 – jitter needs no secrecy


class Reconnection:
    """Reconnection policy of a stream: it is opened again until nothing came for `give_up_after` seconds."""

    def __init__(self, give_up_after: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._give_up_after = give_up_after
        self._clock = clock
        self._min_wait = 0.0
        self._failures = 0
        self._silent_since: float | None = None

    def received(self, retry: int | None) -> None:
        """An event came. `retry`: the milliseconds after which the service wants to be asked again, if it said so."""
        self._failures = 0
        self._silent_since = None
        if retry is not None:
            self._min_wait = min(retry / 1000, MAX_RETRY_AFTER)

    def wait(self, headers: Mapping[str, str] | None = None) -> float | None:
        """The seconds to wait before it is opened again; None to give up. `headers` of an error response."""
        now = self._clock()
        if self._silent_since is None:
            self._silent_since = now
        if now - self._silent_since >= self._give_up_after:
            return None
        self._failures += 1
        asked = retry_after(headers or {}) or 0.0
        return max(backoff(self._failures), self._min_wait, min(asked, MAX_RETRY_AFTER))


class Attempts:
    """The attempts of one call: how many failed, and whether another one is worth it."""

    def __init__(self, max_retries: int, *, retryable: bool) -> None:
        self._left = max_retries
        self._retryable = retryable
        self._failures = 0
        self.may_have_succeeded = False
        """Whether an attempt that failed may have been done all the same."""

    def after_response(self, status: int, headers: Mapping[str, str]) -> float | None:
        """The seconds to wait before the next attempt; None where this response is final."""
        if status not in TRANSIENT_STATUSES or not (self._retryable or status in NOT_PROCESSED_STATUSES):
            return None
        self.may_have_succeeded |= status not in NOT_PROCESSED_STATUSES
        asked = retry_after(headers)
        if asked is not None and asked > MAX_RETRY_AFTER:
            return None
        wait = self._next_wait()
        return None if wait is None else max(wait, asked or 0.0)

    def after_failure(self, *, may_have_arrived: bool) -> float | None:
        """The same where no response came. `may_have_arrived`: whether the service may have got the request."""
        self.may_have_succeeded |= may_have_arrived
        return self._next_wait() if self._retryable or not may_have_arrived else None

    def _next_wait(self) -> float | None:
        if self._left <= 0:
            return None
        self._left -= 1
        self._failures += 1
        return backoff(self._failures)
