"""The OpenAI Conversations API beside Chatkeep's own, and beside another server of it: `python -m bench.facade`.

16 clients append one item to a conversation, and list 50 items of one; the same of the same service in its own API,
with the cache of pages and without; and, with `--ogx PATH`, of OGX's server (PyPI `ogx`, which needs Python 3.12 or
newer, in an environment of its own: PATH is the command `ogx` there), on a database of the same kind.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx2
import orjson
import typer
from rich.console import Console
from rich.table import Table

from bench.load import CLIENTS, Job, Load, generator, request
from bench.rows import Bench, Database
from bench.subjects import MESSAGE, Chatkeep, wait_until_it_answers
from tests.servers.postgres import PostgresServer, free_port

ITEMS = 50
TURN = 100  # appends to a conversation before the next one takes over
CONVERSATIONS = 150
ITEM = {"type": "message", **MESSAGE}
BATCH = 20
# Of the rate of the own API, and how many times that of OGX.
AT_LEAST, TIMES_OGX = 0.6, 8.0
_TABLES = ("inference", "conversations", "prompts", "connectors")


class Conversations:
    """A server of the Conversations API."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self.port = port
        self._headers = headers
        self._client = httpx2.Client(
            base_url=f"http://127.0.0.1:{port}/v1", headers=headers, trust_env=False, timeout=30
        )

    def conversation(self, items: int) -> str:
        """The id of a new conversation of so many items."""
        made: str = self._ask("/conversations", {})["id"]
        for start in range(0, items, BATCH):
            self._ask(f"/conversations/{made}/items", {"items": [ITEM] * min(BATCH, items - start)})
        return made

    def append(self, conversation: str) -> bytes:
        """The request that appends one item."""
        return request("POST", f"/v1/conversations/{conversation}/items", self._headers, {"items": [ITEM]})

    def list(self, conversation: str) -> bytes:
        """The request for the newest 50 items."""
        return request("GET", f"/v1/conversations/{conversation}/items?limit={ITEMS}", self._headers)

    def _ask(self, path: str, body: Any) -> Any:
        return self._client.post(path, json=body).raise_for_status().json()


@contextmanager
def ogx(command: Path, url: str, folder: Path) -> Iterator[Conversations]:
    """OGX's server with nothing but conversations, on a database."""
    port, config = free_port(), folder / "ogx.json"
    config.write_bytes(orjson.dumps(_configuration(url, folder, port)))
    environment = os.environ | {"HOME": str(folder), "OGX_LOGGING": "all=error"}
    with (
        (folder / "ogx.log").open("ab") as log,
        subprocess.Popen([command, "run", "--insecure", config], env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            wait_until_it_answers(process, port, "/v1/health")
            yield Conversations(port, {})
        finally:
            process.kill()


def _configuration(url: str, folder: Path, port: int) -> dict[str, Any]:
    """A configuration of OGX's, in JSON, which is YAML. What it keeps beside conversations is in a file of its own."""
    backend: dict[str, Any] = {"type": "sql_sqlite", "db_path": url.removeprefix("sqlite:///")}
    if not url.startswith("sqlite"):
        parts = urlsplit(url)
        backend = {
            "type": "sql_postgres",
            "host": parts.hostname,
            "port": parts.port,
            "db": parts.path[1:],
            "user": parts.username,
            "password": parts.password or "none",
        }
    return {
        "version": 2,
        "distro_name": "conversations",
        "apis": ["conversations"],
        "providers": {},
        "storage": {
            "backends": {"kv": {"type": "kv_sqlite", "db_path": str(folder / "ogx-kv.db")}, "sql": backend},
            "stores": {
                "metadata": {"namespace": "registry", "backend": "kv"},
                **{name: {"table_name": name, "backend": "sql"} for name in _TABLES},
            },
        },
        "registered_resources": {"models": [], "vector_stores": []},
        "server": {"port": port},
        "connectors": [],
    }


def _jobs(server: Conversations, seconds: float) -> dict[str, Any]:
    appends = tuple(server.append(server.conversation(0)) for _ in range(CONVERSATIONS))
    lists = tuple(server.list(server.conversation(ITEMS)) for _ in range(CLIENTS))
    return {
        "append": partial(Job, server.port, appends, seconds, turn=TURN),
        "list": partial(Job, server.port, lists, seconds),
    }


def measured(bench: Bench, database: Database, command: Path | None) -> dict[str, list[Load]]:
    """The loads of each kind of request, by name, played in turn."""
    url = bench.new_database(database)
    with bench.chatkeep(url) as service, bench.chatkeep(url, cached=False) as uncached:
        own = Chatkeep(service)
        facade = Conversations(service.port, service.headers("bench"))
        appends = tuple(own.append(own.chat(0)) for _ in range(CONVERSATIONS))
        chats = [own.chat(ITEMS) for _ in range(CLIENTS)]
        lists = tuple(own.last(chat, ITEMS) for chat in chats)
        ours = _jobs(facade, bench.seconds)
        jobs = {
            "append, own API": partial(Job, service.port, appends, bench.seconds, turn=TURN),
            "append, /v1": ours["append"],
            "list, own API": partial(Job, service.port, lists, bench.seconds),
            "list, /v1": ours["list"],
            "list, own API, not cached": partial(Job, uncached.port, lists, bench.seconds),
            "list, /v1, not cached": partial(Job, uncached.port, ours["list"]().requests, bench.seconds),
        }
        if command is None:
            return bench.measure(jobs)
        folder = Path(tempfile.mkdtemp(dir=bench.folder))
        with ogx(command, bench.new_database(database), folder) as peer:
            theirs = _jobs(peer, bench.seconds)
            return bench.measure(jobs | {f"{what}, OGX": job for what, job in theirs.items()})


def show(found: dict[str, list[Load]], database: str, console: Console) -> None:
    """Prints the rates, and what each is of the other."""
    table = Table(title=f"Items on {database}, requests a second")
    for column in ("", "/v1", "against", "ratio (rounds)", "target"):
        table.add_column(column)

    def row(ours: str, theirs: str, target: float) -> None:
        if theirs not in found:
            return
        ratios = [one.rate / other.rate for one, other in zip(found[ours], found[theirs], strict=True)]
        rates = (f"{median(load.rate for load in found[name]):,.0f}" for name in (ours, theirs))
        spread = f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        table.add_row(theirs, *rates, spread, f"{target} {'met' if median(ratios) >= target else 'missed'}")

    row("append, /v1", "append, own API", AT_LEAST)
    row("list, /v1", "list, own API", AT_LEAST)
    row("list, /v1, not cached", "list, own API, not cached", AT_LEAST)
    row("append, /v1", "append, OGX", TIMES_OGX)
    row("list, /v1", "list, OGX", TIMES_OGX)
    row("list, /v1, not cached", "list, OGX", TIMES_OGX)
    console.print(table)


def main(
    command: Annotated[Path | None, typer.Option("--ogx", help="The command `ogx` to compare with.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds that each is asked in a round.")] = 3.0,
) -> None:
    """Compares the two APIs, and OGX if it is there."""
    console = Console()
    databases: tuple[Database, ...] = ("Postgres", "SQLite")
    with (
        tempfile.TemporaryDirectory(prefix="chatkeep-bench-") as folder,
        PostgresServer() as postgres,
        generator() as generate,
        console.status("starting") as status,
    ):
        bench = Bench(generate, postgres, Path(folder), rounds, seconds, say=status.update)
        for database in databases:
            show(measured(bench, database, command), database, console)


if __name__ == "__main__":
    typer.run(main)
