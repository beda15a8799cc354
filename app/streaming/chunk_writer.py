"""Chunks of answers, collected in this process and written a few times a second: all of them in one transaction.

A token is not worth a transaction. What has come is in memory only until the next flush, which is at once when the
process was idle; so a chunk is answered with two lengths, of what was received and of what is on disk.

Chunks of one answer may reach several processes. Each takes a chunk only where it has, or finds on disk, all the text
before it, and writes only where the disk ends where it believes: text is neither doubled nor torn, whoever comes first.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from typing import NoReturn

import structlog

from app.events.pubsub import Hub, Topic, Watch
from app.http.database_errors import problem_of, rolled_back
from app.http.errors import BodyTooLarge, Conflict, NotFound, Overloaded, Problem
from app.http.references import is_uuid
from app.streaming.store import MAX_GROUP, AnswerStore, Closed, Grown, Growth, Open, Overtaken, Place
from app.streaming.text_buffer import Ahead, Differs, Growing

# Between two flushes, so that a transaction has the chunks of a while; and where another process waits for our text.
PACE_SECONDS = 0.2
BRISK_SECONDS = 0.05
RETRY_SECONDS = 1.0
# How long a chunk waits for the text before it, which another request has brought, maybe to another process.
PATIENCE_SECONDS = 0.5
LOOK_SECONDS = 0.1
# An answer that came through several processes is taken to go on so.
SHARED_SECONDS = 10.0
TOUCH_SECONDS = 1.0
# Answers known at once, and names for each: by its chat's id or key, in capitals or not.
MAX_KNOWN = 10_000
MAX_NAMES = 8

_log = structlog.get_logger("chatkeep.live")
Name = tuple[str, str, str]
"""How a request names an answer: its user, and the two segments of its path."""


def answer_topic(place: Place) -> Topic:
    """The text of an answer, and its end."""
    return ("answer", place[0], place[1], str(place[2]))


class Collected:
    """An answer that this process has chunks of, or had a moment ago."""

    __slots__ = (
        "closed",
        "names",
        "opened",
        "place",
        "shared_until",
        "text",
        "touched_at",
        "used_at",
        "waiting_bytes",
        "watches",
    )

    def __init__(self, opened: Open) -> None:
        self.opened = opened
        self.place = opened.place
        self.text = Growing(opened.stored)
        self.closed = False
        self.names: list[Name] = []
        self.watches: set[Watch] = set()
        self.waiting_bytes = 0
        self.touched_at = self.used_at = time.monotonic()
        self.shared_until = 0.0


class Collector:
    """The answers that are written through this process.

    Args:
        grew: told of every answer that has more text on disk, by this process: its place, from where on, and the text.
        buffer_bytes: text that may wait for the disk; past it, chunks are refused (503).
        max_length: of an answer, in characters.
        idle_seconds: after so long without a chunk an answer is forgotten here.
    """

    def __init__(
        self,
        store: AnswerStore,
        hub: Hub,
        grew: Callable[[Place, int, str], None],
        *,
        buffer_bytes: int,
        max_length: int,
        idle_seconds: float,
    ) -> None:
        self._store = store
        self._hub = hub
        self._grew = grew
        self._buffer_bytes = buffer_bytes
        self._max_length = max_length
        self._idle_seconds = idle_seconds
        self._names: dict[Name, Collected] = {}
        # In the order in which they came here.
        self._known: dict[Place, Collected] = {}
        self._due: dict[Collected, None] = {}
        self._waiting_bytes = 0
        self._failure: Problem | None = None
        self._something = asyncio.Event()
        self._hurry = asyncio.Event()
        self._flushed = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="answers")

    async def take(self, name: Name, offset: int, text: str) -> tuple[int, int]:
        """Takes a chunk: gives how far the answer's text is received here, and how far it is on disk.

        Raises NotFound, Conflict (409) with both lengths where the chunk does not fit, BodyTooLarge (413) and
        Overloaded (503).
        """
        answer = self._names.get(name) or await self._find(name)
        growing = answer.text
        if offset > growing.received:
            answer = await self._catch_up(name, answer, offset)
            growing = answer.text
        if text:
            self._check_room(offset + len(text))
        try:
            new = growing.take(offset, text)
        except Ahead:
            _refuse(growing, "Text before this chunk is missing: go on from what was received.")
        except Differs:
            _refuse(growing, "Another text was received at this place: go on from what was received.")
        now = time.monotonic()
        answer.used_at = now
        if new:
            size = sys.getsizeof(text)
            answer.waiting_bytes += size
            self._waiting_bytes += size
            self._set_due(answer, brisk=answer.shared_until > now)
            for watch in answer.watches:
                watch.wake()
        elif now - answer.touched_at > TOUCH_SECONDS:
            answer.touched_at = now
            self._set_due(answer)
        return growing.received, growing.stored

    async def settle(self, name: Name, offset: int | None) -> None:
        """Has what was received here of an answer written, and waits a moment for text that others bring, to `offset`.

        Who completes it then says what is the matter, if anything is. Raises Overloaded (503) and StorageFull (507).
        """
        try:
            answer = self._names.get(name) or await self._find(name)
            if offset is not None and offset > answer.text.received:
                answer = await self._catch_up(name, answer, offset)
        except (Conflict, NotFound):
            return
        await self._write_out(answer)

    def forget(self, place: Place) -> None:
        """Forgets an answer that is in progress no more."""
        answer = self._known.get(place)
        if answer is not None:
            self._drop(answer)

    async def close(self) -> None:
        """Writes what is waiting, then stops."""
        self._closing = True
        self._something.set()
        self._hurry.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _find(self, name: Name) -> Collected:
        user_id, chat, message = name
        opened = await self._store.find(user_id, chat, message)
        answer = self._known.get(opened.place)
        if answer is None:
            answer = self._known[opened.place] = Collected(opened)
            while len(self._known) > MAX_KNOWN:
                self._forget_one()
        elif opened.stored > answer.text.stored and not answer.text.waiting():
            self._others_wrote(answer, opened.stored)
        # A key may be given to another chat, where a seq is another message: those two are looked up each time.
        if name not in self._names and len(answer.names) < MAX_NAMES and (is_uuid(message) or is_uuid(chat)):
            answer.names.append(name)
            self._names[name] = answer
        return answer

    def _forget_one(self) -> None:
        for answer in self._known.values():
            if not answer.waiting_bytes:
                self._drop(answer)
                return
        raise Overloaded

    def _check_room(self, length: int) -> None:
        if length > self._max_length:
            raise BodyTooLarge(f"An answer has at most {self._max_length} characters.")
        if self._failure is not None:
            raise self._failure
        if self._waiting_bytes >= self._buffer_bytes or self._closing:
            raise Overloaded

    async def _catch_up(self, name: Name, answer: Collected, offset: int) -> Collected:
        """The answer, when its text has come as far as `offset`, or when it has not for too long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._hub.watch(answer_topic(answer.place)) as watch:
            while True:
                if answer.text.waiting():
                    await self._write_out(answer)
                answer = await self._find(name) if answer.closed else await self._look(answer)
                left = deadline - time.monotonic()
                if answer.text.received >= offset or left <= 0 or self._closing:
                    return answer
                answer.watches.add(watch)
                try:
                    await watch.wait(min(left, LOOK_SECONDS))
                finally:
                    answer.watches.discard(watch)

    async def _look(self, answer: Collected) -> Collected:
        stored = await self._store.stored(answer.place)
        if stored is None:
            self._drop(answer)
            user_id, chat_id, seq = answer.place
            return await self._find((user_id, chat_id, str(seq)))
        if stored > answer.text.stored and not answer.text.waiting():
            self._others_wrote(answer, stored)
        return answer

    def _others_wrote(self, answer: Collected, stored: int) -> None:
        answer.text.on_disk(stored)
        answer.shared_until = time.monotonic() + SHARED_SECONDS

    async def _write_out(self, answer: Collected) -> None:
        """Waits until what was received of an answer is on disk, or cannot be. Raises what the disk says."""
        end = answer.text.received
        while answer.text.stored < end <= answer.text.received and not answer.closed:
            self._set_due(answer, brisk=True)
            await self._flushed.wait()
            if self._failure is not None:
                raise self._failure

    def _set_due(self, answer: Collected, *, brisk: bool = False) -> None:
        self._due[answer] = None
        self._something.set()
        if brisk:
            self._hurry.set()

    def _drop(self, answer: Collected) -> None:
        answer.closed = True
        self._known.pop(answer.place, None)
        for name in answer.names:
            self._names.pop(name, None)
        self._due.pop(answer, None)
        self._waiting_bytes -= answer.waiting_bytes
        answer.waiting_bytes = 0
        for watch in answer.watches:
            watch.wake()

    async def _run(self) -> None:
        idle_since = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._idle_seconds):
                    await self._something.wait()
            self._something.clear()
            while self._due:
                self._hurry.clear()
                began = time.monotonic()
                await self._flush()
                if self._closing:
                    break
                await asyncio.sleep(RETRY_SECONDS if self._failure else BRISK_SECONDS)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(began + PACE_SECONDS - time.monotonic()):
                        await self._hurry.wait()
            if self._closing:
                await self._flush()
                return
            if time.monotonic() - idle_since > self._idle_seconds:
                idle_since = time.monotonic()
                for answer in [one for one in self._known.values() if one.used_at < idle_since - self._idle_seconds]:
                    if not answer.waiting_bytes:
                        self._drop(answer)

    async def _flush(self) -> None:
        due = list(self._due)
        self._due.clear()
        failure: Problem | None = None
        for begin in range(0, len(due), MAX_GROUP):
            failure = await self._write(due[begin : begin + MAX_GROUP]) or failure
        self._failure = failure
        flushed, self._flushed = self._flushed, asyncio.Event()
        flushed.set()

    async def _write(self, answers: list[Collected]) -> Problem | None:
        """Writes what some answers grew by; gives what went wrong, if anything did. They are due again then."""
        group = [
            Growth(answer.place, answer.text.stored, answer.text.waiting(), answer.opened.lease_token)
            for answer in answers
            if not answer.closed
        ]
        answers = [answer for answer in answers if not answer.closed]
        sizes = [answer.waiting_bytes for answer in answers]
        try:
            outcomes = await self._store.write(group)
        except Exception as error:  # noqa: BLE001 - whatever it was, the text is kept and tried again
            if len(group) > 1 and rolled_back(error):
                # One of them spoiled it, or another process was in the way: each for itself.
                failures = [await self._write([answer]) for answer in answers]
                return next((failure for failure in failures if failure is not None), None)
            problem = problem_of(error)
            if problem is None and len(group) == 1 and rolled_back(error):
                # Not for want of room or reach, and so not the next time either. Its writer is told where to go on.
                _log.error("an answer could not be written", error=type(error).__name__)
                self._drop(answers[0])
                return None
            _log.warning("answers could not be written, and will be again", error=type(error).__name__)
            self._due.update((answer, None) for answer in answers if not answer.closed)
            return problem or Overloaded()
        for answer, growth, outcome, size in zip(answers, group, outcomes, sizes, strict=True):
            if answer.closed:
                continue
            match outcome:
                case Grown():
                    self._is_on_disk(answer, growth, size)
                case Overtaken(text):
                    # Written by another process meanwhile: what is new of ours goes after it.
                    answer.shared_until = time.monotonic() + SHARED_SECONDS
                    if answer.text.meet(text) and answer.text.waiting():
                        self._set_due(answer)
                    else:
                        self._waiting_bytes -= answer.waiting_bytes
                        answer.waiting_bytes = 0
                case Closed():
                    self._drop(answer)
        return None

    def _is_on_disk(self, answer: Collected, growth: Growth, size: int) -> None:
        answer.touched_at = time.monotonic()
        answer.waiting_bytes -= size
        self._waiting_bytes -= size
        if growth.text:
            answer.text.on_disk(growth.start + len(growth.text))
            self._grew(answer.place, growth.start, growth.text)
            self._hub.wake(answer_topic(answer.place))


def _refuse(growing: Growing, detail: str) -> NoReturn:
    raise Conflict(detail, extensions={"received": growing.received, "stored": growing.stored})
