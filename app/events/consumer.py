"""Background consumer of the event log: keeps what is derived from users' changes up to date behind the writers.

A consumer is told by the commit hooks of this process which users changed. Once a minute it looks for every user that
lags behind, since another process may have ended before it consumed its users' changes. Whoever reads what is derived
has the changes of that user consumed first.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterator

import structlog

from app.db.database import Database
from app.events.streams import wait_for_event

_log = structlog.get_logger("chatkeep.events")

Consume = Callable[[Collection[str]], Awaitable[None]]
"""Brings what is derived from these users' changes up to date. Several processes may do so at once."""
UsersBehind = Callable[[], Awaitable[Collection[str]]]
"""Gives some of the users whose changes are not consumed yet, none when there are none."""

# How long changes are gathered: the more at once, the less each costs.
PAUSE_SECONDS = 0.5
# The pause after a failure doubles this often, up to a minute.
MAX_DOUBLINGS = 7
CATCH_UP_SECONDS = 60
USERS_PER_BATCH = 200
# How long `close` waits for the current batch. Cancelling it leaves connections that are being opened.
CLOSE_SECONDS = 2


class PauseGate:
    """A gate that consumers wait at while it is closed, but not longer than a minute."""

    def __init__(self) -> None:
        self._holders = 0
        self._open = asyncio.Event()
        self._open.set()

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Keeps the gate closed, as several may at once."""
        self._holders += 1
        self._open.clear()
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                self._open.set()

    async def wait_open(self) -> None:
        """Returns when nobody keeps it closed, or when a minute has passed."""
        await wait_for_event(self._open, CATCH_UP_SECONDS)


class Consumer:
    """Consumes changes in the background, until it is closed."""

    def __init__(
        self, db: Database, name: str, consume: Consume, users_behind: UsersBehind, pause_gate: PauseGate
    ) -> None:
        self._pause_gate = pause_gate
        self._consume = consume
        self._users_behind = users_behind
        self._name = name
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=name)
        db.commit_hooks.add(self._note)

    def _note(self, user_ids: frozenset[str]) -> None:
        self._changed |= user_ids
        self._wake.set()

    async def close(self) -> None:
        """Stops. What is left is consumed when it is asked for, or after the next start."""
        self._closing.set()
        self._wake.set()
        await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        caught_up_at = float("-inf")
        failures = 0
        while not self._closing.is_set():
            await self._pause_gate.wait_open()
            self._wake.clear()
            user_ids: Collection[str] = ()
            try:
                if time.monotonic() >= caught_up_at + CATCH_UP_SECONDS:
                    while not self._closing.is_set() and (user_ids := await self._users_behind()):
                        await self._consume(user_ids)
                    caught_up_at = time.monotonic()
                while self._changed and not self._closing.is_set():
                    user_ids = [self._changed.pop() for _ in range(min(USERS_PER_BATCH, len(self._changed)))]
                    await self._consume(user_ids)
            except Exception as error:  # noqa: BLE001 - whatever it was, the next time has its own chance
                _log.warning("a consumer failed, and will try again", consumer=self._name, error=type(error).__name__)
                self._changed.update(user_ids)
                # A user that always fails must not keep the others waiting.
                await wait_for_event(self._closing, PAUSE_SECONDS * 2 ** min(failures, MAX_DOUBLINGS))
                failures += 1
                continue
            failures = 0
            await wait_for_event(self._wake, CATCH_UP_SECONDS)
            await wait_for_event(self._closing, PAUSE_SECONDS)
