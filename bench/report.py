"""The table: on the terminal, and as `docs/performance.md`."""

import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.rows import Row

HEADINGS = ("what", "database", "Chatkeep", "compared with", "ratio", "rounds", "target", "met")
PACKAGES = ("fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "httptools", "asyncpg", "aiosqlite", "orjson")

PAGE = """\
# Performance

Written by `{command}` on {date}, and anew by each `make bench`. Absolute figures belong to
the machine that they were measured on. The ratios are what to read: both sides of each were measured in turn, in the
same run.

{table}

`ratio` is Chatkeep's figure over the other's, the median of {rounds} rounds of {seconds:g} seconds (a third of that for
batches, long chats and pages); `rounds` are the smallest and the largest. Where the target is ≥, rates are compared,
and where it is ≤, median latencies. {met} of {targets} targets are met.

## How it is measured

- Both sides are asked in turn (A B A B …) by the same 16 clients on keep-alive connections, each sending its next
  request when it has the answer to its last. The generator (`bench/load.py`) runs in a process of its own; the last row
  shows that it is not the limit. An answer that is not a 2xx ends the bench.
- **Appends** are of one message of {message_bytes} bytes; each client writes a chat of its own. Chatkeep checks its API
  key and the chat's owner, numbers the message and counts it, all of it on disk before the answer; a row of its own
  sends a new `Idempotency-Key` with each request, and is compared with the same bare endpoint, which has no such thing.
- **The bare endpoints** (`bench/peers/`) are FastAPI with a pydantic body and one statement (on SQLite two and a
  commit) on the same database server or file system, without owners, order or idempotency. On Postgres they use
  asyncpg's pool as it is by default; on SQLite one aiosqlite connection behind a lock, WAL and `synchronous=FULL`.
- Both run as one uvicorn worker with uvloop and httptools, without a log line for each request.
- **Long chats:** all 16 clients work on one chat at a time. The short chat that is appended to changes every 100
  messages, so that it stays short. The 2,000th page is one of 50 chats or messages, of 100,000, read without the cache;
  its cursor comes from walking there.
- A write of 4 KiB and an fsync take {fsync:.2f} ms here.

## What it ran on

{versions}
"""


def show(rows: Sequence[Row], console: Console) -> None:
    """Prints the table."""
    table = Table(*HEADINGS, title="Chatkeep beside the bare endpoints, 16 clients")
    for row in rows:
        table.add_row(*_cells(row), style="red" if row.met is False else None)
    console.print(table)


def write(rows: Sequence[Row], path: Path, *, rounds: int, seconds: float, postgres: str, message_bytes: int) -> None:
    """Writes the page."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *(_cells(row) for row in rows)]
    targets = [row.met for row in rows if row.met is not None]
    versions = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processors": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "PostgreSQL": postgres,
        "SQLite": sqlite3.sqlite_version,
        **{name: version(name) for name in PACKAGES},
    }
    path.write_text(
        PAGE.format(
            command=f"python -m bench --rounds {rounds} --seconds {seconds:g}",
            date=versions["date"],
            table="\n".join(f"| {' | '.join(cells)} |" for cells in lines),
            rounds=rounds,
            seconds=seconds,
            met=sum(targets),
            targets=len(targets),
            message_bytes=message_bytes,
            fsync=_fsync_milliseconds(path.parent),
            versions="\n".join(f"- {name}: {value}" for name, value in versions.items()),
        ),
        encoding="utf-8",
    )


def _cells(row: Row) -> tuple[str, ...]:
    target = f"≥ {row.at_least:g}" if row.at_least else f"≤ {row.at_most:g}" if row.at_most else ""
    return (
        row.what,
        row.database,
        row.ours,
        row.other,
        "" if row.ratio is None else f"{row.ratio:.2f}",
        "" if row.ratio is None else f"{row.low:.2f}–{row.high:.2f}",
        target or ("" if row.exact is None else "no gap, no duplicate"),
        {True: "yes", False: "NO", None: ""}[row.met],
    )


def _fsync_milliseconds(folder: Path) -> float:
    """The median of 200 synchronised writes of 4 KiB."""
    path, taken = folder / ".fsync", []
    with path.open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(4096))
            started = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - started)
    path.unlink()
    return statistics.median(taken) * 1000
