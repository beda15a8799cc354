"""`python -m bench`: Chatkeep beside bare endpoints on the same databases, as one table of ratios."""

import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console

from bench import report, rows
from bench.load import generator
from bench.subjects import MESSAGE
from tests.servers.postgres import PostgresServer
from tests.servers.service import REPOSITORY

DATABASES: tuple[rows.Database, ...] = ("Postgres", "SQLite")
WIDTH = 180
PERFORMANCE = REPOSITORY / "docs" / "performance.md"


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each comparison.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds that a side is asked in a round.")] = 3.0,
    only: Annotated[
        list[rows.Section] | None, typer.Option(help="Only these parts; the page is not written then.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where the page is written.")] = PERFORMANCE,
) -> None:
    """Compares Chatkeep with bare endpoints on the same database. Exit code 1 if a target is missed."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)  # a file or a pipe has no width, and the table is wide
    started = perf_counter()
    found: list[rows.Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="chatkeep-bench-") as folder,
        PostgresServer() as postgres,
        generator() as generate,
        console.status("starting") as status,
    ):
        bench = rows.Bench(generate, postgres, Path(folder), rounds, seconds, say=status.update)
        for name in only or rows.Section:
            for database in DATABASES:
                status.update(f"{name} on {database}")
                for row in rows.SECTIONS[name](bench, database):
                    found.append(row)
                    console.print(f"{row.what} ({row.database}): {row.ours} | {row.other}", highlight=False)
        found.extend(rows.generator(bench))
        postgres_version = postgres.execute("SHOW server_version")
    report.show(found, console)
    console.print(f"{perf_counter() - started:.0f} s", highlight=False)
    if not only:
        report.write(
            found,
            output,
            rounds=rounds,
            seconds=seconds,
            postgres=postgres_version,
            message_bytes=len(MESSAGE["content"].encode()),
        )
    if any(row.met is False for row in found):
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
