"""Waiting for a write whatever happens: nobody is to guess whether it did."""

import asyncio
from typing import Any


async def settle(work: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Waits for the outcome of a write, and gives the first cancellation that came meanwhile, if one did."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
    return cancelled
