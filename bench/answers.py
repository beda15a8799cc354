"""Measures answers that are written while somebody reads: `python -m bench.answers`.

What a chunk costs: the processor time of service and database for each, beside that of an append. Then sixty answers
at once at twenty chunks a second, with readers who come late, leave and come back; and the same while the service is
killed.
"""

import asyncio
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Annotated, cast

import httpx2
import psutil  # type: ignore[import-untyped]
import typer
import uvloop
from rich.console import Console

from bench.crash import Database
from bench.load import CLIENTS, request
from bench.streaming import Outcome, Play
from bench.subjects import MESSAGE
from tests.servers.postgres import PostgresServer
from tests.servers.service import ServiceProcess

USER = "bench"
TEXT = " the next few tokens"
LINES = 20  # chunks of a body in which several come
AT_MOST = 0.3  # of an append
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)

Next = Callable[[int], bytes]
"""The request that sends the `n`th chunk, or chunks, of an answer."""


class _Client(asyncio.Protocol):
    """Sends a request, waits for its answer, sends the next."""

    def __init__(self, head: bytes, lines: int, until: float, done: "asyncio.Future[None]") -> None:
        self.answers = 0
        self._head = head
        self._lines = lines
        self._until = until
        self._done = done
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._next())

    def data_received(self, data: bytes) -> None:
        self._received += data
        length = _LENGTH.search(self._received)
        if length is None or len(self._received) < self._received.find(b"\r\n\r\n") + 4 + int(length[1]):
            return
        if self._received[9:10] != b"2":
            self._done.set_exception(RuntimeError(self._received.decode(errors="replace")))
            return
        self._received = b""
        self.answers += 1
        if time.perf_counter() < self._until:
            self._transport.write(self._next())
        else:
            self._transport.close()
            self._done.set_result(None)

    def _next(self) -> bytes:
        if not self._lines:
            return self._head
        places = range(self.answers * self._lines, (self.answers + 1) * self._lines)
        chunks = [b'{"offset":%d,"text":"%b"}' % (place * len(TEXT), TEXT.encode()) for place in places]
        kind = b"application/json" if self._lines == 1 else b"application/x-ndjson"
        body = b"\n".join(chunks)
        return b"%bContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (self._head, kind, len(body), body)


def play(port: int, heads: list[bytes], lines: int, seconds: float) -> tuple[int, float]:
    """Sends requests on as many connections as there are heads: the answers, and the seconds that they took.

    With `lines` 0 a head is the whole request, sent again and again; otherwise each has so many chunks.
    """

    async def run() -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        clients = []
        ends = []
        for head in heads:
            done = loop.create_future()
            client = _Client(head, lines, began + seconds, done)
            await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
            clients.append(client)
            ends.append(done)
        await asyncio.gather(*ends)
        return sum(client.answers for client in clients), time.perf_counter() - began

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def processor_seconds(*processes: int) -> float:
    """The processor time that some processes and all under them have had."""
    total = 0.0
    for parent in map(psutil.Process, processes):
        for process in [parent, *parent.children(recursive=True)]:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
    return total


@contextmanager
def service(database: Database, workers: int) -> Iterator[tuple[ServiceProcess, list[int]]]:
    """The service on a new database, and the processes that its work is done by."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatkeep-answers-")))
        url, processes = f"sqlite:///{folder / 'answers.db'}", []
        if database is Database.POSTGRES:
            server = stack.enter_context(PostgresServer())
            url, processes = server.create_database("answers"), [server.pid]
        running = ServiceProcess(folder=folder, database_url=url, workers=workers, log_level="warning")
        stack.callback(running.kill)
        running.start()
        yield running, [running.process_id, *processes]


def cost(database: Database, rounds: int, seconds: float, console: Console) -> bool:
    """Says what appends and chunks cost; whether a chunk is as cheap as it should be, however it is sent."""
    costs: dict[str, list[float]] = {"append": [], "chunk": [], "line": []}
    rates: dict[str, list[float]] = {name: [] for name in costs}
    with (
        service(database, 1) as (running, processes),
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        httpx2.Client(base_url=running.base_url, headers=running.headers(USER), trust_env=False, timeout=30) as client,
    ):
        chats = [client.post("/chats", json={}).raise_for_status().json()["chat_id"] for _ in range(CLIENTS)]
        for _ in range(rounds):
            for name, lines in (("append", 0), ("chunk", 1), ("line", LINES)):
                heads = [_head(running, client, chat, lines) for chat in chats]
                before = processor_seconds(*processes)
                answers, took = pool.submit(play, running.port, heads, lines, seconds).result()
                time.sleep(0.3)  # what was received last is written by then
                each = answers * max(1, lines)
                costs[name].append((processor_seconds(*processes) - before) / each)
                rates[name].append(each / took)
    append = median(costs["append"])
    for name, shown in (
        ("append", "an append"),
        ("chunk", "a chunk in a request"),
        ("line", f"a chunk, {LINES} in a body"),
    ):
        console.print(
            f"{database}: {shown} costs {median(costs[name]) * 1e6:.0f} µs of processor time, "
            f"{median(costs[name]) / append:.2f} of an append; {median(rates[name]):,.0f} a second",
            highlight=False,
        )
    return median(costs["line"]) <= AT_MOST * append


def _head(running: ServiceProcess, client: httpx2.Client, chat: str, lines: int) -> bytes:
    headers = running.headers(USER)
    if not lines:
        return request("POST", f"/chats/{chat}/messages", headers, MESSAGE)
    body = {"role": "assistant", "content": "", "status": "in_progress"}
    message = client.post(f"/chats/{chat}/messages", json=body).raise_for_status().json()["message_id"]
    return request("POST", f"/chats/{chat}/messages/{message}/chunks", headers).removesuffix(b"\r\n")


def stream(
    database: Database, workers: int, answers: int, seconds: float, *, shared: bool = False, kills: int = 0
) -> Outcome:
    """Plays so many answers of so many seconds; `kills` times in between the service is killed and started again."""
    with service(database, workers) as (running, _):

        async def disturb(outcome: Outcome) -> None:
            for _ in range(kills):
                await asyncio.sleep(random.uniform(0.5, 1.5) * seconds / (kills + 1))
                running.kill()
                outcome.kills += 1
                await asyncio.to_thread(running.start)

        play = Play(running.port, running.headers(USER), answers, round(20 * seconds), shared=shared)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(play.run(disturb if kills else None))


def main(
    database: Annotated[Database, typer.Option(help="Which database.")] = Database.BOTH,
    answers: Annotated[int, typer.Option(min=1, help="How many answers at once.")] = 60,
    seconds: Annotated[float, typer.Option(min=1, help="How long each of them is written.")] = 15,
    rounds: Annotated[int, typer.Option(min=0, help="How often to measure what a chunk costs.")] = 3,
    kills: Annotated[int, typer.Option(min=0, help="How often to kill the service in the last play.")] = 5,
) -> None:
    """Measures what chunks cost, and plays answers with readers. Exit code 1 on faults, or where one costs too much."""
    console = Console()
    failed = False
    for name in (Database.SQLITE, Database.POSTGRES) if database is Database.BOTH else (database,):
        if rounds:
            failed |= not cost(name, rounds, 3.0, console)
        for workers, shared, killed in ((1, False, 0), (4, False, 0), (4, True, 0), (2, False, kills)):
            outcome = stream(name, workers, answers, seconds, shared=shared, kills=killed)
            way = "connections taken in turn" if shared else "a connection for each writer"
            console.print(f"{name}, {workers} processes, {way}: {outcome}", highlight=False)
            for fault in outcome.faults[:20]:
                console.print(fault, style="red", markup=False, highlight=False)
            failed |= bool(outcome.faults)
    sys.exit(failed)


if __name__ == "__main__":
    typer.run(main)
