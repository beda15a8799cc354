"""In-process pub/sub with cross-process wake-ups.

A wake-up carries no data. It means "read the table again". It may come twice or for nothing, and polling every few
seconds makes up for one that is lost. So what a subscriber reads, and from which position, is its own affair:

    with pubsub.subscribe(topic) as subscription:
        while not pubsub.closing:
            …read what is new in the table, and send it…
            await subscription.wait(15)

A topic names something that can be read: `feed_topic(user_id)` for the changes of a user, and others of the same
form. Whoever commits a change calls `pubsub.publish(topic)` after the commit, in whatever process.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import lru_cache
from typing import Protocol, Self

import structlog

from app.events.streams import wait_for_event

_log = structlog.get_logger("chatkeep.events")

Topic = tuple[str, ...]
"""Its kind, then names: `("feed", user_id)`, `("text", user_id, chat_id, seq)`."""

Probe = Callable[[Collection[Topic]], Awaitable[Iterable[Topic]]]
"""Asks the database, in one query, which of these topics have something that their subscribers have not read."""

# How often to poll for what no wake-up told of.
POLL_SECONDS = 5.0
# The same where there are no wake-ups from other processes.
FALLBACK_POLL_SECONDS = 0.25


def feed_topic(user_id: str) -> Topic:
    """The topic of a user's changes."""
    return ("feed", user_id)


@lru_cache(maxsize=4096)
def address(topic: Topic) -> str:
    """A hash of a topic in eight characters, short enough to send to other processes. Collisions do no harm."""
    return hashlib.blake2b("\0".join(topic).encode(), digest_size=4).hexdigest()


class Notifier(Protocol):
    """Sends wake-ups to, and receives them from, the other processes that share the database."""

    async def run(self, pubsub: "PubSub") -> None:
        """Receives wake-ups, and calls `pubsub.wake_local` and `pubsub.poll`, until it is cancelled."""

    def send(self, address: str) -> None:
        """Wakes the subscribers of a topic in every other process, soon. Returns at once and never fails."""

    def subscribers_changed(self) -> None:
        """Called when the first subscriber has come, and when the last one has gone."""


class NullNotifier:
    """Sends and receives nothing, as behind pgbouncer's transaction pooling: PubSub's polling has to do."""

    async def run(self, pubsub: "PubSub") -> None: ...

    def send(self, address: str) -> None: ...

    def subscribers_changed(self) -> None: ...


class Subscription:
    """A subscription to one topic. A wake-up that comes while nobody waits is kept until the next `wait`."""

    def __init__(self, pubsub: "PubSub", topic: Topic) -> None:
        self.topic = topic
        self._pubsub = pubsub
        self._event = asyncio.Event()

    def __enter__(self) -> Self:
        self._pubsub._add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._pubsub._remove(self)

    def wake(self) -> None:
        """Ends the current wait, or the next one."""
        self._event.set()

    def take_wake_up(self) -> bool:
        """Whether it was woken since this was last asked."""
        woken = self._event.is_set()
        self._event.clear()
        return woken

    async def wait(self, seconds: float) -> bool:
        """Waits for a wake-up, at most this long. Returns whether one came; also True when the service stops."""
        if not self._event.is_set():
            await wait_for_event(self._event, seconds)
        return self.take_wake_up() or self._pubsub.closing


class PubSub:
    """The subscriptions of this process.

    Attributes:
        closing: turns true when the service is about to stop. Streams end then.
    """

    def __init__(self, notifier: Notifier, poll_seconds: float = POLL_SECONDS) -> None:
        self.closing = False
        self._notifier = notifier
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._probes: dict[str, Probe] = {}
        self._poll_now = asyncio.Event()
        self._tasks = (
            asyncio.create_task(notifier.run(self), name="notifier"),
            asyncio.create_task(self._poll_forever(poll_seconds), name="poll"),
        )

    def subscribe(self, topic: Topic) -> Subscription:
        """A subscription, active while it is entered as a context manager."""
        return Subscription(self, topic)

    def add_probe(self, kind: str, probe: Probe) -> None:
        """Sets how `poll` finds out which topics of a kind have something new; without it, all of them are woken."""
        self._probes[kind] = probe

    def publish(self, topic: Topic) -> None:
        """Wakes the subscribers of a topic in every process. To be called after the commit; returns at once."""
        topic_address = address(topic)
        self.wake_local(topic_address)
        self._notifier.send(topic_address)

    def publish_changes(self, user_ids: Iterable[str]) -> None:
        """Wakes whoever follows the changes of these users: a hook for `Database.commit_hooks`."""
        for user_id in user_ids:
            self.publish(feed_topic(user_id))

    def wake_local(self, topic_address: str) -> None:
        """Wakes the subscribers of the topic with this address, in this process only."""
        for subscription in self._subscriptions.get(topic_address, ()):
            subscription.wake()

    @property
    def has_subscribers(self) -> bool:
        """Whether there is any subscription."""
        return bool(self._subscriptions)

    async def poll(self) -> None:
        """Wakes every subscription of this process whose topic has something new. Logs errors, and raises none."""
        kinds: dict[str, set[Topic]] = {}
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                kinds.setdefault(subscription.topic[0], set()).add(subscription.topic)
        for kind, topics in kinds.items():
            probe = self._probes.get(kind)
            try:
                changed: Iterable[Topic] = topics if probe is None else await probe(topics)
            except Exception as error:  # noqa: BLE001 - whatever it was, the next poll has its own chance
                _log.warning("could not poll for changes, and will try again", kind=kind, error=type(error).__name__)
                continue
            for topic in changed:
                self.wake_local(address(topic))

    def poll_soon(self) -> None:
        """Has the background task poll soon; returns at once."""
        self._poll_now.set()

    async def _poll_forever(self, seconds: float) -> None:
        while True:
            await wait_for_event(self._poll_now, seconds)
            self._poll_now.clear()
            await self.poll()

    def close_streams(self) -> None:
        """Ends every wait, now and from now on: the service is about to stop."""
        self.closing = True
        for topic_address in self._subscriptions:
            self.wake_local(topic_address)

    async def close(self) -> None:
        """Ends every wait, and stops receiving from other processes."""
        self.close_streams()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _add(self, subscription: Subscription) -> None:
        is_first = not self._subscriptions
        self._subscriptions.setdefault(address(subscription.topic), set()).add(subscription)
        if is_first:
            self._notifier.subscribers_changed()

    def _remove(self, subscription: Subscription) -> None:
        topic_address = address(subscription.topic)
        subscriptions = self._subscriptions[topic_address]
        subscriptions.discard(subscription)
        if not subscriptions:
            del self._subscriptions[topic_address]
            if not self._subscriptions:
                self._notifier.subscribers_changed()
