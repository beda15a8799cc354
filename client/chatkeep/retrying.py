"""When a call is sent again, and how long to wait before. Pure: the clients wait.

Waits double from half a second to 8, each between a half and the whole of that, so that clients which failed together
do not come back together. A `Retry-After` is waited for as it says, to a minute; what asks for more is given up.
"""

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

FIRST_WAIT = 0.5
LONGEST_WAIT = 8.0
LONGEST_RETRY_AFTER = 60.0

PASSING = frozenset({408, 429, 502, 503, 504})
"""Statuses that may be gone the next time."""
NOT_BEGUN = frozenset({429})
"""Those among them that say for sure that nothing was done."""


def retry_after(headers: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float | None:
    """The seconds that an answer asks to wait, said as such or as an HTTP date; None where it asks nothing."""
    said = headers.get("retry-after", "").strip()
    if said.isdecimal():
        return float(said)
    from email.utils import parsedate_to_datetime

    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now()).total_seconds())


def back_off(failures: int) -> float:
    """The seconds to wait after so many failures, 1 and up."""
    wait: float = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(failures - 1, 10))
    return wait * random.uniform(0.5, 1.0)  # noqa: S311 – nobody is kept from guessing it


class Reconnection:
    """When a stream that broke is opened again: until nothing was heard for `give_up_after` seconds."""

    def __init__(self, give_up_after: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._give_up_after = give_up_after
        self._clock = clock
        self._at_least = 0.0
        self._failures = 0
        self._silent_since: float | None = None

    def heard(self, retry: int | None) -> None:
        """Something came; the service may have said after how many milliseconds it wants to be asked again."""
        self._failures = 0
        self._silent_since = None
        if retry is not None:
            self._at_least = min(retry / 1000, LONGEST_RETRY_AFTER)

    def wait(self, headers: Mapping[str, str] | None = None) -> float | None:
        """The seconds to wait before it is opened again; None where it is time to give up. `headers` of a refusal."""
        now = self._clock()
        if self._silent_since is None:
            self._silent_since = now
        if now - self._silent_since >= self._give_up_after:
            return None
        self._failures += 1
        asked = retry_after(headers or {}) or 0.0
        return max(back_off(self._failures), self._at_least, min(asked, LONGEST_RETRY_AFTER))


class Attempts:
    """The attempts of one call: how many failed, and whether another one is worth it."""

    def __init__(self, max_retries: int, *, repeatable: bool) -> None:
        self._left = max_retries
        self._repeatable = repeatable
        self._failures = 0
        self.maybe_done = False
        """Whether an attempt that failed may have been done all the same."""

    def after_answer(self, status: int, headers: Mapping[str, str]) -> float | None:
        """The seconds to wait before the next attempt; None where this answer is the last word."""
        if status not in PASSING or not (self._repeatable or status in NOT_BEGUN):
            return None
        self.maybe_done |= status not in NOT_BEGUN
        asked = retry_after(headers)
        if asked is not None and asked > LONGEST_RETRY_AFTER:
            return None
        wait = self._next()
        return None if wait is None else max(wait, asked or 0.0)

    def after_failure(self, *, begun: bool) -> float | None:
        """The same after no answer came. `begun`: whether the service may have got the request."""
        self.maybe_done |= begun
        return self._next() if self._repeatable or not begun else None

    def _next(self) -> float | None:
        if self._left <= 0:
            return None
        self._left -= 1
        self._failures += 1
        return back_off(self._failures)
