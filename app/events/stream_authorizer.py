"""Who looks, once a second, whether those who opened a stream may still see what comes out of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from app.events.pubsub import Hub
from app.http.errors import BadRequest, Forbidden, Unauthorized

# With the three seconds for which a key is trusted, and the time that a look takes: less than five.
LOOK_SECONDS = 1.0
Check = Callable[[], Awaitable[object]]
"""Raises Unauthorized, Forbidden or BadRequest where a caller is one no more."""

_log = structlog.get_logger("chatkeep.live")


class Guard:
    """Ends the streams of keys that were revoked and tokens that ran out; and when the hub closes, those that do not
    end by themselves, since their readers do not read."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._streams: dict[asyncio.Event, Check] = {}
        self._task = asyncio.create_task(self._run(), name="guard")

    @asynccontextmanager
    async def over(self, check: Check) -> AsyncIterator[asyncio.Event]:
        """An event that is set when `check` says that the stream may not go on, or when all must end."""
        ended = asyncio.Event()
        self._streams[ended] = check
        try:
            yield ended
        finally:
            del self._streams[ended]

    async def close(self) -> None:
        """Looks no more."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for ended, check in list(self._streams.items()):
                if self._hub.closing:
                    ended.set()
                    continue
                try:
                    await check()
                except (Unauthorized, Forbidden, BadRequest):
                    ended.set()
                except Exception as error:  # noqa: BLE001 - a database out of reach has revoked nothing
                    _log.warning("could not look whether a stream may go on", error=type(error).__name__)
                    break
