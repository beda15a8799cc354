"""The rows of the table: each compares two things asked in turn, round by round, by the same 16 clients."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from statistics import median
from typing import Literal

from bench import seed
from bench.load import CLIENTS, Generator, Job, Load
from bench.subjects import Chatkeep, Peer, started
from tests.servers.postgres import PostgresServer
from tests.servers.service import ServiceProcess

Database = Literal["Postgres", "SQLite"]
Jobs = dict[str, Callable[[], Job]]

LONG = 100_000  # messages of the long chat, and chats of the user with many
SHORT = 10
LAST = 50
BATCH = 100
PAGE = 2_000
TURN = 100  # appends to a short chat before the next one takes over
SHORT_CHATS = 100


@dataclass(frozen=True)
class Row:
    """One line of the table: `ratio` is the median of the rounds' ratios; `low` and `high` are the extremes."""

    what: str
    database: str
    ours: str
    other: str
    ratio: float | None = None
    low: float = 0.0
    high: float = 0.0
    at_least: float | None = None
    at_most: float | None = None
    exact: bool | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None for a row without one."""
        if self.ratio is None or (self.at_least is None and self.at_most is None):
            return self.exact
        return (self.at_least or 0) <= self.ratio <= (self.at_most or float("inf"))


@dataclass
class Bench:
    """What the rows share: the generator, the Postgres server, and how long to measure."""

    generator: Generator
    postgres: PostgresServer
    folder: Path
    rounds: int
    seconds: float
    say: Callable[[str], None]
    fastest: Load | None = None
    databases: int = 0

    def new_database(self, database: Database) -> str:
        """The URL of an empty database."""
        self.databases += 1
        name = f"bench{self.databases}"
        return self.postgres.create_database(name) if database == "Postgres" else f"sqlite:///{self.folder / name}.db"

    @contextmanager
    def chatkeep(self, url: str, *, cached: bool = True, workers: int = 1) -> Iterator[ServiceProcess]:
        """The service on a database, as it is by default but for the log: peers write none for each request either."""
        cache = 64 * 1024 * 1024 if cached else 0
        with ServiceProcess(
            database_url=url, workers=workers, log_level="warning", history_cache_bytes=cache
        ) as service:
            yield service

    @contextmanager
    def peer(self, database: Database) -> Iterator[Peer]:
        """The bare endpoint on a database of its own."""
        url = self.new_database(database).removeprefix("sqlite:///")
        with started(database.lower(), url) as port:
            yield Peer(port)

    def measure(self, jobs: Jobs) -> dict[str, list[Load]]:
        """Plays the jobs in turn, A B C A B C …, after a short one of each that does not count."""
        for job in jobs.values():
            warm_up = job()
            self.generator(replace(warm_up, seconds=warm_up.seconds / 3))
        loads: dict[str, list[Load]] = {name: [] for name in jobs}
        for number in range(self.rounds):
            for name, job in jobs.items():
                load = self.generator(job())
                loads[name].append(load)
                self.say(f"round {number + 1} of {self.rounds}, {name}: {_figures([load])}")
                if not self.fastest or load.rate > self.fastest.rate:
                    self.fastest = load
        return loads


def append(bench: Bench, database: Database) -> Iterator[Row]:
    """Appending, each client to a chat of its own, against the bare endpoint."""
    url = bench.new_database(database)
    with bench.chatkeep(url) as service, bench.peer(database) as peer:
        subject = Chatkeep(service)
        ours = [subject.chat(0) for _ in range(CLIENTS)]
        theirs = [peer.chat(0) for _ in range(CLIENTS)]

        def job(port: int, requests: Iterator[bytes], seconds: float = bench.seconds) -> Callable[[], Job]:
            return partial(Job, port, tuple(requests), seconds)

        loads = bench.measure(
            {
                "append": job(subject.port, (subject.append(chat) for chat in ours)),
                "append with an Idempotency-Key": job(
                    subject.port, (subject.append(chat, with_key=True) for chat in ours)
                ),
                f"append of {BATCH} at once": job(
                    subject.port, (subject.append_batch(chat, BATCH) for chat in ours), bench.seconds / 3
                ),
                "bare append": job(peer.port, (peer.append(chat) for chat in theirs)),
            }
        )
    against = "one `INSERT … RETURNING`" if database == "Postgres" else "`UPDATE` + `INSERT`"
    target = 1.2 if database == "Postgres" else 1.7
    bare = loads.pop("bare append")
    for what in ("append", "append with an Idempotency-Key"):
        yield _rates(what, database, loads[what], against, bare, at_least=target)
    batch = f"append of {BATCH} at once"
    yield _rates(f"{batch}, messages/s", database, loads[batch], against, bare, BATCH)


def history(bench: Bench, database: Database) -> Iterator[Row]:
    """The last 50 messages, each client of a chat of its own, against the bare endpoint."""
    url = bench.new_database(database)
    with bench.chatkeep(url, cached=False) as service, bench.chatkeep(url) as cached, bench.peer(database) as peer:
        subject = Chatkeep(service)
        ours = tuple(subject.last(subject.chat(LAST + SHORT), LAST) for _ in range(CLIENTS))
        theirs = tuple(peer.last(peer.chat(LAST + SHORT), LAST) for _ in range(CLIENTS))
        loads = bench.measure(
            {
                "from the database": partial(Job, service.port, ours, bench.seconds),
                "from the cache": partial(Job, cached.port, ours, bench.seconds),
                "bare read": partial(Job, peer.port, theirs, bench.seconds),
            }
        )
    for what, target in (("from the database", 0.8), ("from the cache", 1.2)):
        at_least = target if database == "Postgres" else None
        figures = (loads[what], "one `SELECT`", loads["bare read"])
        yield _rates(f"last {LAST}, {what}", database, *figures, at_least=at_least)


def flat(bench: Bench, database: Database) -> Iterator[Row]:
    """The same in a chat of 100,000 messages as in one of 10, all clients in that one chat."""
    url = bench.new_database(database)
    seconds = bench.seconds / 3
    with bench.chatkeep(url, cached=False) as service, bench.chatkeep(url) as cached:
        subject = Chatkeep(service)
        long, short = subject.chat(LONG), subject.chat(SHORT)
        as_long_an_answer = subject.chat(LAST)

        def append_to_short() -> Job:
            requests = tuple(subject.append(subject.chat(SHORT)) for _ in range(SHORT_CHATS))
            return Job(service.port, requests, seconds, turn=TURN)

        def read(chat: str, port: int = service.port) -> Callable[[], Job]:
            return partial(Job, port, (subject.last(chat, LAST),), seconds)

        loads = bench.measure(
            {
                "append, long chat": partial(Job, service.port, (subject.append(long),), seconds),
                "append, short chat": append_to_short,
                "read, long chat": read(long),
                "read, equal answer": read(as_long_an_answer),
                "read, short chat": read(short),
                "cached read, long chat": read(long, cached.port),
                "cached read, short chat": read(short, cached.port),
            }
        )
    for what, job, other, size, at_most in (
        ("append", "append", "short chat", SHORT, 1.15),
        (f"last {LAST}, from the cache", "cached read", "short chat", SHORT, 1.15),
        (f"last {LAST}, from the database", "read", "equal answer", LAST, 1.15),
        (f"last {LAST}, from the database", "read", "short chat", SHORT, None),  # an answer of a fifth of the size
    ):
        ours, theirs = loads[f"{job}, long chat"], loads[f"{job}, {other}"]
        yield _latencies(f"{what}: chat of {LONG:,}", database, ours, f"chat of {size}", theirs, at_most)


def pages(bench: Bench, database: Database) -> Iterator[Row]:
    """The 2,000th page of each list against its first."""
    url = bench.new_database(database)
    with bench.chatkeep(url, cached=False) as service:
        subject = Chatkeep(service)
        seed.copy_chat(url, subject.chat(0), LONG)
        chat = subject.chat(LONG)
        lists = {"chats": "/chats", "messages": f"/chats/{chat}/messages"}
        requests = {(name, number): subject.page(path, number) for name, path in lists.items() for number in (1, PAGE)}
        loads = bench.measure(
            {
                f"{name}, page {number}": partial(Job, service.port, (request,), bench.seconds / 3)
                for (name, number), request in requests.items()
            }
        )
    for name in lists:
        far, first = loads[f"{name}, page {PAGE}"], loads[f"{name}, page 1"]
        yield _latencies(f"list of {name}: page {PAGE:,}", database, far, "page 1", first, 1.2)


def workers(bench: Bench, database: Database) -> Iterator[Row]:
    """16 clients write one chat through 4 processes: seq 1…n, no gap, no duplicate, nothing acknowledged missing."""
    with bench.chatkeep(bench.new_database(database), workers=4) as service:
        subject = Chatkeep(service)
        chat = subject.chat(0)
        job = Job(service.port, (subject.append(chat),), bench.seconds)
        answers = bench.generator(replace(job, seconds=bench.seconds / 3)).answers  # each process warms up
        load = bench.generator(job)
        answers += load.answers
        messages = list(subject.messages(chat))
    seqs = [message["seq"] for message in messages]
    exact = seqs == list(range(1, answers + 1)) and len({m["message_id"] for m in messages}) == answers
    yield Row(
        "one chat, 4 processes",
        database,
        _figures([load]),
        f"seq 1…{len(seqs):,} for {answers:,} answers",
        exact=exact,
    )


def generator(bench: Bench) -> Iterator[Row]:
    """The generator against a server that does nothing: how far it is from being the limit."""
    assert bench.fastest
    with started("responder", bench.fastest.answer_bytes) as port:
        job = Job(port, (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",), bench.seconds / 3)
        own = [bench.generator(job) for _ in range(bench.rounds)]
    fastest = f"the fastest above, {bench.fastest.answer_bytes:,} bytes"
    yield _rates("the generator alone", "–", own, fastest, [bench.fastest] * bench.rounds, at_least=3.0)


class Section(StrEnum):
    """A part of the bench."""

    APPEND = "append"
    HISTORY = "history"
    FLAT = "flat"
    PAGES = "pages"
    WORKERS = "workers"


SECTIONS: dict[Section, Callable[[Bench, Database], Iterator[Row]]] = {
    Section.APPEND: append,
    Section.HISTORY: history,
    Section.FLAT: flat,
    Section.PAGES: pages,
    Section.WORKERS: workers,
}


def _rates(
    what: str,
    database: str,
    ours: list[Load],
    against: str,
    other: list[Load],
    times: int = 1,
    *,
    at_least: float | None = None,
) -> Row:
    """A row of rates, each of our answers counting `times`."""
    ratios = [times * a.rate / b.rate for a, b in zip(ours, other, strict=True)]
    figures = (_figures(ours, times), f"{against}: {_figures(other)}")
    return Row(what, database, *figures, median(ratios), min(ratios), max(ratios), at_least=at_least)


def _latencies(
    what: str, database: str, ours: list[Load], against: str, other: list[Load], at_most: float | None
) -> Row:
    """A row of median latencies."""
    ratios = [a.p50 / b.p50 for a, b in zip(ours, other, strict=True)]
    figures = (_figures(ours), f"{against}: {_figures(other)}")
    return Row(what, database, *figures, median(ratios), min(ratios), max(ratios), at_most=at_most)


def _figures(loads: list[Load], times: int = 1) -> str:
    rate, p50 = median(load.rate for load in loads), median(load.p50 for load in loads)
    return f"{rate * times:,.0f}/s, p50 {p50 * 1000:.2f} ms"
