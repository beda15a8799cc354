"""`python -m bench.versions <checkout>`: this code beside another version of it, in one interleaved run.

Each side is a service of its own on a database of its own, asked in turn, round by round, by the same 16 clients. The
other checkout needs its environment in `.venv`, which `make run` makes.
"""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.facade import Conversations
from bench.load import CLIENTS, Job, Load, generator, request
from bench.rows import BATCH, LAST, Bench, Database
from bench.subjects import Chatkeep
from tests.servers.postgres import PostgresServer
from tests.servers.service import REPOSITORY, ServiceProcess

DATABASES: tuple[Database, ...] = ("Postgres", "SQLite")
CHATS = 60
CACHE_BYTES = 64 * 1024 * 1024


def jobs(service: ServiceProcess, seconds: float) -> dict[str, Callable[[], Job]]:
    """What is asked of a service, by name."""
    chatkeep, headers = Chatkeep(service), service.headers("bench")
    chats = [chatkeep.chat(LAST + 10) for _ in range(CHATS)]
    conversations = Conversations(service.port, headers)
    written, branched, opened = ([chatkeep.chat(size) for _ in range(CLIENTS)] for size in (0, 2, 0))
    items = [conversations.conversation(0) for _ in range(CLIENTS)]
    listed = [conversations.conversation(LAST) for _ in range(CLIENTS)]

    def reads(path: str) -> tuple[bytes, ...]:
        return tuple(request("GET", path.format(chat=chat), headers) for chat in chats[:CLIENTS])

    requests = {
        "append": tuple(chatkeep.append(chat) for chat in written),
        "append with an Idempotency-Key": tuple(chatkeep.append(chat, with_key=True) for chat in written),
        f"append of {BATCH} at once": tuple(chatkeep.append_batch(chat, BATCH) for chat in written),
        "append with If-Match": tuple(chatkeep.append(chat, if_match="*") for chat in written),
        "append a branch": tuple(chatkeep.append(chat, parent=1) for chat in branched),
        "open a message in progress": tuple(chatkeep.append(chat, status="in_progress") for chat in opened),
        "append an item (/v1)": tuple(conversations.append(conversation) for conversation in items),
        f"last {LAST} messages": reads(f"/chats/{{chat}}/messages?last={LAST}"),
        f"{LAST} items (/v1)": tuple(conversations.list(conversation) for conversation in listed),
        "a message": reads("/chats/{chat}/messages/3"),
        "a chat": reads("/chats/{chat}"),
        "50 chats": (request("GET", "/chats", headers),),
        "changes": (request("GET", "/changes?limit=50", headers),),
    }
    return {name: partial(Job, service.port, asked, seconds) for name, asked in requests.items()}


def compare(bench: Bench, database: Database, other: Path) -> dict[str, tuple[list[Load], list[Load]]]:
    """The loads of this version and of the other, by what was asked, with the cache of pages and without."""
    loads: dict[str, tuple[list[Load], list[Load]]] = {}
    for cache_bytes in (0, CACHE_BYTES):
        with ExitStack() as stack:
            sides = []
            for repository in (REPOSITORY, other):
                service = ServiceProcess(
                    repository=repository,
                    database_url=bench.new_database(database),
                    log_level="warning",
                    history_cache_bytes=cache_bytes,
                )
                sides.append(jobs(stack.enter_context(service), bench.seconds))
            for name in sides[0]:
                if cache_bytes and not name.startswith((f"last {LAST}", f"{LAST} items")):
                    continue
                measured = bench.measure({"ours": sides[0][name], "other": sides[1][name]})
                loads[f"{name}, cached" if cache_bytes else name] = (measured["ours"], measured["other"])
    return loads


def main(
    other: Annotated[Path, typer.Argument(help="The checkout of the other version.")],
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each comparison.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds that a side is asked in a round.")] = 2.0,
) -> None:
    """Prints this version's rate over the other's: the median of the rounds, and their extremes."""
    console = Console(width=120)
    table = Table("", "database", "this/s", "other/s", "ratio", "from", "to")
    with (
        tempfile.TemporaryDirectory(prefix="chatkeep-bench-") as folder,
        PostgresServer() as postgres,
        generator() as generate,
        console.status("starting") as status,
    ):
        bench = Bench(generate, postgres, Path(folder), rounds, seconds, say=status.update)
        for database in DATABASES:
            for name, (ours, theirs) in compare(bench, database, other.resolve()).items():
                ratios = [a.rate / b.rate for a, b in zip(ours, theirs, strict=True)]
                rates = (f"{median(load.rate for load in side):,.0f}" for side in (ours, theirs))
                ratio = (f"{value:.2f}" for value in (median(ratios), min(ratios), max(ratios)))
                table.add_row(name, database, *rates, *ratio)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
