"""What one process needs to serve messages in progress, put together when it starts."""

import asyncio
from collections.abc import Callable

from app.db.database import Database
from app.events.pubsub import PubSub
from app.http.errors import NotFound
from app.http.references import ChatRef
from app.messages.store import MessageStore
from app.settings import Settings
from app.streaming.chunk_writer import ChunkWriter, text_topic
from app.streaming.finalize import Finalizer
from app.streaming.queries import MessageLocation
from app.streaming.reaper import run_reaper
from app.streaming.sse import TextStream
from app.streaming.store import StreamingMessageStore
from app.streaming.tail_buffer import TailBuffers


class StreamingMessages:
    """The store of messages in progress, with their writer, readers, finalizer and reaper.

    `messages` gives the store of a user's messages. Without `reap`, no messages are reaped by this process.
    """

    def __init__(
        self,
        db: Database,
        pubsub: PubSub,
        settings: Settings,
        messages: Callable[[str], MessageStore],
        *,
        reap: bool = True,
    ) -> None:
        self._pubsub = pubsub
        self._messages = messages
        self.store = StreamingMessageStore(db)
        self.finalizer = Finalizer(db)
        self.tail_buffers = TailBuffers(self.store, pubsub, self._load_message)
        self.chunk_writer = ChunkWriter(self.store, pubsub, self.tail_buffers.add, settings)
        self._reaper: asyncio.Task[None] | None = None
        if reap:
            reaper = run_reaper(self.finalizer, pubsub, settings.answer_timeout_seconds)
            self._reaper = asyncio.create_task(reaper, name="reaper")

    def text_stream(self, location: MessageLocation, offset: int) -> TextStream:
        """The stream of a message's text for one reader."""
        return TextStream(self.store, self.tail_buffers, self._pubsub, location, offset)

    def finalized(self, location: MessageLocation) -> None:
        """Tells writers and readers, after the commit, that this process has finalized a message."""
        self.chunk_writer.forget(location)
        self._pubsub.publish(text_topic(location))

    async def close(self) -> None:
        """Stores what was received, and stops."""
        if self._reaper is not None:
            self._reaper.cancel()
            await asyncio.gather(self._reaper, return_exceptions=True)
        await self.chunk_writer.close()
        await self.tail_buffers.close()

    async def _load_message(self, location: MessageLocation) -> bytes | None:
        user_id, chat_id, seq = location
        try:
            return await self._messages(user_id).history.message(ChatRef(chat_id, None), str(seq))
        except NotFound:
            return None
