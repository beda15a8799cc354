"""Answers written and read at once, by clients that come and go: what `python -m bench.answers` and a test play.

A writer sends text as a model would, so many times a second, and goes on from where the service says. Readers come
late, leave in the middle, come back on another connection, and so through any process, and must have the exact text in
the end. The service may be killed under all of them: what it had said to be on disk must be there.
"""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, Self

WORDS = "Eight minutes in boiling water, then cold 水 – und eine Prise Salz. 🥚 Не спеши, ça va; ".split(" ")
GIVE_UP_SECONDS = 60.0
RETRY_SECONDS = 0.1


def story(number: int, chunks: int) -> list[str]:
    """The text of an answer in chunks, a few words each; another one for each number."""
    source = random.Random(number)
    return [" ".join(source.choices(WORDS, k=source.randint(1, 4))) + " " for _ in range(chunks)]


class Connection:
    """One keep-alive connection, as cheap as can be: this machine has to run the service as well."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[str, str]) -> None:
        self._reader = reader
        self._writer = writer
        self._head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())

    @classmethod
    async def open(cls, port: int, headers: dict[str, str]) -> Self:
        """A new connection. Raises OSError."""
        return cls(*await asyncio.open_connection("127.0.0.1", port), headers)

    def close(self) -> None:
        """Closes it, whatever is under way."""
        self._writer.close()

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status and the JSON of an answer. Raises OSError and EOFError when the connection breaks."""
        content = b"" if body is None else json.dumps(body).encode()
        kind = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n" if content else ""
        status, headers = await self._send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{self._head}{kind}\r\n", content)
        said = await self._reader.readexactly(int(headers.get("content-length", 0)))
        return status, json.loads(said) if said else None

    async def events(self, path: str, last_event_id: str | None) -> AsyncGenerator[tuple[str, str, Any]]:
        """The events of a stream: name, id and data. Raises OSError and EOFError when the connection breaks."""
        seen = f"Last-Event-ID: {last_event_id}\r\n" if last_event_id else ""
        status, _ = await self._send(f"GET {path} HTTP/1.1\r\nHost: x\r\n{self._head}{seen}\r\n", b"")
        if status != 200:
            raise OSError(f"a stream was answered {status}")
        pending = b""
        while size := int((await self._reader.readline()).strip() or b"-1", 16):
            if size < 0:
                raise EOFError
            pending += (await self._reader.readexactly(size + 2))[:-2]
            *blocks, pending = pending.split(b"\n\n")
            for block in blocks:
                said = dict(line.split(": ", 1) for line in block.decode().split("\n") if not line.startswith(":"))
                if "event" in said:
                    yield said["event"], said["id"], json.loads(said["data"])

    async def _send(self, head: str, content: bytes) -> tuple[int, dict[str, str]]:
        self._writer.write(head.encode() + content)
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), headers


@dataclass
class Outcome:
    """What all of them found. Latencies are in seconds; `faults` should stay empty."""

    answers: int = 0
    chunks: int = 0
    readers: int = 0
    returns: int = 0
    kills: int = 0
    refused: int = 0
    chunk_seconds: list[float] = field(default_factory=list)
    text_seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.answers} answers, {self.chunks} chunks ({self.refused} refused and sent from another place), "
            f"{self.readers} readers who came back {self.returns} times, {self.kills} kills; a chunk was answered in "
            f"{_spread(self.chunk_seconds)}, its text reached a reader in {_spread(self.text_seconds)}; "
            f"{len(self.faults)} faults"
        )


def _spread(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "-"
    return f"{median(seconds) * 1000:.1f} ms (p99 {quantiles(seconds, n=100)[-1] * 1000:.1f})"


class Answer:
    """One answer: its writer, and what its readers need to know to check on it."""

    def __init__(self, play: "Play", number: int) -> None:
        self._play = play
        self._number = number
        self.chunks = story(number, play.chunks)
        self.text = "".join(self.chunks)
        self.path = ""
        self.sent_at: list[tuple[int, float]] = []  # where each chunk ends, and when it was first sent
        self.opened = asyncio.Event()

    async def write(self) -> None:
        """Opens it, sends all of it, completes it; keeps its pace, and catches up when it was held up."""
        outcome = self._play.outcome
        await asyncio.sleep(random.uniform(0, 1 / self._play.rate))
        body = {"role": "assistant", "content": "", "status": "in_progress"}
        key = {"Idempotency-Key": f"open-{self._number}"}
        message = await self._insist(f"/chats/key:{self._number}/messages", body, key)
        self.path = f"/chats/{message['chat_id']}/messages/{message['message_id']}"
        self.opened.set()
        began, received, stored, end = time.perf_counter(), 0, 0, 0
        for number, chunk in enumerate(self.chunks):
            due = began + number / self._play.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            end += len(chunk)
            self.sent_at.append((end, time.perf_counter()))
            while received < end:
                asked = time.perf_counter()
                status, said = await self._ask(
                    f"{self.path}/chunks", {"offset": received, "text": self.text[received:end]}
                )
                outcome.chunk_seconds.append(time.perf_counter() - asked)
                outcome.chunks += 1
                if status not in (202, 409) or "stored" not in said:
                    outcome.faults.append(f"a chunk was answered {status} {said}")
                    return
                # Of text that came through another process, one may know less.
                if said["stored"] < stored and not self._play.shared:
                    outcome.faults.append(f"{stored} characters were said to be on disk, then {said['stored']}")
                outcome.refused += status == 409
                received, stored = said["received"], said["stored"]
        done = await self._complete(received)
        if done.get("content") != self.text or done.get("status") != "completed":
            outcome.faults.append(f"answer {self._number} ended as {str(done)[:200]}")
        outcome.answers += 1

    async def _complete(self, received: int) -> Any:
        while True:
            status, said = await self._ask(f"{self.path}/complete", {"offset": len(self.text), "output_tokens": 1})
            if status != 409 or "received" not in said:
                return said
            # A crash took back what was not on disk.
            received = said["received"]
            await self._ask(f"{self.path}/chunks", {"offset": received, "text": self.text[received:]})

    async def _insist(self, path: str, body: Any, headers: dict[str, str]) -> Any:
        status, said = await self._ask(path, body, headers)
        assert status == 201, (status, said)
        return said

    async def _ask(self, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Asks until there is an answer, on a connection of its own or on any that is free."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                async with self._play.connection(self._number, headers) as connection:
                    status, said = await connection.ask("POST", path, body)
                if status != 503:
                    return status, said
            except (OSError, EOFError):
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer from {path}")
            await asyncio.sleep(RETRY_SECONDS)

    async def read(self, source: random.Random) -> None:
        """A reader: comes late, leaves and comes back as often as it is told to, and checks every character."""
        outcome = self._play.outcome
        outcome.readers += 1
        await self.opened.wait()
        seconds = len(self.chunks) / self._play.rate
        await asyncio.sleep(source.uniform(0, seconds / 2))
        text = ""
        last: str | None = None
        leaves = [source.uniform(0.1, seconds / 2) for _ in range(self._play.leaves)]
        deadline = time.monotonic() + seconds + GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            came = time.perf_counter()
            connection = None
            try:
                async with asyncio.timeout(leaves.pop() if leaves else None):
                    connection = await Connection.open(self._play.port, self._play.headers)
                    async for name, seen, data in connection.events(f"{self.path}/stream", last):
                        last = seen
                        if name != "text":
                            self._check(text, name, data)
                            return
                        if data["offset"] != len(text):
                            outcome.faults.append(f"a reader at {len(text)} was sent text from {data['offset']}")
                        text += data["text"]
                        self._took(len(text) - len(data["text"]), len(text), came)
            except (OSError, EOFError, TimeoutError):
                outcome.returns += 1
            finally:
                if connection is not None:
                    connection.close()
            await asyncio.sleep(source.uniform(0, 0.5))
        outcome.faults.append(f"a reader of answer {self._number} never came to its end")

    def _check(self, text: str, name: str, data: Any) -> None:
        if (text, name, data.get("content")) != (self.text, "done", self.text):
            self._play.outcome.faults.append(
                f"answer {self._number} was read as {len(text)} of {len(self.text)} characters, "
                f"{'the same' if self.text.startswith(text) else 'others'}, ended by {name}"
            )

    def _took(self, begin: int, end: int, came: float) -> None:
        """Notes how long text was on its way: of a chunk that was sent while the reader was there."""
        now = time.perf_counter()
        for place, sent in reversed(self.sent_at):
            if place <= begin:
                return
            if place <= end and sent > came:
                self._play.outcome.text_seconds.append(now - sent)


@dataclass
class Play:
    """So many answers at once, each of `chunks` chunks at `rate` a second, with so many readers who leave so often.

    With `shared` the writers take turns on a few connections, as those of a client's pool: then the chunks of one
    answer come through all processes. Otherwise each has its own.
    """

    port: int
    headers: dict[str, str]
    answers: int
    chunks: int
    rate: float = 20.0
    readers: int = 2
    leaves: int = 2
    shared: bool = False
    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        self._own: dict[int, Connection] = {}
        self._free: list[Connection] = []

    @contextlib.asynccontextmanager
    async def connection(self, number: int, headers: dict[str, str] | None) -> AsyncIterator[Connection]:
        """A connection for one request; one that broke is not used again."""
        if headers:
            connection = await Connection.open(self.port, self.headers | headers)
        elif self.shared:
            connection = self._free.pop(random.randrange(len(self._free))) if self._free else await self._new()
        else:
            connection = self._own.pop(number) if number in self._own else await self._new()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if headers:
            connection.close()
        elif self.shared:
            self._free.append(connection)
        else:
            self._own[number] = connection

    async def _new(self) -> Connection:
        return await Connection.open(self.port, self.headers)

    async def run(self, disturb: Callable[[Outcome], Any] | None = None) -> Outcome:
        """Plays it to the end; `disturb` is run beside it."""
        answers = [Answer(self, number) for number in range(self.answers)]
        disturbing = asyncio.ensure_future(disturb(self.outcome)) if disturb else None
        async with asyncio.TaskGroup() as group:
            for number, answer in enumerate(answers):
                group.create_task(answer.write())
                for reader in range(self.readers):
                    group.create_task(answer.read(random.Random(f"{number} {reader}")))
        if disturbing:
            disturbing.cancel()
            await asyncio.gather(disturbing, return_exceptions=True)
        for connection in [*self._own.values(), *self._free]:
            connection.close()
        return self.outcome
