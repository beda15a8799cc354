"""What streams to clients and background tasks share: timeouts, racing coroutines, and waiting for something."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from contextlib import suppress
from typing import Any

# Proxies close a connection on which nothing is sent. So something is, after this long without an event.
KEEP_ALIVE_SECONDS = 15.0
# A client that takes nothing for this long is disconnected. It comes back with its cursor.
SEND_TIMEOUT_SECONDS = 20.0


async def first_completed(*coroutines: Coroutine[Any, Any, object]) -> int:
    """Runs coroutines until the first one ends, and cancels the others. Gives its index, or raises what it raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        return next(index for index, task in enumerate(tasks) if task in done)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Waits until an event is set, at most this long. Returns whether it is."""
    # Not asyncio.wait_for: on 3.11 that makes a task for each wait.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def wait_for_disconnect(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
    """Returns when the client has gone, by HTTP or WebSocket. Whatever it sends before is dropped."""
    while not (await receive())["type"].endswith(".disconnect"):
        pass
