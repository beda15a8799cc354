"""Who waits for what, in this process, and the word from other processes that it is time to look.

A wake-up carries nothing: it says "look at the table again". It may come twice or for nothing, and one that is lost is
made good by a look every few seconds; so what a listener reads, and from where it goes on, is its own affair.

    with hub.watch(topic) as watch:
        while not hub.closing:
            …read what is new in the table, and send it…
            await watch.wait(15)

A topic names something that can be looked at: `feed_topic(user_id)` for the changes of a user, and others of the same
make. Who commits something says `hub.wake(topic)` after the commit, in whatever process.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import lru_cache
from types import TracebackType
from typing import Protocol, Self

import structlog

_log = structlog.get_logger("chatkeep.live")

Topic = tuple[str, ...]
"""Its kind, then names: `("feed", user_id)`, `("answer", user_id, chat_id, seq)`."""

Probe = Callable[[Collection[Topic]], Awaitable[Iterable[Topic]]]
"""Asks the database, in one query, which of these watched topics have something that their watchers have not read."""

# How often to look for what no wake-up told of.
POLL_SECONDS = 5.0
# The same where nothing wakes at all.
DEAF_POLL_SECONDS = 0.25


def feed_topic(user_id: str) -> Topic:
    """The changes of a user."""
    return ("feed", user_id)


@lru_cache(maxsize=4096)
def address(topic: Topic) -> str:
    """Eight characters for a topic, short enough to tell other processes. Two topics may have the same, seldom."""
    return hashlib.blake2b("\0".join(topic).encode(), digest_size=4).hexdigest()


class Signals(Protocol):
    """How processes that share a database wake each other."""

    async def run(self, hub: "Hub") -> None:
        """Hears other processes, and calls `hub.woken` and `hub.look`, until it is cancelled."""
        ...

    def send(self, address: str) -> None:
        """Wakes the watchers of a topic in every other process, soon. Returns at once and never fails."""
        ...

    def watched(self) -> None:
        """Called when the first watcher has come, and when the last one has gone."""
        ...


class Silence:
    """Signals where there are none, as through pgbouncer's transaction pooling: the hub's own looks have to do."""

    async def run(self, hub: "Hub") -> None:
        """See Signals."""

    def send(self, address: str) -> None:
        """See Signals."""

    def watched(self) -> None:
        """See Signals."""


class Watch:
    """Somebody who waits for a topic. A wake-up that comes while nobody waits is kept until the next `wait`."""

    def __init__(self, hub: "Hub", topic: Topic) -> None:
        self.topic = topic
        self._hub = hub
        self._event = asyncio.Event()

    def __enter__(self) -> Self:
        self._hub._add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub._remove(self)

    def wake(self) -> None:
        """Ends the wait that is going on, or the next one."""
        self._event.set()

    def take(self) -> bool:
        """Whether it was woken since it was asked last."""
        woken = self._event.is_set()
        self._event.clear()
        return woken

    async def wait(self, seconds: float) -> bool:
        """Waits to be woken, for so long at most. Says whether it was; also true when the hub closes."""
        if not self._event.is_set():
            # Not asyncio.wait_for: on 3.11 that makes a task for each wait.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._event.wait()
        return self.take() or self._hub.closing


class Hub:
    """The watches of this process. `closing` turns true when the service is about to stop: then streams end."""

    def __init__(self, signals: Signals, poll_seconds: float = POLL_SECONDS) -> None:
        self.closing = False
        self._signals = signals
        self._watches: dict[str, set[Watch]] = {}
        self._probes: dict[str, Probe] = {}
        self._look_now = asyncio.Event()
        self._tasks = (
            asyncio.create_task(signals.run(self), name="wake-ups"),
            asyncio.create_task(self._poll(poll_seconds), name="looks"),
        )

    def watch(self, topic: Topic) -> Watch:
        """A watch for a topic, to be entered."""
        return Watch(self, topic)

    def probe(self, kind: str, probe: Probe) -> None:
        """Says how to find out which topics of a kind have something new; without that, all of them are woken."""
        self._probes[kind] = probe

    def wake(self, topic: Topic) -> None:
        """Wakes who watches a topic, in every process. To be called after the commit; returns at once."""
        place = address(topic)
        self.woken(place)
        self._signals.send(place)

    def changed(self, user_ids: Iterable[str]) -> None:
        """Wakes who follows the changes of these users: a listener for `Database.announcer`."""
        for user_id in user_ids:
            self.wake(feed_topic(user_id))

    def woken(self, place: str) -> None:
        """Wakes who watches, in this process only, the topic with this address."""
        for watch in self._watches.get(place, ()):
            watch.wake()

    @property
    def is_watched(self) -> bool:
        """Whether there is a watch at all."""
        return bool(self._watches)

    async def look(self) -> None:
        """Wakes every watch of this process whose topic has something new. Logs what goes wrong."""
        kinds: dict[str, set[Topic]] = {}
        for watches in self._watches.values():
            for watch in watches:
                kinds.setdefault(watch.topic[0], set()).add(watch.topic)
        for kind, topics in kinds.items():
            probe = self._probes.get(kind)
            try:
                fresh: Iterable[Topic] = topics if probe is None else await probe(topics)
            except Exception as error:  # noqa: BLE001 - whatever it was, the next look has its own chance
                _log.warning("could not look for changes", kind=kind, error=type(error).__name__)
                continue
            for topic in fresh:
                self.woken(address(topic))

    def look_soon(self) -> None:
        """Has `look` done soon, by somebody else."""
        self._look_now.set()

    async def _poll(self, seconds: float) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._look_now.wait()
            self._look_now.clear()
            await self.look()

    def close_streams(self) -> None:
        """Ends every wait, now and from now on: the service is about to stop."""
        self.closing = True
        for watches in self._watches.values():
            for watch in watches:
                watch.wake()

    async def close(self) -> None:
        """Ends every wait, and hears other processes no more."""
        self.close_streams()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _add(self, watch: Watch) -> None:
        first = not self._watches
        self._watches.setdefault(address(watch.topic), set()).add(watch)
        if first:
            self._signals.watched()

    def _remove(self, watch: Watch) -> None:
        place = address(watch.topic)
        watches = self._watches[place]
        watches.discard(watch)
        if not watches:
            del self._watches[place]
            if not self._watches:
                self._signals.watched()
