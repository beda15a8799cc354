"""The text of answers as the readers of this process follow it: read once for all of them, and never from memory that a
crash would take back.

Of each answer that somebody reads, the end of its text is kept here. Who is behind that reads the table.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

import structlog

from app.events.pubsub import POLL_SECONDS, Hub, Topic, Watch, feed_topic
from app.streaming.chunk_writer import answer_topic
from app.streaming.store import IN_PROGRESS, AnswerStore, Place

KEPT = 65_536
DELETED = "deleted"
RETRY_SECONDS = 1.0
CHANGES_SECONDS = 0.5
_log = structlog.get_logger("chatkeep.live")


@dataclass(frozen=True, slots=True)
class End:
    """How an answer ended.

    Attributes:
        status: its message's, or DELETED.
        message: the message as JSON; nothing when it is deleted.
        other: whether its text is another one in the end, rather than what was read of it and the rest.
    """

    status: str
    message: bytes = b""
    other: bool = False


class Reel:
    """The end of one answer's text, from `begin` to `end`, and how it ended once it has."""

    def __init__(self, place: Place, at: int) -> None:
        self.place = place
        self.begin = self.end = at
        self.ended: End | None = None
        self.readers = 0
        self._parts: deque[tuple[int, str]] = deque()
        self._news = asyncio.Event()

    def add(self, start: int, text: str) -> bool:
        """Adds what is on disk from `start` on, if it goes on from the end. Says whether it does."""
        if start > self.end:
            return False
        text = text[self.end - start :]
        if text:
            self._parts.append((self.end, text))
            self.end += len(text)
            while len(self._parts) > 1 and self.end - self._parts[1][0] >= KEPT:
                self._parts.popleft()
            self.begin = self._parts[0][0]
            self._tell()
        return True

    def finish(self, ended: End) -> None:
        """Nothing will be added."""
        self.ended = ended
        self._tell()

    def after(self, offset: int) -> str | None:
        """The text from `offset` to the end; None where it is not kept."""
        if offset < self.begin:
            return None
        return "".join(text[max(0, offset - start) :] for start, text in self._parts if start + len(text) > offset)

    def news(self) -> asyncio.Event:
        """Set when something was added since this call."""
        return self._news

    def _tell(self) -> None:
        told, self._news = self._news, asyncio.Event()
        told.set()


class _Relay(Watch):
    """Wakes another watch a moment after something of a user's has changed: its message may have been deleted."""

    def __init__(self, hub: Hub, user_id: str, to: Watch) -> None:
        super().__init__(hub, feed_topic(user_id))
        self._to = to
        self._timer: asyncio.TimerHandle | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._timer is not None:
            self._timer.cancel()

    def wake(self) -> None:
        """Has the other one woken, seldom: most changes are others than that."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHANGES_SECONDS, self._wake_it)

    def _wake_it(self) -> None:
        self._timer = None
        self._to.wake()


class Reels:
    """The answers that are followed in this process.

    Args:
        message: gives a message as JSON; raises NotFound.
    """

    def __init__(self, store: AnswerStore, hub: Hub, message: Callable[[Place], Awaitable[bytes | None]]) -> None:
        self._store = store
        self._hub = hub
        self._message = message
        self._reels: dict[Place, tuple[Reel, asyncio.Task[None]]] = {}
        hub.probe("answer", self._grown)

    @contextmanager
    def follow(self, place: Place, at: int) -> Iterator[Reel]:
        """An answer's reel, wound on as long as somebody reads it. A new one begins `at` this place of the text."""
        if place not in self._reels:
            reel = Reel(place, at)
            self._reels[place] = reel, asyncio.create_task(self._wind(reel), name="reel")
        reel, task = self._reels[place]
        reel.readers += 1
        try:
            yield reel
        finally:
            reel.readers -= 1
            if not reel.readers:
                del self._reels[place]
                task.cancel()

    def grew(self, place: Place, start: int, text: str) -> None:
        """Says that this process has written text of an answer."""
        if place in self._reels:
            self._reels[place][0].add(start, text)

    async def close(self) -> None:
        """Winds no reel on."""
        tasks = [task for _, task in self._reels.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wind(self, reel: Reel) -> None:
        with self._hub.watch(answer_topic(reel.place)) as watch, _Relay(self._hub, reel.place[0], watch):
            while reel.ended is None and not self._hub.closing:
                try:
                    await self._read(reel)
                    await watch.wait(POLL_SECONDS)
                except Exception as error:  # noqa: BLE001 - readers wait for the next try
                    _log.warning("an answer could not be read, and will be again", error=type(error).__name__)
                    await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, reel: Reel) -> None:
        while True:
            began = reel.end
            read = await self._store.read(reel.place, began)
            if read is None:
                reel.finish(End(DELETED))
                return
            if read.status != IN_PROGRESS:
                await self._read_end(reel, read.status or "completed")
                return
            reel.add(began, read.text)
            if not read.more:
                return

    async def _read_end(self, reel: Reel, status: str) -> None:
        """Reads the rest of a text that grows no more: unless it is another one than before, as its backend may say."""
        at, kept, more = reel.begin, reel.after(reel.begin) or "", True
        while more:
            read = await self._store.read(reel.place, at)
            if read is None:
                reel.finish(End(DELETED))
                return
            known, kept = kept[: len(read.text)], kept[len(read.text) :]
            if not read.text.startswith(known):
                break
            reel.add(at, read.text)
            at, more = at + len(read.text), read.more
        message = await self._message(reel.place)
        reel.finish(End(DELETED) if message is None else End(status, message, other=more or bool(kept)))

    async def _grown(self, topics: Collection[Topic]) -> Iterable[Topic]:
        """Which of these answers have more on disk than is kept here, or have ended: see Probe."""
        places = [(topic[1], topic[2], int(topic[3])) for topic in topics]
        stored = await self._store.beyond(places)
        return [
            answer_topic(place)
            for place in places
            if place not in self._reels or stored.get(place) != self._reels[place][0].end
        ]
