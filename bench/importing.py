"""`python -m bench.importing`: importing a million messages as JSON Lines, beside `psql \\copy` of the same rows in.

Both go into an empty database with the same schema, in turns. The service is a process of its own, and what its memory
grows by is measured while it imports: what is resident at the highest, above what was before, after a small import.
"""

import asyncio
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import httpx2
import orjson
import psutil  # type: ignore[import-untyped]
import typer
from rich.console import Console
from uuid_utils import uuid7

from app.db.database import Database
from app.db.migrations import upgrade
from app.settings import Settings
from tests.servers.databases import TEMPLATE
from tests.servers.postgres import PostgresServer
from tests.servers.service import ServiceProcess

LEAST_RATE = 0.5
MOST_GROWTH = 40 * 1024 * 1024
SECONDS = 1800
_WORDS = 5000


def write_chats(path: Path, messages: int, chats: int) -> int:
    """Writes made-up chats as Chatkeep exports them, and gives how many messages they have in all."""
    source = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(source.choices(letters, k=source.randint(2, 9))) for _ in range(_WORDS)]
    texts = [" ".join(source.choices(words, k=30)) for _ in range(_WORDS)]
    each = messages // chats
    with path.open("wb") as file:
        file.write(b'{"record":"chatkeep","version":1}\n')
        for number in range(chats):
            at = f"2026-01-31T12:00:00.{number % 10**6:06}Z"
            times = dict.fromkeys(("created_at", "updated_at", "last_activity_at"), at)
            size = {"message_count": each, "last_seq": each, "head_seq": each, "version": each + 1}
            chat = {"record": "chat", "chat_id": str(uuid7()), "title": f"chat {number}", **size, **times}
            file.write(orjson.dumps(chat) + b"\n")
            for seq in range(1, each + 1):
                message = {"record": "message", "message_id": str(uuid7()), "seq": seq}
                if seq > 1:
                    message["parent_seq"] = seq - 1
                message |= {"role": "user" if seq % 2 else "assistant", "type": "message"}
                message["content"] = source.choice(texts)
                message |= {} if seq % 2 else {"model": "gpt-5", "tokens": 21}
                message["created_at"] = f"2026-01-31T12:{seq // 60 % 60:02}:{seq % 60:02}.{seq % 10**6:06}Z"
                file.write(orjson.dumps(message) + b"\n")
        file.write(orjson.dumps({"record": "end", "chats": chats, "messages": each * chats}) + b"\n")
    return each * chats


@dataclass
class PeakMemory:
    """The peak resident memory of a process, in bytes, and what it was before."""

    before: int
    peak: int = 0


@contextmanager
def watch_memory(process: psutil.Process) -> Iterator[PeakMemory]:
    """Watches a process's memory until this is left."""
    memory = PeakMemory(process.memory_info().rss)
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.wait(0.02):
            memory.peak = max(memory.peak, process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield memory
    finally:
        stopped.set()
        thread.join()


def import_file(service: ServiceProcess, path: Path, user_id: str, **query: str) -> tuple[float, Any]:
    """The seconds that an import takes, from the first byte sent to the response, and its report."""
    headers = {**service.headers(user_id), "Content-Type": "application/jsonl"}
    began = time.perf_counter()
    with path.open("rb") as file, httpx2.Client(trust_env=False, timeout=SECONDS) as client:
        chunks = iter(lambda: file.read(256 * 1024), b"")
        response = client.post(f"{service.base_url}/import", params=query, content=chunks, headers=headers)
    response.raise_for_status()
    return time.perf_counter() - began, response.json()


def copy_in(postgres: PostgresServer, chats: Path, messages: Path, name: str) -> float:
    """How many seconds `psql \\copy` of messages takes into a database of that name, made for it."""
    postgres.create_database(name, TEMPLATE)
    try:
        postgres.execute(f"\\copy chats from '{chats}'", name)
        began = time.perf_counter()
        postgres.execute(f"\\copy messages from '{messages}'", name)
        return time.perf_counter() - began
    finally:
        postgres.drop_database(name)


def main(
    messages: Annotated[int, typer.Option(min=1000)] = 1_000_000,
    chats: Annotated[int, typer.Option(min=1)] = 10_000,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    file: Annotated[Path | None, typer.Option(help="A file of chats to be imported instead.")] = None,
    sqlite: Annotated[bool, typer.Option(help="On SQLite as well.")] = True,
) -> None:
    """Imports chats and says how fast, beside `psql \\copy`. Exit code 1 if a target is missed."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="chatkeep-bench-") as folder, PostgresServer() as postgres:
        work = Path(folder)
        work.chmod(0o777)
        path = file or work / "chats.jsonl"
        if file is None:
            write_chats(path, messages, chats)
        few = work / "few.jsonl"
        write_chats(few, 20_000, 20)
        asyncio.run(migrate(postgres.create_database(TEMPLATE)))
        met = _on_postgres(console, postgres, work, path, few, rounds)
        if sqlite:
            url = f"sqlite:///{work / 'chatkeep.db'}"
            asyncio.run(migrate(url))
            seconds, growth, report = _measure(url, path, few)
            met &= _print(console, "SQLite", seconds, growth, report)
    sys.exit(0 if met else 1)


async def migrate(url: str) -> None:
    """Brings a database to the current schema."""
    db = await Database.open(Settings.model_validate({"database_url": url}))
    try:
        await upgrade(db)
    finally:
        await db.close()


def _measure(url: str, path: Path, few: Path) -> tuple[float, int, Any]:
    """The seconds that an import takes, the growth of the service's memory in bytes, and the report."""
    with ServiceProcess(database_url=url, log_level="warning") as service:
        import_file(service, few, "somebody")
        with watch_memory(psutil.Process(service.process_id)) as memory:
            seconds, report = import_file(service, path, "ann", keep_ids="true")
    return seconds, memory.peak - memory.before, report


def _on_postgres(console: Console, postgres: PostgresServer, work: Path, path: Path, few: Path, rounds: int) -> bool:
    ratios: list[float] = []
    met = True
    chats, rows = work / "chats.copy", work / "messages.copy"
    for number in range(rounds):
        url = postgres.create_database(f"bench_{number}", TEMPLATE)
        seconds, growth, report = _measure(url, path, few)
        if number == 0:
            for table, to in (("chats", chats), ("messages", rows)):
                postgres.execute(f"\\copy (SELECT * FROM {table} WHERE user_id = 'ann') to '{to}'", f"bench_{number}")
        postgres.drop_database(f"bench_{number}")
        met &= _print(console, "Postgres", seconds, growth, report)
        copied = copy_in(postgres, chats, rows, f"copied_{number}")
        ratios.append(copied / seconds)
        console.print(f"psql \\copy: {copied:.1f} s, {ratios[-1]:.2f} of its rate", highlight=False)
    console.print(f"median: {median(ratios):.2f} of the rate of psql \\copy", highlight=False)
    return met and median(ratios) >= LEAST_RATE


def _print(console: Console, database: str, seconds: float, growth: int, report: Any) -> bool:
    messages = report["messages"]["imported"]
    console.print(
        f"{database}: {messages:,} messages in {seconds:.1f} s, {messages / seconds:,.0f} a second, "
        f"{growth / 1024 / 1024:.0f} MiB more memory",
        highlight=False,
    )
    return report["errors_total"] == 0 and messages > 0 and growth <= MOST_GROWTH


if __name__ == "__main__":
    typer.run(main)
