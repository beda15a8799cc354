"""The load generator: closed-loop HTTP/1.1 clients on keep-alive connections, in a process of their own.

Requests are bytes made beforehand and answers are framed but never parsed, so that one Python process asks several
times faster than one can answer; a row in the table of `python -m bench` shows that it does.
"""

import asyncio
import gc
import json
import os
import re
import secrets
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context, parent_process
from statistics import median, quantiles
from threading import Thread
from time import perf_counter
from typing import Any, Protocol, cast

import uvloop

CLIENTS = 16
# Stands in a request where every sending needs an Idempotency-Key of its own, and is as long as what replaces it.
FRESH_KEY = "fresh-key-for-each-request-sent!"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_GRACE_SECONDS = 30.0


class LoadFailed(Exception):
    """An answer was not a 2xx, could not be framed, or never came: such a round measures nothing."""


@dataclass(frozen=True)
class Job:
    """What to ask of the server on `port`, and for how many seconds.

    With `turn` 0, client i sends request i, again and again. Otherwise all clients send the same request and, after
    `turn` sendings, all go on to the next: so 16 clients work on one small chat at a time, and each chat stays small.
    """

    port: int
    requests: tuple[bytes, ...]
    seconds: float
    clients: int = CLIENTS
    turn: int = 0


@dataclass(frozen=True)
class Load:
    """What came back: answers a second, latencies in seconds, and the bytes of one answer's body."""

    rate: float
    p50: float
    p99: float
    answers: int
    answer_bytes: int


class Generator(Protocol):
    """Plays a job and returns what it measured; raises LoadFailed."""

    def __call__(self, job: Job, /) -> Load: ...


@contextmanager
def generator() -> Iterator[Generator]:
    """The generator; its process lives as long as the context."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"), initializer=_end_with_parent) as pool:
        yield lambda job: pool.submit(play, job).result()


def _end_with_parent() -> None:
    """Otherwise a generator whose starter was killed would wait for its next job for ever."""

    def wait() -> None:
        if parent := parent_process():
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()


def request(method: str, path: str, headers: dict[str, str] | None = None, body: Any = None) -> bytes:
    """One HTTP/1.1 request, with `body` as JSON if there is one."""
    content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    fields = {"Host": "127.0.0.1", **(headers or {})}
    if content:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
    head = "\r\n".join((f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())))
    return head.encode() + b"\r\n\r\n" + content


def play(job: Job) -> Load:
    """Plays the job in this process."""
    gc.collect()
    gc.disable()  # a collection in the middle of a round would be measured as the server's
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_play(job))
    finally:
        gc.enable()


async def _play(job: Job) -> Load:
    loop = asyncio.get_running_loop()
    round_ = _Round(job, loop.create_future())
    clients = [
        (await loop.create_connection(lambda: _Client(round_), "127.0.0.1", job.port))[1] for _ in range(job.clients)
    ]
    started = perf_counter()
    round_.deadline = started + job.seconds
    for index, client in enumerate(clients):
        client.start(index)
    try:
        await asyncio.wait_for(round_.done, job.seconds + _GRACE_SECONDS)
    except TimeoutError:
        raise LoadFailed(f"an answer took longer than {_GRACE_SECONDS:.0f} s") from None
    elapsed = perf_counter() - started
    latencies = round_.latencies
    return Load(
        rate=len(latencies) / elapsed,
        p50=median(latencies),
        p99=quantiles(latencies, n=100)[-1] if len(latencies) > 1 else latencies[0],
        answers=len(latencies),
        answer_bytes=round_.answer_bytes,
    )


class _Round:
    """What the clients of one round share."""

    def __init__(self, job: Job, done: asyncio.Future[None]) -> None:
        self.done = done
        self.deadline = 0.0
        self.latencies: list[float] = []
        self.answer_bytes = 0
        self._turn = job.turn
        self._left = job.clients
        self._requests = [tuple(request.split(FRESH_KEY.encode())) for request in job.requests]
        self._sent = 0
        self._keys = count(secrets.randbits(96) << 32)  # no round has a key of another

    def request(self, client: int) -> bytes:
        """The next request of a client, with a fresh key if it takes one."""
        parts = self._requests[(self._sent // self._turn if self._turn else client) % len(self._requests)]
        self._sent += 1
        return parts[0] if len(parts) == 1 else b"%b%032x%b" % (parts[0], next(self._keys), parts[1])

    def leave(self) -> None:
        """A client has its last answer."""
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)

    def fail(self, reason: str) -> None:
        """The round is of no use."""
        if not self.done.done():
            self.done.set_exception(LoadFailed(reason))


class _Client(asyncio.Protocol):
    """One connection: sends a request, waits for all of its answer, sends the next."""

    def __init__(self, round_: _Round) -> None:
        self._round = round_
        self._index = 0
        self._received = b""
        self._whole = 0  # bytes of the answer under way, once its head has come
        self._sent_at = 0.0
        self._left = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def start(self, index: int) -> None:
        """Sends the first request."""
        self._index = index
        self._send()

    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        if not self._whole:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._received = data
                return
            length = _LENGTH.search(data, 0, end + 2)
            if data[9:10] != b"2" or length is None:
                self._round.fail(data[:600].decode(errors="replace"))
                return
            self._round.answer_bytes = int(length[1])
            self._whole = end + 4 + int(length[1])
        if len(data) < self._whole:
            self._received = data
            return
        now = perf_counter()
        self._round.latencies.append(now - self._sent_at)
        self._received, self._whole = b"", 0
        if now < self._round.deadline:
            self._send()
        else:
            self._left = True
            self._transport.close()
            self._round.leave()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._left:
            self._round.fail(f"the connection was closed: {exc}")

    def _send(self) -> None:
        self._sent_at = perf_counter()
        self._transport.write(self._round.request(self._index))
