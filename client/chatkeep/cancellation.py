"""Waiting for a write through cancellations: its caller must learn whether it was done."""

import asyncio
from typing import Any


async def wait_through_cancellation(write: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Waits until a future is done, and returns the first cancellation that came meanwhile, if one did."""
    cancelled: asyncio.CancelledError | None = None
    while not write.done():
        try:
            await asyncio.wait({write})
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
    return cancelled
