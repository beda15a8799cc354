"""Reaper: marks messages in progress as incomplete whose writers have died, every few seconds."""

import asyncio

import structlog

from app.events.pubsub import PubSub
from app.streaming.chunk_writer import text_topic
from app.streaming.finalize import ABANDONED_PER_BATCH, Finalizer

_log = structlog.get_logger("chatkeep.streaming")
INTERVAL_SECONDS = 5.0


async def run_reaper(finalizer: Finalizer, pubsub: PubSub, timeout_seconds: float) -> None:
    """Runs `reap` every few seconds until it is cancelled. Several processes may do so at once."""
    while True:
        await asyncio.sleep(min(INTERVAL_SECONDS, timeout_seconds / 4))
        try:
            await reap(finalizer, pubsub, timeout_seconds)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next time has its own chance
            _log.warning("could not finalize abandoned messages, and will try again", error=type(error).__name__)


async def reap(finalizer: Finalizer, pubsub: PubSub, timeout_seconds: float) -> None:
    """Finalizes every message whose writer was silent for that long. Raises what the driver raises."""
    while locations := await finalizer.find_abandoned(timeout_seconds):
        for location in locations:
            if await finalizer.mark_incomplete(location, timeout_seconds):
                pubsub.publish(text_topic(location))
        if len(locations) < ABANDONED_PER_BATCH:
            return
