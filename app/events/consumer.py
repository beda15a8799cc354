"""What is kept up to date behind the writers: it reads users' feeds from where it has come to, in batches.

A follower is told by this process's announcer who changed something, and looks after everybody now and then, since
other processes may have ended before they came to it. Whoever reads what it keeps has it catch up first.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterator

import structlog

from app.db.database import Database

_log = structlog.get_logger("chatkeep.following")

Digest = Callable[[Collection[str]], Awaitable[None]]
"""Brings what is kept of these users up to date. Several processes may do so at once."""

# How long changes are gathered: the more at once, the less each costs.
PAUSE_SECONDS = 0.5
# After failures: up to a minute.
MOST_DOUBLINGS = 7
SWEEP_SECONDS = 60
USERS_AT_ONCE = 200
# How long it may go on with what it is at when it is closed: cut off, it leaves connections that are being opened.
LAST_SECONDS = 2


class Rest:
    """What followers make way for: they wait while it is held, but not longer than a minute."""

    def __init__(self) -> None:
        self._holders = 0
        self._over = asyncio.Event()
        self._over.set()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Holds followers up, as several may at once."""
        self._holders += 1
        self._over.clear()
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                self._over.set()

    async def over(self) -> None:
        """Returns when nobody holds it, or when a minute has passed."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), SWEEP_SECONDS)


class Follower:
    """Digests feeds in the background, until it is closed.

    `behind` finds some of the users whose feeds are ahead of what is kept, none when there are none.
    """

    def __init__(
        self, db: Database, name: str, digest: Digest, behind: Callable[[], Awaitable[Collection[str]]], rest: Rest
    ) -> None:
        self._rest = rest
        self._digest = digest
        self._behind = behind
        self._name = name
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=name)
        db.announcer.listen(self._note)

    def _note(self, users: frozenset[str]) -> None:
        self._changed |= users
        self._wake.set()

    async def close(self) -> None:
        """Stops; what is not digested yet is when it is asked for, or after the next start."""
        self._closing.set()
        self._wake.set()
        await asyncio.wait([self._task], timeout=LAST_SECONDS)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        swept_at = float("-inf")
        failures = 0
        while not self._closing.is_set():
            await self._rest.over()
            self._wake.clear()
            users: Collection[str] = ()
            try:
                if time.monotonic() >= swept_at + SWEEP_SECONDS:
                    while not self._closing.is_set() and (users := await self._behind()):
                        await self._digest(users)
                    swept_at = time.monotonic()
                while self._changed and not self._closing.is_set():
                    users = [self._changed.pop() for _ in range(min(USERS_AT_ONCE, len(self._changed)))]
                    await self._digest(users)
            except Exception as error:  # noqa: BLE001 - whatever it was, the next time has its own chance
                _log.warning("a follower failed, and will try again", follower=self._name, error=type(error).__name__)
                self._changed.update(users)
                # What fails may fail for good, and is not to be all that is ever done.
                await self._pause(PAUSE_SECONDS * 2 ** min(failures, MOST_DOUBLINGS))
                failures += 1
                continue
            failures = 0
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), SWEEP_SECONDS)
            await self._pause()

    async def _pause(self, seconds: float = PAUSE_SECONDS) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
