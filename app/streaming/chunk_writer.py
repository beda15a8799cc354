"""Chunk writer: collects the chunks of messages in progress, and stores those of many messages in one transaction.

A token is not worth a transaction. Chunks are in memory only until the next flush, which comes a few times a second,
or at once when the process was idle. So the response to a chunk has two lengths: of what was received, and of what is
on disk.

Chunks of one message may reach several processes. Each takes a chunk only where it has, or finds on disk, all the text
before it. It stores text only where the text on disk ends where it believes. So text is neither doubled nor torn,
whichever process is first.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

import structlog

from app.events.pubsub import PubSub, Subscription, Topic
from app.events.streams import wait_for_event
from app.http.database_errors import problem_of, rolled_back
from app.http.errors import BodyTooLarge, Conflict, NotFound, Overloaded, Problem
from app.http.references import KEY_PREFIX, is_uuid
from app.settings import Settings
from app.streaming.queries import MessageLocation
from app.streaming.store import MAX_GROUP, Closed, Overtaken, Stored, StreamingMessageStore, TextWrite
from app.streaming.text_buffer import ChunkGap, ChunkMismatch, TextBuffer

# Between two flushes, so that a transaction has the chunks of a while; and where another process waits for our text.
FLUSH_SECONDS = 0.2
URGENT_FLUSH_SECONDS = 0.05
RETRY_SECONDS = 1.0
# How long a chunk waits for the text before it, which another request has brought, maybe to another process.
CHUNK_WAIT_SECONDS = 0.5
POLL_SECONDS = 0.1
# How long a message that came through several processes is expected to go on so.
SHARED_SECONDS = 10.0
TOUCH_SECONDS = 1.0
# Messages kept in memory, and references kept for each: by its chat's id or key, in capitals or not.
MAX_MESSAGES = 10_000
MAX_REFS = 8

_log = structlog.get_logger("chatkeep.streaming")
OnStored = Callable[[MessageLocation, int, str], None]
"""Called with a message's location, an offset and the text that this process has stored there."""
MessageRef = tuple[str, str, str]
"""How a request names a message: its user, and the chat's and the message's segment of the path."""


def text_topic(location: MessageLocation) -> Topic:
    """The topic of a message's text and its end."""
    return ("text", location[0], location[1], str(location[2]))


@dataclass(eq=False, slots=True)
class BufferedMessage:
    """A message in progress that this process has received chunks of, or did lately."""

    location: MessageLocation
    lease_token: int | None
    text: TextBuffer
    closed: bool = False
    refs: list[MessageRef] = field(default_factory=list)
    subscriptions: set[Subscription] = field(default_factory=set)
    waiting_bytes: int = 0
    touched_at: float = field(default_factory=time.monotonic)
    used_at: float = field(default_factory=time.monotonic)
    shared_until: float = 0.0


class ChunkWriter:
    """Receives and stores the chunks that reach this process.

    Args:
        settings: `answer_buffer_bytes` is the memory for text that is not stored yet; beyond it, chunks are refused
            (503). `max_body_bytes` is the longest text of a message, in characters. After `answer_timeout_seconds`
            without a chunk a message is dropped from memory.
    """

    def __init__(self, store: StreamingMessageStore, pubsub: PubSub, on_stored: OnStored, settings: Settings) -> None:
        self._store = store
        self._pubsub = pubsub
        self._on_stored = on_stored
        self._buffer_bytes = settings.answer_buffer_bytes
        self._max_length = settings.max_body_bytes
        self._idle_seconds = settings.answer_timeout_seconds
        self._by_ref: dict[MessageRef, BufferedMessage] = {}
        # In the order in which they came here.
        self._messages: dict[MessageLocation, BufferedMessage] = {}
        # Those to be written by the next flush, in order: a dict for an ordered set.
        self._due: dict[BufferedMessage, None] = {}
        self._waiting_bytes = 0
        # Of those whose text could not be stored just now, see `StreamingMessageStore.stored_together`.
        self._failures: dict[str, Problem] = {}
        self._has_work = asyncio.Event()
        self._is_urgent = asyncio.Event()
        self._flushed = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="chunk writer")

    async def receive(self, ref: MessageRef, offset: int, text: str) -> tuple[int, int]:
        """Receives a chunk. Gives how much of the message's text is received here, and how much is on disk.

        Raises NotFound, Conflict (409) with both lengths where the chunk does not fit, BodyTooLarge (413) and
        Overloaded (503).
        """
        message = self._by_ref.get(ref) or await self._find(ref)
        if offset > message.text.received:
            message = await self._wait_received(ref, message, offset)
        buffer = message.text
        if text:
            self._check_room(message, offset + len(text))
        try:
            added = buffer.add(offset, text)
        except ChunkGap:
            _refuse(buffer, "Text before this chunk is missing: go on from what was received.")
        except ChunkMismatch:
            _refuse(buffer, "Another text was received at this place: go on from what was received.")
        now = time.monotonic()
        message.used_at = now
        if added:
            size = sys.getsizeof(text)
            message.waiting_bytes += size
            self._waiting_bytes += size
            self._schedule(message, urgent=message.shared_until > now)
            for subscription in message.subscriptions:
                subscription.wake()
        elif now - message.touched_at > TOUCH_SECONDS:
            message.touched_at = now
            self._schedule(message)
        return buffer.received, buffer.stored

    async def flush(self, ref: MessageRef, offset: int | None) -> None:
        """Has what was received of a message stored, after waiting shortly for text that others bring, up to `offset`.

        A message that is missing or closed is no error here: who completes it gets that error. Raises Overloaded (503)
        and StorageFull (507).
        """
        try:
            message = self._by_ref.get(ref) or await self._find(ref)
            if offset is not None and offset > message.text.received:
                message = await self._wait_received(ref, message, offset)
        except (Conflict, NotFound):
            return
        await self._wait_stored(message)

    def forget(self, location: MessageLocation) -> None:
        """Drops a message that is not in progress any more."""
        if location in self._messages:
            self._drop(self._messages[location])

    async def close(self) -> None:
        """Stores what is waiting, then stops."""
        self._closing = True
        self._has_work.set()
        self._is_urgent.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _find(self, ref: MessageRef) -> BufferedMessage:
        _, chat, message_id = ref
        location, stored, lease_token = await self._store.find(*ref)
        message = self._messages.get(location)
        if message is None:
            message = self._messages[location] = BufferedMessage(location, lease_token, TextBuffer(stored))
            while len(self._messages) > MAX_MESSAGES:
                self._drop_oldest()
        else:
            self._note_stored(message, stored)
        # A key may be given to another message, or to another chat, where a seq is another message: those are looked up
        # each time.
        is_stable = is_uuid(message_id) or (is_uuid(chat) and not message_id.startswith(KEY_PREFIX))
        if is_stable and ref not in self._by_ref and len(message.refs) < MAX_REFS:
            message.refs.append(ref)
            self._by_ref[ref] = message
        return message

    def _drop_oldest(self) -> None:
        for message in self._messages.values():
            if not message.waiting_bytes:
                self._drop(message)
                return
        raise Overloaded

    def _check_room(self, message: BufferedMessage, length: int) -> None:
        if length > self._max_length:
            raise BodyTooLarge(f"An answer has at most {self._max_length} characters.")
        self._check_failure(message)
        if self._waiting_bytes >= self._buffer_bytes or self._closing:
            raise Overloaded

    def _check_failure(self, message: BufferedMessage) -> None:
        if (failure := self._failures.get(self._store.stored_together(message.location))) is not None:
            raise failure

    async def _wait_received(self, ref: MessageRef, message: BufferedMessage, offset: int) -> BufferedMessage:
        """The message, once its text is received up to `offset`, or once that has taken too long."""
        deadline = time.monotonic() + CHUNK_WAIT_SECONDS
        with self._pubsub.subscribe(text_topic(message.location)) as subscription:
            while True:
                if message.text.unstored():
                    await self._wait_stored(message)
                message = await self._find(ref) if message.closed else await self._refresh(message)
                remaining = deadline - time.monotonic()
                if message.text.received >= offset or remaining <= 0 or self._closing:
                    return message
                message.subscriptions.add(subscription)
                try:
                    await subscription.wait(min(remaining, POLL_SECONDS))
                finally:
                    message.subscriptions.discard(subscription)

    async def _refresh(self, message: BufferedMessage) -> BufferedMessage:
        stored = await self._store.stored_length(message.location)
        if stored is None:
            self._drop(message)
            user_id, chat_id, seq = message.location
            return await self._find((user_id, chat_id, str(seq)))
        self._note_stored(message, stored)
        return message

    def _note_stored(self, message: BufferedMessage, stored: int) -> None:
        if stored > message.text.stored and not message.text.unstored():
            # Another process has stored it.
            message.text.mark_stored(stored)
            message.shared_until = time.monotonic() + SHARED_SECONDS

    async def _wait_stored(self, message: BufferedMessage) -> None:
        """Waits until what was received of a message is on disk, or cannot be. Raises the failure of a flush."""
        end = message.text.received
        while message.text.stored < end <= message.text.received and not message.closed:
            self._schedule(message, urgent=True)
            await self._flushed.wait()
            self._check_failure(message)

    def _schedule(self, message: BufferedMessage, *, urgent: bool = False) -> None:
        self._due[message] = None
        self._has_work.set()
        if urgent:
            self._is_urgent.set()

    def _drop(self, message: BufferedMessage) -> None:
        message.closed = True
        self._messages.pop(message.location, None)
        for ref in message.refs:
            self._by_ref.pop(ref, None)
        self._due.pop(message, None)
        self._release(message, message.waiting_bytes)
        for subscription in message.subscriptions:
            subscription.wake()

    def _release(self, message: BufferedMessage, size: int) -> None:
        message.waiting_bytes -= size
        self._waiting_bytes -= size

    async def _run(self) -> None:
        dropped_idle_at = time.monotonic()
        while True:
            await wait_for_event(self._has_work, self._idle_seconds)
            self._has_work.clear()
            while self._due:
                self._is_urgent.clear()
                began = time.monotonic()
                await self._flush()
                if self._closing:
                    break
                await asyncio.sleep(RETRY_SECONDS if self._failures else URGENT_FLUSH_SECONDS)
                await wait_for_event(self._is_urgent, began + FLUSH_SECONDS - time.monotonic())
            if self._closing:
                await self._flush()
                return
            if time.monotonic() - dropped_idle_at > self._idle_seconds:
                dropped_idle_at = time.monotonic()
                for message in list(self._messages.values()):
                    if message.used_at < dropped_idle_at - self._idle_seconds and not message.waiting_bytes:
                        self._drop(message)

    async def _flush(self) -> None:
        due = list(self._due)
        self._due.clear()
        together: dict[str, list[BufferedMessage]] = {}
        for message in due:
            together.setdefault(self._store.stored_together(message.location), []).append(message)
        failures: dict[str, Problem] = {}
        for name, messages in together.items():
            for begin in range(0, len(messages), MAX_GROUP):
                if (failure := await self._store_group(messages[begin : begin + MAX_GROUP])) is not None:
                    failures[name] = failure
        self._failures = failures
        flushed, self._flushed = self._flushed, asyncio.Event()
        flushed.set()

    async def _store_group(self, messages: list[BufferedMessage]) -> Problem | None:
        """Stores what was received of some messages. Gives the problem where it failed; they are due again then."""
        messages = [message for message in messages if not message.closed]
        group = [
            TextWrite(message.location, message.text.stored, message.text.unstored(), message.lease_token)
            for message in messages
        ]
        sizes = [message.waiting_bytes for message in messages]
        try:
            outcomes = await self._store.write(group)
        except Exception as error:  # noqa: BLE001 - whatever it was, the text is kept and tried again
            if len(group) > 1 and rolled_back(error):
                # One of them is at fault, or another process was in the way: each is stored by itself.
                failures = [await self._store_group([message]) for message in messages]
                return next((failure for failure in failures if failure is not None), None)
            problem = problem_of(error)
            if problem is None and len(group) == 1 and rolled_back(error):
                # Neither the space nor the connection is missing, so it would fail again. Its writer is told where to
                # go on.
                _log.error("chunks of a message could not be stored", error=type(error).__name__)
                self._drop(messages[0])
                return None
            _log.warning("chunks could not be stored, and will be again", error=type(error).__name__)
            self._due.update((message, None) for message in messages if not message.closed)
            return problem or Overloaded()
        for message, write, outcome, size in zip(messages, group, outcomes, sizes, strict=True):
            if message.closed:
                continue
            match outcome:
                case Stored():
                    self._mark_stored(message, write, size)
                case Overtaken(text):
                    # Another process has stored text meanwhile: what is new in ours goes after it.
                    message.shared_until = time.monotonic() + SHARED_SECONDS
                    if message.text.reconcile(text) and message.text.unstored():
                        self._schedule(message)
                    else:
                        self._release(message, message.waiting_bytes)
                case Closed():
                    self._drop(message)
        return None

    def _mark_stored(self, message: BufferedMessage, write: TextWrite, size: int) -> None:
        message.touched_at = time.monotonic()
        self._release(message, size)
        if write.text:
            message.text.mark_stored(write.start + len(write.text))
            self._on_stored(message.location, write.start, write.text)
            self._pubsub.publish(text_topic(message.location))


def _refuse(buffer: TextBuffer, detail: str) -> NoReturn:
    raise Conflict(detail, extensions={"received": buffer.received, "stored": buffer.stored})
