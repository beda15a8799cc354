"""`python -m bench.exporting`: exporting a million messages as JSON Lines, beside `psql \\copy` of the same rows out.

Both write a file, in turns. The service is a process of its own; its memory is what is resident at the highest, above
what was before, after a small export. On SQLite there is nothing to compare with. Then one chat that has them all.
"""

import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import asyncpg
import httpx2
import psutil  # type: ignore[import-untyped]
import typer
from rich.console import Console

from bench import million
from bench.importing import LEAST_RATE, MOST_GROWTH, watch_memory
from tests.servers.postgres import PostgresServer
from tests.servers.service import ServiceProcess

SECONDS = 1800
ROWS = "\\copy (SELECT row_to_json(m) FROM messages m) to '{}'"


@dataclass(frozen=True)
class ExportResult:
    """An export: its seconds, its bytes, its messages, and the growth of the service's memory in bytes."""

    seconds: float
    size: int
    messages: int
    growth: int


def export(service: ServiceProcess, to: Path, coding: str = "identity", **query: str) -> ExportResult:
    """Exports to a file."""
    headers = {**service.headers(), "Accept-Encoding": coding}
    with watch_memory(psutil.Process(service.process_id)) as memory:
        began = time.perf_counter()
        with (
            httpx2.Client(trust_env=False, timeout=SECONDS) as client,
            client.stream("GET", f"{service.base_url}/export", params=query, headers=headers) as response,
            to.open("wb") as file,
        ):
            response.raise_for_status()
            for chunk in response.iter_raw():
                file.write(chunk)
        seconds = time.perf_counter() - began
    messages = 0
    if coding == "identity" and query.get("format", "jsonl") == "jsonl":
        with to.open("rb") as file:
            messages = sum(line.startswith(b'{"record":"message"') for line in file)
    return ExportResult(seconds, to.stat().st_size, messages, memory.peak - memory.before)


def copy_out(postgres: PostgresServer, database: str, to: Path) -> float:
    """How many seconds `psql \\copy` of the messages takes."""
    began = time.perf_counter()
    postgres.execute(ROWS.format(to), database)
    return time.perf_counter() - began


def main(
    messages: Annotated[int, typer.Option(min=1000)] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    sqlite: Annotated[bool, typer.Option(help="On SQLite as well.")] = True,
) -> None:
    """Exports chats and says how fast, beside `psql \\copy`. Exit code 1 if a target is missed."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="chatkeep-bench-") as folder, PostgresServer() as postgres:
        path = Path(folder)
        path.chmod(0o777)
        met = _on_postgres(console, postgres, path, messages, rounds)
        if sqlite:
            url = f"sqlite:///{path / 'chatkeep.db'}"
            user = million.fill(url, messages).users[0]
            with ServiceProcess(database_url=url, log_level="warning") as service:
                export(service, path / "out", user_id=user)
                met &= _report(console, "SQLite", export(service, path / "out", all_users="true"))
    sys.exit(0 if met else 1)


def _on_postgres(console: Console, postgres: PostgresServer, path: Path, messages: int, rounds: int) -> bool:
    url = postgres.create_database("bench")
    user = million.fill(url, messages).users[0]
    ratios: list[float] = []
    met = True
    with ServiceProcess(database_url=url, log_level="warning") as service:
        export(service, path / "out", user_id=user)
        for _ in range(rounds):
            ours = export(service, path / "out", all_users="true")
            met &= _report(console, "Postgres", ours)
            copied = copy_out(postgres, "bench", path / "copied")
            ratios.append(copied / ours.seconds)
            console.print(f"psql \\copy: {copied:.1f} s, {ratios[-1]:.2f} of its rate", highlight=False)
        for coding in ("zstd", "gzip"):
            met &= _report(console, f"Postgres, {coding}", export(service, path / "out", coding, all_users="true"))
        for form in ("json", "csv", "markdown", "html", "openai", "sharegpt"):
            result = export(service, path / "out", all_users="true", format=form)
            met &= _report(console, f"Postgres, {form}", result)
        asyncio.run(_as_one_chat(url))
        met &= _report(console, "Postgres, one chat", export(service, path / "out", all_users="true"))
    console.print(f"median: {median(ratios):.2f} of the rate of psql \\copy", highlight=False)
    return met and median(ratios) >= LEAST_RATE


async def _as_one_chat(url: str) -> None:
    """Moves every message into one chat of one user."""
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        (owner,) = await connection.fetch("SELECT user_id, chat_id FROM chats ORDER BY user_id, chat_id LIMIT 1")
        await connection.execute("ALTER TABLE messages DROP CONSTRAINT fk_messages_chat")
        await connection.execute(
            "CREATE TABLE numbered AS "
            "SELECT *, row_number() OVER (ORDER BY user_id, chat_id, seq) AS position FROM messages"
        )
        await connection.execute(
            "UPDATE numbered SET user_id = $1, chat_id = $2, seq = position, parent_seq = NULL", *owner
        )
        await connection.execute("ALTER TABLE numbered DROP COLUMN position")
        await connection.execute("TRUNCATE messages CASCADE")
        await connection.execute("INSERT INTO messages SELECT * FROM numbered")
        await connection.execute("DELETE FROM chats WHERE (user_id, chat_id) <> ($1, $2)", *owner)
        await connection.execute("UPDATE chats SET message_count = (SELECT count(*) FROM messages)")
    await connection.execute("VACUUM ANALYZE messages")
    await connection.close()


def _report(console: Console, title: str, result: ExportResult) -> bool:
    size, rate, growth = result.size / 1e6, result.messages / result.seconds, result.growth / 2**20
    messages = f", {result.messages:,} messages, {rate:,.0f} a second" if result.messages else ""
    console.print(
        f"{title}: {size:,.0f} MB in {result.seconds:.1f} s{messages}, {growth:.0f} MiB more memory", highlight=False
    )
    return result.growth <= MOST_GROWTH


if __name__ == "__main__":
    typer.run(main)
