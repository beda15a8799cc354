"""Stream authorizer: checks once a second whether the callers of open streams may still read them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from app.events.pubsub import PubSub
from app.http.errors import BadRequest, Forbidden, Unauthorized

# With the three seconds for which a key is cached, and the time that a check takes: less than five.
CHECK_SECONDS = 1.0
AuthorizationCheck = Callable[[], Awaitable[object]]
"""Raises Unauthorized, Forbidden or BadRequest once the caller may not read any more."""

_log = structlog.get_logger("chatkeep.events")


class StreamAuthorizer:
    """Ends the streams of revoked keys and expired tokens. When the service stops, it ends those that do not end by
    themselves, since their readers do not read."""

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub
        self._streams: dict[asyncio.Event, AuthorizationCheck] = {}
        self._task = asyncio.create_task(self._run(), name="stream authorizer")

    @asynccontextmanager
    async def watch(self, check: AuthorizationCheck) -> AsyncIterator[asyncio.Event]:
        """Gives an event that is set when `check` refuses the stream's caller, or when all streams must end."""
        must_end = asyncio.Event()
        self._streams[must_end] = check
        try:
            yield must_end
        finally:
            del self._streams[must_end]

    async def close(self) -> None:
        """Stops checking."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            for must_end, check in list(self._streams.items()):
                if self._pubsub.closing:
                    must_end.set()
                    continue
                try:
                    await check()
                except (Unauthorized, Forbidden, BadRequest):
                    must_end.set()
                except Exception as error:  # noqa: BLE001 - a database out of reach has revoked nothing
                    _log.warning("could not check whether a stream may go on", error=type(error).__name__)
                    break
