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
from bench.importing import LEAST_RATE, MOST_GROWTH, watched
from tests.servers.postgres import PostgresServer
from tests.servers.service import ServiceProcess

SECONDS = 1800
ROWS = "\\copy (SELECT row_to_json(m) FROM messages m) to '{}'"


@dataclass(frozen=True)
class Exported:
    """An export: the seconds it took, its bytes as they came, its messages, and by how much the service grew."""

    seconds: float
    size: int
    messages: int
    growth: int


def exported(service: ServiceProcess, to: Path, coding: str = "identity", **query: str) -> Exported:
    """Exports to a file."""
    headers = {**service.headers(), "Accept-Encoding": coding}
    with watched(psutil.Process(service.process_id)) as memory:
        began = time.perf_counter()
        with (
            httpx2.Client(trust_env=False, timeout=SECONDS) as client,
            client.stream("GET", f"{service.base_url}/export", params=query, headers=headers) as answer,
            to.open("wb") as file,
        ):
            answer.raise_for_status()
            for piece in answer.iter_raw():
                file.write(piece)
        seconds = time.perf_counter() - began
    messages = 0
    if coding == "identity" and query.get("format", "jsonl") == "jsonl":
        with to.open("rb") as file:
            messages = sum(line.startswith(b'{"record":"message"') for line in file)
    return Exported(seconds, to.stat().st_size, messages, memory.most - memory.before)


def copied_out(postgres: PostgresServer, database: str, to: Path) -> float:
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
        place = Path(folder)
        place.chmod(0o777)
        met = _on_postgres(console, postgres, place, messages, rounds)
        if sqlite:
            url = f"sqlite:///{place / 'chatkeep.db'}"
            user = million.fill(url, messages).users[0]
            with ServiceProcess(database_url=url, log_level="warning") as service:
                exported(service, place / "out", user_id=user)
                met &= _say(console, "SQLite", exported(service, place / "out", all_users="true"))
    sys.exit(0 if met else 1)


def _on_postgres(console: Console, postgres: PostgresServer, place: Path, messages: int, rounds: int) -> bool:
    url = postgres.create_database("bench")
    user = million.fill(url, messages).users[0]
    ratios: list[float] = []
    met = True
    with ServiceProcess(database_url=url, log_level="warning") as service:
        exported(service, place / "out", user_id=user)
        for _ in range(rounds):
            ours = exported(service, place / "out", all_users="true")
            met &= _say(console, "Postgres", ours)
            copied = copied_out(postgres, "bench", place / "copied")
            ratios.append(copied / ours.seconds)
            console.print(f"psql \\copy: {copied:.1f} s, {ratios[-1]:.2f} of its rate", highlight=False)
        for coding in ("zstd", "gzip"):
            met &= _say(console, f"Postgres, {coding}", exported(service, place / "out", coding, all_users="true"))
        for form in ("json", "csv", "markdown", "html", "openai", "sharegpt"):
            said = exported(service, place / "out", all_users="true", format=form)
            met &= _say(console, f"Postgres, {form}", said)
        asyncio.run(_as_one_chat(url))
        met &= _say(console, "Postgres, one chat", exported(service, place / "out", all_users="true"))
    console.print(f"the middle one: {median(ratios):.2f} of the rate of psql \\copy", highlight=False)
    return met and median(ratios) >= LEAST_RATE


async def _as_one_chat(url: str) -> None:
    """Moves every message into one chat of one user."""
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        (owner,) = await connection.fetch("SELECT user_id, chat_id FROM chats ORDER BY user_id, chat_id LIMIT 1")
        await connection.execute("ALTER TABLE messages DROP CONSTRAINT fk_messages_chat")
        await connection.execute(
            "CREATE TABLE numbered AS "
            "SELECT *, row_number() OVER (ORDER BY user_id, chat_id, seq) AS place FROM messages"
        )
        await connection.execute(
            "UPDATE numbered SET user_id = $1, chat_id = $2, seq = place, parent_seq = NULL", *owner
        )
        await connection.execute("ALTER TABLE numbered DROP COLUMN place")
        await connection.execute("TRUNCATE messages CASCADE")
        await connection.execute("INSERT INTO messages SELECT * FROM numbered")
        await connection.execute("DELETE FROM chats WHERE (user_id, chat_id) <> ($1, $2)", *owner)
        await connection.execute("UPDATE chats SET message_count = (SELECT count(*) FROM messages)")
    await connection.execute("VACUUM ANALYZE messages")
    await connection.close()


def _say(console: Console, what: str, said: Exported) -> bool:
    rate = f", {said.messages:,} messages, {said.messages / said.seconds:,.0f} a second" if said.messages else ""
    console.print(
        f"{what}: {said.size / 1e6:,.0f} MB in {said.seconds:.1f} s{rate}, {said.growth / 2**20:.0f} MiB more memory",
        highlight=False,
    )
    return said.growth <= MOST_GROWTH


if __name__ == "__main__":
    typer.run(main)
