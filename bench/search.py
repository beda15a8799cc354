"""The search at a million messages: `python -m bench.search`.

Fills a database with messages of a hundred users (`bench.million`) and indexes them; then asks a service through HTTP
for words that are rare and words that are common, for two words, phrases, beginnings and alternatives, and beside it
the database itself for what `ILIKE '%word%'` (`LIKE` on SQLite, which takes no notice of case either) finds among the
messages of the same user, and among those of all. The words, and the users, differ from one request to the next.

`--part pairs` appends and searches for what was appended, through four processes; `--part appends` compares the rates
of appends with the search on and off, those with it on counted until all is indexed.
"""

import asyncio
import http.client
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Annotated, Any, Self
from urllib.parse import urlencode

import asyncpg
import httpx2
import typer
from rich.console import Console
from rich.table import Table

from bench.load import Job, generator
from bench.million import Million, fill, index, wait_for_index
from bench.subjects import Chatkeep
from tests.servers.postgres import PostgresServer
from tests.servers.service import ServiceProcess

CLIENTS = 16
TIMES = 200
TIMES_OF_ALL = 5
# Milliseconds, and how many times faster than a look at every row.
TARGETS = {"Postgres": {"rare": 3.0, "common": 10.0}, "SQLite": {"rare": 10.0, "common": 10.0}}
FASTER = {"Postgres": 20.0, "SQLite": 10.0}
APPENDS_AT_LEAST = 0.75


class Part(StrEnum):
    """What to measure."""

    searches = "searches"
    pairs = "pairs"
    appends = "appends"


@dataclass(frozen=True)
class SearchCase:
    """A search of one user, and the words that a look at every row would look for; all of them, one after the other."""

    user: str
    q: str
    like: str


@contextmanager
def _postgres() -> Iterator[PostgresServer]:
    server = PostgresServer(fsync=True)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _urls(postgres: PostgresServer, folder: Path, name: str, only: str | None) -> Iterator[tuple[str, str]]:
    """A new database of each kind."""
    if only != "SQLite":
        yield "Postgres", postgres.create_database(name)
    if only != "Postgres":
        yield "SQLite", f"sqlite:///{folder / name}.db"


class RowScan:
    """The database itself, for what the search is compared with."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        if self._url.startswith("sqlite"):
            self._file = sqlite3.connect(self._url.removeprefix("sqlite:///"))
            self._file.execute("PRAGMA cache_size = -32000")
        else:
            self._connection = self._loop.run_until_complete(asyncpg.connect(self._url))
        return self

    def __exit__(self, *_: object) -> None:
        if self._url.startswith("sqlite"):
            self._file.close()
        else:
            self._loop.run_until_complete(self._connection.close())
        self._loop.close()

    def query(self, sql: str, *arguments: Any) -> Sequence[Any]:
        """Rows, of SQL with `$1` …"""
        if self._url.startswith("sqlite"):
            return self._file.execute(sql.replace("$", "?").replace("ILIKE", "LIKE"), arguments).fetchall()
        rows: Sequence[Any] = self._loop.run_until_complete(self._connection.fetch(sql, *arguments))
        return rows

    def scan_user(self, case: SearchCase) -> Sequence[Any]:
        """The newest of a user's messages that a look at every one finds."""
        return self.query(
            "SELECT chat_id, seq, text FROM messages WHERE user_id = $1 AND text ILIKE $2 "
            "ORDER BY created_at DESC LIMIT 50",
            case.user,
            f"%{case.like}%",
        )

    def scan_all(self, case: SearchCase) -> Sequence[Any]:
        """The same among the messages of everybody."""
        return self.query(
            "SELECT chat_id, seq, text FROM messages WHERE text ILIKE $1 ORDER BY created_at DESC LIMIT 50",
            f"%{case.like}%",
        )


class Client:
    """One client on one connection, as light as the standard library has it."""

    def __init__(self, service: ServiceProcess) -> None:
        self._service = service
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port)

    def search(self, order: str, case: SearchCase) -> bytes:
        """An answer's body."""
        path = f"/search?{urlencode({'q': case.q, 'order': order})}"
        self._connection.request("GET", path, headers=self._service.headers(case.user))
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} {body!r}")
        return body


def _search_cases(million: Million, rows: RowScan, random: Random) -> dict[str, list[SearchCase]]:
    """What is asked, by kind: twenty users each."""
    kinds: dict[str, list[SearchCase]] = {}

    def ask(kind: str, user: str, q: str, like: str) -> None:
        kinds.setdefault(kind, []).append(SearchCase(user, q, like))

    for user in random.sample(million.users, min(20, len(million.users))):
        rare = [word.text for word in million.rare[user]]
        common = [word.text for word in million.common[user]]
        for word in rare[:5]:
            ask("rare", user, word, word)
        for word in common[:3]:
            ask("common", user, word, word)
        ask("two common words", user, f"{common[0]} {common[1]}", f"{common[0]}%{common[1]}")
        ask("a rare and a common word", user, f"{rare[0]} {common[0]}", f"{rare[0]}%{common[0]}")
        text = rows.query("SELECT text FROM messages WHERE user_id = $1 AND length(text) > 100 LIMIT 1", user)[0][0]
        first, second = text.split()[2:4]
        ask("a phrase", user, f'"{first} {second}"', f"{first} {second}")
        ask("the beginning of a word", user, f"{rare[0][:4]}*", rare[0][:4])
        ask("one of two rare words", user, f"{rare[0]} OR {rare[-1]}", rare[0])
    return kinds


def _milliseconds(ask: Callable[[SearchCase], object], cases: list[SearchCase], times: int) -> list[float]:
    """Milliseconds, sorted. The first of each kind is not counted."""
    ask(cases[0])
    milliseconds = []
    for number in range(times):
        began = time.perf_counter()
        ask(cases[number % len(cases)])
        milliseconds.append((time.perf_counter() - began) * 1000)
    return sorted(milliseconds)


def _searches(database: str, url: str, messages: int, users: int, console: Console) -> list[Sequence[str]]:
    with console.status(f"{database}: filling") as status:
        million = fill(url, messages, users, say=lambda said: status.update(f"{database}: {said}"))
        status.update(f"{database}: indexing")
        seconds = index(url)
    console.print(
        f"{database}: {million.messages:,} messages filled in {million.seconds:.0f} s, indexed in {seconds:.0f} s: "
        f"{seconds / million.messages * 1e6:.0f} µs each",
        highlight=False,
    )
    table: list[Sequence[str]] = []
    with RowScan(url) as rows, ServiceProcess(database_url=url, log_level="warning") as service:
        if database == "Postgres":
            rows.query("VACUUM ANALYZE")
        client = Client(service)
        for kind, cases in _search_cases(million, rows, Random(1)).items():
            by_user = median(_milliseconds(rows.scan_user, cases, 2 * len(cases)))
            by_all = median(_milliseconds(rows.scan_all, cases, TIMES_OF_ALL))
            for order in ("best", "newest"):
                milliseconds = _milliseconds(partial(client.search, order), cases, TIMES)
                p50, p95 = median(milliseconds), quantiles(milliseconds, n=20)[-1]
                target = TARGETS[database].get(kind)
                met = "" if target is None else "yes" if p50 <= target and by_all / p50 >= FASTER[database] else "no"
                table.append(
                    (
                        f"{kind}, {order} first",
                        database,
                        f"{p50:.2f} ms",
                        f"{p95:.2f} ms",
                        f"{by_user:.1f} ms, {by_user / p50:.1f}×",
                        f"{by_all:.0f} ms, {by_all / p50:.0f}×",
                        "" if target is None else f"≤ {target:g} ms, ≥ {FASTER[database]:g}×",
                        met,
                    )
                )
    return table


def _pairs(database: str, url: str, count: int, console: Console) -> bool:
    """Appends and then searches for it at once, each by another process: how many were missed."""

    async def play(service: ServiceProcess) -> list[int]:
        missed: list[int] = []
        async with httpx2.AsyncClient(
            base_url=service.base_url, headers=service.headers("bench"), trust_env=False, timeout=30
        ) as client:
            chats = [(await client.post("/chats", json={})).json()["chat_id"] for _ in range(8)]

            async def play_some(start: int) -> None:
                for number in range(start, count, len(chats)):
                    # Without keep-alive any process may answer.
                    close = {"Connection": "close"}
                    message = {"role": "user", "content": f"the number is n{number}x"}
                    path = f"/chats/{chats[start]}/messages"
                    seq = (await client.post(path, json=message, headers=close)).raise_for_status().json()["seq"]
                    answer = await client.get("/search", params={"q": f"n{number}x"}, headers=close)
                    hits = [(hit["chat_id"], hit["seq"]) for hit in answer.raise_for_status().json()["items"]]
                    if hits != [(chats[start], seq)]:
                        missed.append(number)

            await asyncio.gather(*map(play_some, range(len(chats))))
        return missed

    with ServiceProcess(database_url=url, workers=4, log_level="warning") as service:
        began = time.perf_counter()
        missed = asyncio.run(play(service))
    pair = (time.perf_counter() - began) / count * 1000
    console.print(
        f"{database}: {count:,} pairs of append and search through 4 processes, 8 at once: {len(missed)} missed, "
        f"{pair:.1f} ms a pair",
        highlight=False,
    )
    return not missed


def _appends(database: str, urls: tuple[str, str], rounds: int, seconds: float, console: Console) -> Sequence[str]:
    """Appends by 16 clients, each to a chat of its own, with the search on and off in turn."""
    ratios: list[float] = []
    rates: dict[bool, list[float]] = {True: [], False: []}
    with generator() as play:
        for number in range(rounds + 1):
            for search_on, url in zip((True, False), urls, strict=True):
                with ServiceProcess(database_url=url, log_level="warning", search=str(search_on).lower()) as service:
                    subject = Chatkeep(service)
                    requests = tuple(subject.append(subject.chat(0)) for _ in range(CLIENTS))
                    load = play(Job(service.port, requests, seconds if number else seconds / 3))
                    behind = wait_for_index(url) if search_on else 0.0
                if number:
                    rates[search_on].append(load.answers / (seconds + behind))
            if number:
                ratios.append(rates[True][-1] / rates[False][-1])
                console.print(
                    f"{database}, round {number}: {rates[True][-1]:.0f}/s with, {rates[False][-1]:.0f}/s without",
                    highlight=False,
                )
    ratio = median(ratios)
    return (
        "appends, search on",
        database,
        f"{median(rates[True]):.0f}/s",
        f"{median(rates[False]):.0f}/s",
        f"{ratio:.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
        f"≥ {APPENDS_AT_LEAST}",
        "yes" if ratio >= APPENDS_AT_LEAST else "no",
    )


def main(
    part: Annotated[list[Part], typer.Option(help="What to measure.")] = [*Part],  # noqa: B006
    messages: Annotated[int, typer.Option(min=1000)] = 1_000_000,
    users: Annotated[int, typer.Option(min=1)] = 100,
    database: Annotated[str | None, typer.Option(help="Only `Postgres` or `SQLite`.")] = None,
    pairs: Annotated[int, typer.Option(min=1)] = 1000,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    seconds: Annotated[float, typer.Option(min=1)] = 6,
) -> None:
    """Measures, prints tables, and ends with 1 if a search missed what was appended before it."""
    console = Console()
    complete = True
    with _postgres() as postgres, tempfile.TemporaryDirectory(prefix="chatkeep-bench-") as temporary:
        folder = Path(temporary)
        if Part.pairs in part:
            for name, url in _urls(postgres, folder, "pairs", database):
                complete &= _pairs(name, url, pairs, console)
        if Part.appends in part:
            table = Table("what", "database", "with search", "without", "ratio", "target", "met")
            without = dict(_urls(postgres, folder, "without", database))
            for name, url in _urls(postgres, folder, "searched", database):
                table.add_row(*_appends(name, (url, without[name]), rounds, seconds, console))
            console.print(table)
        if Part.searches in part:
            table = Table("search", "database", "p50", "p95", "LIKE, user's rows", "LIKE, all rows", "target", "met")
            for name, url in _urls(postgres, folder, "million", database):
                for row in _searches(name, url, messages, users, console):
                    table.add_row(*row)
            console.print(table)
    raise typer.Exit(int(not complete))


if __name__ == "__main__":
    typer.run(main)
