"""Answers that are being written, as one process serves them: what is made once when it starts."""

import asyncio
from collections.abc import Callable

from app.db.database import Database
from app.events.pubsub import Hub
from app.http.errors import NotFound
from app.http.references import ChatRef
from app.messages.store import MessageStore
from app.settings import Settings
from app.streaming import reaper
from app.streaming.chunk_writer import Collector, answer_topic
from app.streaming.events import Replay
from app.streaming.finalize import Endings
from app.streaming.store import AnswerStore, Place
from app.streaming.tail_buffer import Reels


class Answers:
    """Everything about answers in progress. `messages` gives the store of a user's messages.

    With `sweeps`, it ends those in the background that nothing is heard of any more, whoever wrote them.
    """

    def __init__(
        self,
        db: Database,
        hub: Hub,
        settings: Settings,
        messages: Callable[[str], MessageStore],
        *,
        sweeps: bool = True,
    ) -> None:
        self._hub = hub
        self._messages = messages
        self.store = AnswerStore(db)
        self.endings = Endings(db)
        self.reels = Reels(self.store, hub, self._message)
        self.collector = Collector(
            self.store,
            hub,
            self.reels.grew,
            buffer_bytes=settings.answer_buffer_bytes,
            max_length=settings.max_body_bytes,
            idle_seconds=settings.answer_timeout_seconds,
        )
        self._sweeper: asyncio.Task[None] | None = None
        if sweeps:
            sweeping = reaper.sweep(self.endings, hub, settings.answer_timeout_seconds)
            self._sweeper = asyncio.create_task(sweeping, name="abandoned answers")

    def replay(self, place: Place, offset: int) -> Replay:
        """What a reader is sent of an answer."""
        return Replay(self.store, self.reels, self._hub, place, offset)

    def ended(self, place: Place) -> None:
        """Says, after the commit, that an answer was ended by this process."""
        self.collector.forget(place)
        self._hub.wake(answer_topic(place))

    async def close(self) -> None:
        """Writes what was received, and stops."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        await self.collector.close()
        await self.reels.close()

    async def _message(self, place: Place) -> bytes | None:
        user_id, chat_id, seq = place
        try:
            return await self._messages(user_id).history.message(ChatRef(chat_id, None), str(seq))
        except NotFound:
            return None
