"""What an append writes and what a message takes: `python -m bench.storage`, on both databases, with everything on.

16 clients append messages of 304 bytes, one by one, to many chats. Counted are, for an append, the bytes that the
database writes (Postgres: of WAL; SQLite: all that the service hands to the disk) and, on Postgres, which updates of
chats leave the indexes alone (HOT) and how the indexes grow; then, for a message, the bytes of each table and index.
"""

import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Annotated

import httpx2
import typer
from rich.console import Console
from rich.table import Table

from app.db import sqlite
from bench.load import Generator, Job, generator, request
from bench.vocabulary import draw, sentences
from tests.servers.postgres import PostgresServer
from tests.servers.service import REPOSITORY, ServiceProcess

MESSAGE_BYTES = 304
USER = "storage"
_TEXTS = 2000
_SLICE_SECONDS = 20.0

# Of a table, its rows with what is kept out of line; of an index, itself.
_POSTGRES_SIZES = """
SELECT relname, CASE relkind WHEN 'r' THEN pg_table_size(oid) ELSE pg_relation_size(oid) END FROM pg_class
WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace
"""
_CHAT_INDEXES = "SELECT coalesce(sum(pg_indexes_size(oid)), 0) FROM pg_class WHERE relname IN ('chats', 'moved_chats')"
_HOT = "SELECT n_tup_upd || ' ' || n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'chats'"
# The connection that appends writes nothing else.
_WRITER_WAL = """
SELECT coalesce(sum(w.wal_bytes), 0) FROM pg_stat_activity a CROSS JOIN LATERAL pg_stat_get_backend_wal(a.pid) w
WHERE a.query LIKE '%chatkeep_append%' AND a.pid <> pg_backend_pid()
"""
_WAL = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"


def measure(service: ServiceProcess, generate: Generator, appends: int, chats: int, texts: Sequence[str]) -> int:
    """Appends at least `appends` messages to so many chats, in turn; gives how many."""
    headers = service.headers(USER)
    requests = tuple(
        request("POST", f"/chats/key:{number % chats}/messages", headers, {"role": "user", "content": text})
        for number, text in zip(range(max(_TEXTS, chats)), cycle(texts))
    )
    done = 0
    while done < appends:
        rate = 2000.0
        seconds = min(_SLICE_SECONDS, max(0.2, (appends - done) / rate))
        done += generate(Job(service.port, requests, seconds, turn=1)).answers
    return done


def settle(service: ServiceProcess) -> None:
    """Waits until the index and the counters have followed: a search and the statistics do what is left of it."""
    with httpx2.Client(
        base_url=service.base_url, headers=service.headers(USER), trust_env=False, timeout=600
    ) as client:
        client.get("/search", params={"q": "settled"}).raise_for_status()
        client.get("/stats").raise_for_status()


def _text(random: Random) -> str:
    return sentences(draw(random, 80))[:MESSAGE_BYTES].ljust(MESSAGE_BYTES, "x")


def _sqlite_sizes(database: Path) -> dict[str, int]:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name").fetchall()
    return dict(rows)


def _written_bytes(service: ServiceProcess) -> int:
    lines = Path(f"/proc/{service.process_id}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def _show(console: Console, title: str, sizes: dict[str, int], messages: int) -> None:
    table = Table(title, "bytes a message")
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        if size / messages >= 1:
            table.add_row(name, f"{size / messages:,.0f}")
    table.add_row("all", f"{sum(sizes.values()) / messages:,.0f}")
    console.print(table)


def main(
    appends: Annotated[int, typer.Option(min=1000, help="Messages, on each database.")] = 50_000,
    chats: Annotated[int, typer.Option(min=1, help="Chats that they go to.")] = 200,
    repository: Annotated[Path, typer.Option(help="The checkout to measure.")] = REPOSITORY,
    texts_count: Annotated[
        int, typer.Option("--texts", min=1, help="Different texts: each new word costs the index.")
    ] = 1,
    database: Annotated[str, typer.Option(help="Only this one: postgres or sqlite.")] = "",
) -> None:
    """Prints the bytes of an append and of a message."""
    console = Console(width=120)
    random = Random(1)
    texts = [_text(random) for _ in range(texts_count)]
    with (
        tempfile.TemporaryDirectory(prefix="chatkeep-bench-") as folder,
        generator() as generate,
        ExitStack() as stack,
    ):
        if database != "sqlite":
            postgres = stack.enter_context(PostgresServer())
            postgres.create_database("storage")

            def ask(sql: str) -> str:
                return postgres.execute(sql, "storage").strip()

            service = ServiceProcess(repository=repository, database_url=postgres.url("storage"), log_level="warning")
            with service:
                done = measure(service, generate, 1000, chats, texts)
                settle(service)
                indexes, wal, own = int(ask(_CHAT_INDEXES)), int(ask(_WAL)), int(ask(_WRITER_WAL))
                new = measure(service, generate, appends, chats, texts)
                settle(service)
                written, own = int(ask(_WAL)) - wal, int(ask(_WRITER_WAL)) - own
                done += new
                console.print(
                    f"Postgres: {new:,} appends, {own / new:,.0f} bytes of WAL each, and "
                    f"{(written - own) / new:,.0f} for the index and the counters behind them"
                )
                updates, hot = map(int, ask(_HOT).split())
                console.print(f"updates of chats: {updates:,}, of which HOT {hot:,}")
                console.print(f"indexes of chats: {indexes:,} bytes, then {int(ask(_CHAT_INDEXES)):,}")
            ask("VACUUM ANALYZE")
            rows = (line.split("|") for line in ask(_POSTGRES_SIZES).splitlines())
            _show(console, "Postgres", {name: int(size) for name, size in rows}, done)
        if database != "postgres":
            file = Path(folder) / "storage.db"
            service = ServiceProcess(repository=repository, database_url=f"sqlite:///{file}", log_level="warning")
            with service:
                before = _written_bytes(service)
                done = measure(service, generate, appends, chats, texts)
                settle(service)
                console.print(f"SQLite: {done:,} appends, {(_written_bytes(service) - before) / done:,.0f} bytes each")
            with closing(sqlite.connect(file)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            _show(console, "SQLite", _sqlite_sizes(file), done)


if __name__ == "__main__":
    typer.run(main)
