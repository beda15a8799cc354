"""Tail buffers: the end of each message's text that this process streams, read once for all readers of it.

Only text that is on disk is in them, which no crash takes back. A reader that is behind the buffer reads the table.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import structlog

from app.events.pubsub import POLL_SECONDS, PubSub, Subscription, Topic, feed_topic
from app.streaming.chunk_writer import text_topic
from app.streaming.queries import MessageLocation
from app.streaming.store import IN_PROGRESS, StreamingMessageStore

MAX_CHARACTERS = 65_536
DELETED = "deleted"
RETRY_SECONDS = 1.0
CHANGES_SECONDS = 0.5
_log = structlog.get_logger("chatkeep.streaming")
LoadMessage = Callable[[MessageLocation], Awaitable[bytes | None]]
"""Gives a message as JSON, or None where it is gone."""


class FinalState(NamedTuple):
    """How a message ended.

    Attributes:
        status: its status, or DELETED.
        message: the message as JSON; empty when it is deleted.
        replaced: whether its final text is not the one that was streamed.
    """

    status: str
    message: bytes = b""
    replaced: bool = False


class TailBuffer:
    """The end of one message's text, from `begin` to `end`, and its final state once it has one."""

    def __init__(self, location: MessageLocation, offset: int) -> None:
        self.location = location
        self.begin = self.end = offset
        self.final_state: FinalState | None = None
        self.readers = 0
        self._parts: deque[tuple[int, str]] = deque()
        self._changed = asyncio.Event()

    def add(self, start: int, text: str) -> None:
        """Adds text that begins at `start` and is on disk, unless there is a gap before it."""
        if start > self.end:
            return
        text = text[self.end - start :]
        if text:
            self._parts.append((self.end, text))
            self.end += len(text)
            while len(self._parts) > 1 and self.end - self._parts[1][0] >= MAX_CHARACTERS:
                self._parts.popleft()
            self.begin = self._parts[0][0]
            self._notify()

    def finish(self, final_state: FinalState) -> None:
        """Sets the final state: no text is added from now on."""
        self.final_state = final_state
        self._notify()

    def read(self, offset: int) -> str | None:
        """The text from `offset` to the end; None where it is not in the buffer any more."""
        if offset < self.begin:
            return None
        return "".join(text[max(0, offset - start) :] for start, text in self._parts if start + len(text) > offset)

    def next_change(self) -> asyncio.Event:
        """An event that is set when something is added after this call."""
        return self._changed

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class _FeedRelay(Subscription):
    """Wakes another subscription after changes of a user, at most twice a second: the message may be deleted."""

    def __init__(self, pubsub: PubSub, user_id: str, target: Subscription) -> None:
        super().__init__(pubsub, feed_topic(user_id))
        self._target = target
        self._timer: asyncio.TimerHandle | None = None

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if self._timer is not None:
            self._timer.cancel()

    def wake(self) -> None:
        """Wakes the other one a little later: most changes are no deletions."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHANGES_SECONDS, self._wake_target)

    def _wake_target(self) -> None:
        self._timer = None
        self._target.wake()


class TailBuffers:
    """The messages that readers of this process follow."""

    def __init__(self, store: StreamingMessageStore, pubsub: PubSub, load_message: LoadMessage) -> None:
        self._store = store
        self._pubsub = pubsub
        self._load_message = load_message
        self._buffers: dict[MessageLocation, tuple[TailBuffer, asyncio.Task[None]]] = {}
        pubsub.add_probe("text", self._with_new_text)

    @contextmanager
    def open(self, location: MessageLocation, offset: int) -> Iterator[TailBuffer]:
        """A message's buffer, kept up to date as long as a reader has it open. A new one begins at `offset`."""
        if location not in self._buffers:
            buffer = TailBuffer(location, offset)
            self._buffers[location] = buffer, asyncio.create_task(self._fill(buffer), name="tail buffer")
        buffer, task = self._buffers[location]
        buffer.readers += 1
        try:
            yield buffer
        finally:
            buffer.readers -= 1
            if not buffer.readers:
                del self._buffers[location]
                task.cancel()

    def add(self, location: MessageLocation, start: int, text: str) -> None:
        """Adds text that this process has stored."""
        if location in self._buffers:
            self._buffers[location][0].add(start, text)

    async def close(self) -> None:
        """Stops filling the buffers."""
        tasks = [task for _, task in self._buffers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fill(self, buffer: TailBuffer) -> None:
        with (
            self._pubsub.subscribe(text_topic(buffer.location)) as subscription,
            _FeedRelay(self._pubsub, buffer.location[0], subscription),
        ):
            while buffer.final_state is None and not self._pubsub.closing:
                try:
                    await self._read_new(buffer)
                    await subscription.wait(POLL_SECONDS)
                except Exception as error:  # noqa: BLE001 - readers wait for the next try
                    _log.warning("a message could not be read, and will be again", error=type(error).__name__)
                    await asyncio.sleep(RETRY_SECONDS)

    async def _read_new(self, buffer: TailBuffer) -> None:
        while True:
            start = buffer.end
            page = await self._store.read(buffer.location, start)
            if page is None:
                buffer.finish(FinalState(DELETED))
                return
            if page.status != IN_PROGRESS:
                await self._read_final(buffer, page.status or "completed")
                return
            buffer.add(start, page.text)
            if not page.has_more:
                return

    async def _read_final(self, buffer: TailBuffer, status: str) -> None:
        """Reads the rest of the final text, unless its backend has replaced the text that is in the buffer."""
        offset, expected, has_more = buffer.begin, buffer.read(buffer.begin) or "", True
        while has_more:
            page = await self._store.read(buffer.location, offset)
            if page is None:
                buffer.finish(FinalState(DELETED))
                return
            expected_part, expected = expected[: len(page.text)], expected[len(page.text) :]
            if not page.text.startswith(expected_part):
                break
            buffer.add(offset, page.text)
            offset, has_more = offset + len(page.text), page.has_more
        message = await self._load_message(buffer.location)
        replaced = has_more or bool(expected)
        buffer.finish(FinalState(DELETED) if message is None else FinalState(status, message, replaced))

    async def _with_new_text(self, topics: Collection[Topic]) -> Iterable[Topic]:
        """A Probe: the messages with more text on disk than in the buffer, and those that are not in progress."""
        locations = [(topic[1], topic[2], int(topic[3])) for topic in topics]
        lengths = await self._store.stored_lengths(locations)
        return [
            text_topic(location)
            for location in locations
            if location not in self._buffers or lengths.get(location) != self._buffers[location][0].end
        ]
