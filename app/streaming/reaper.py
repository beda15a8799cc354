"""Every few seconds: answers whose writers have died are marked as incomplete."""

import asyncio

import structlog

from app.events.pubsub import Hub
from app.streaming.chunk_writer import answer_topic
from app.streaming.finalize import ABANDONED, Endings

_log = structlog.get_logger("chatkeep.live")
EVERY_SECONDS = 5.0


async def sweep(endings: Endings, hub: Hub, timeout_seconds: float) -> None:
    """Runs `once` every few seconds until it is cancelled; several processes doing so do no harm."""
    while True:
        await asyncio.sleep(min(EVERY_SECONDS, timeout_seconds / 4))
        try:
            await reap_once(endings, hub, timeout_seconds)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next time has its own chance
            _log.warning("could not look after abandoned answers, and will again", error=type(error).__name__)


async def reap_once(endings: Endings, hub: Hub, timeout_seconds: float) -> None:
    """Ends every answer that nothing was heard of for so long. Raises what the driver raises."""
    while places := await endings.abandoned(timeout_seconds):
        for place in places:
            if await endings.abandon(place, timeout_seconds):
                hub.wake(answer_topic(place))
        if len(places) < ABANDONED:
            return
