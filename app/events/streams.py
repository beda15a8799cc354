"""What every stream to a reader shares: when to send a sign of life, when to give a reader up, and racing tasks."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

# After so long without anything to say, something is said all the same: proxies close what is silent.
SILENCE_SECONDS = 15.0
# A reader that takes nothing for so long is cut off. It comes back with its cursor.
PATIENCE_SECONDS = 20.0


async def first_of(*coroutines: Coroutine[Any, Any, object]) -> int:
    """Runs several until the first one ends, and cancels the others; says which it was. Raises what that one raised."""
    tasks = [asyncio.create_task(one) for one in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        return next(place for place, task in enumerate(tasks) if task in done)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task
