"""An answer as Server-Sent Events: its text from some place on, as it grows, and at the end its message."""

import asyncio
from collections.abc import AsyncGenerator

import orjson

from app.events.pubsub import Hub
from app.events.sse import SIGN_OF_LIFE
from app.events.streams import SILENCE_SECONDS
from app.streaming.store import AnswerStore, Place
from app.streaming.tail_buffer import DELETED, End, Reels

# The id of the last event.
LAST = "end"
# What a message's status is called at the end of its stream.
ENDINGS = {"completed": "done", "failed": "failed", "incomplete": "incomplete", DELETED: "deleted"}


class Replay:
    """What a reader is sent of an answer from `offset` on. Nothing is held while it waits."""

    def __init__(self, store: AnswerStore, reels: Reels, hub: Hub, place: Place, offset: int) -> None:
        self._store = store
        self._reels = reels
        self._hub = hub
        self._place = place
        self._offset = offset

    async def events(self) -> AsyncGenerator[bytes]:
        """The events, to the last one; or until the hub closes, without one."""
        async for event in self._on_disk(self._offset):
            yield event
        with self._reels.follow(self._place, self._offset) as reel:
            while not self._hub.closing:
                news, ended = reel.news(), reel.ended
                if ended is not None and (ended.other or self._offset >= reel.end):
                    yield self._end(ended)
                    return
                if self._offset < reel.begin:
                    # Too slow for what is kept.
                    async for event in self._on_disk(reel.begin):
                        yield event
                elif self._offset < reel.end:
                    yield self._text(reel.after(self._offset) or "")
                    continue
                try:
                    async with asyncio.timeout(SILENCE_SECONDS):
                        await news.wait()
                except TimeoutError:
                    yield SIGN_OF_LIFE

    async def _on_disk(self, end: int) -> AsyncGenerator[bytes]:
        """The text that is on disk, at least as far as `end`."""
        more = True
        while more and not self._hub.closing:
            read = await self._store.read(self._place, self._offset)
            if read is None or not read.text:
                return
            yield self._text(read.text)
            more = read.more or self._offset < end

    def _text(self, text: str) -> bytes:
        said = orjson.dumps({"offset": self._offset, "text": text})
        self._offset += len(text)
        return b"id: %d\nevent: text\ndata: %b\n\n" % (self._offset, said)

    def _end(self, ended: End) -> bytes:
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (
            LAST.encode(),
            ENDINGS[ended.status].encode(),
            ended.message or b"{}",
        )
