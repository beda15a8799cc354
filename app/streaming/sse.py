"""A message's text as Server-Sent Events: from an offset on, as it grows, and at the end the message."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import orjson

from app.events.pubsub import PubSub
from app.events.sse import KEEP_ALIVE, encode_event
from app.events.streams import KEEP_ALIVE_SECONDS, wait_for_event
from app.streaming.queries import MessageLocation
from app.streaming.store import StreamingMessageStore
from app.streaming.tail_buffer import DELETED, FinalState, TailBuffers

# The id of the last event.
LAST_EVENT_ID = "end"
# The name of the last event, by the final status of the message.
_FINAL_EVENTS = {"completed": b"done", "failed": b"failed", "incomplete": b"incomplete", DELETED: b"deleted"}


@dataclass(slots=True)
class TextStream:
    """The events of a message from `offset` on, for one reader. It holds no connection while it waits."""

    store: StreamingMessageStore
    tail_buffers: TailBuffers
    pubsub: PubSub
    location: MessageLocation
    offset: int

    async def events(self) -> AsyncGenerator[bytes]:
        """The events to the last one; without a last one where the service stops before."""
        async for event in self._read_stored(self.offset):
            yield event
        with self.tail_buffers.open(self.location, self.offset) as tail:
            while not self.pubsub.closing:
                changed, final_state = tail.next_change(), tail.final_state
                if final_state is not None and (final_state.replaced or self.offset >= tail.end):
                    yield _final_event(final_state)
                    return
                if self.offset < tail.begin:
                    # The reader was too slow: its next text has left the buffer.
                    async for event in self._read_stored(tail.begin):
                        yield event
                elif self.offset < tail.end:
                    yield self._text_event(tail.read(self.offset) or "")
                    continue
                if not await wait_for_event(changed, KEEP_ALIVE_SECONDS):
                    yield KEEP_ALIVE

    async def _read_stored(self, end: int) -> AsyncGenerator[bytes]:
        """The text that is on disk, at least up to `end`."""
        has_more = True
        while has_more and not self.pubsub.closing:
            page = await self.store.read(self.location, self.offset)
            if page is None or not page.text:
                return
            yield self._text_event(page.text)
            has_more = page.has_more or self.offset < end

    def _text_event(self, text: str) -> bytes:
        data = orjson.dumps({"offset": self.offset, "text": text})
        self.offset += len(text)
        return encode_event(b"%d" % self.offset, b"text", data)


def _final_event(final_state: FinalState) -> bytes:
    return encode_event(LAST_EVENT_ID.encode(), _FINAL_EVENTS[final_state.status], final_state.message or b"{}")
