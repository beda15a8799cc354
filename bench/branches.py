"""A branch against a chat of one segment: `python -m bench.branches` reads 10,000 messages over 100 forks, and without.

Both chats are read page by page by one client, in turns, with the cache of pages switched off; what is compared is the
quickest of several rounds. Then the last 50 messages of a chat of 1,000 segments, again beside those of one.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import product
from statistics import median
from typing import Annotated

import httpx2
import typer
from rich.console import Console
from rich.table import Table

from bench.subjects import MESSAGE
from tests.servers.databases import DIALECTS, Databases
from tests.servers.service import ServiceProcess

MESSAGES = 10_000
FORKS = 100
SEGMENTS = 1_000
AT_MOST = 1.3


class Reader:
    """One client of a service, on one connection."""

    def __init__(self, service: ServiceProcess) -> None:
        self._client = httpx2.Client(
            base_url=service.base_url, headers=service.headers("bench"), trust_env=False, timeout=60
        )

    def chat(self) -> str:
        """The path of a new chat."""
        path: str = self._client.post("/chats", json={}).raise_for_status().headers["Location"]
        return path

    def append(self, chat: str, messages: int, parent: str | None = None) -> str:
        """Appends messages, after `parent` if that is given; the id of the last one."""
        said = {"parent": parent} if parent else {}
        answer = self._client.post(f"{chat}/messages", json={"messages": [MESSAGE] * messages, **said})
        last: str = answer.raise_for_status().json()["messages"][-1]["message_id"]
        return last

    def branched(self, forks: int, each: int) -> str:
        """A chat whose active branch has so many forks, with so many messages before and after each."""
        chat = self.chat()
        last = self.append(chat, each)
        for _ in range(forks):
            # Another answer, and then one more instead of it, with which it goes on.
            self.append(chat, 1)
            last = self.append(chat, each, last)
        return chat

    def straight(self, messages: int) -> str:
        """A chat of one segment."""
        chat = self.chat()
        for start in range(0, messages, 1000):
            self.append(chat, min(1000, messages - start))
        return chat

    def walk(self, chat: str, limit: int, order: str = "asc") -> tuple[float, int]:
        """Reads a chat page by page: the seconds that took, and how many messages came."""
        found, query = 0, {"limit": str(limit), "order": order}
        began = time.perf_counter()
        while True:
            page = self._client.get(f"{chat}/messages", params=query)
            # As little as possible of ours: the cursor is at the end.
            found += page.content.count(b'"message_id"')
            cursor = page.headers.get("Link")
            if cursor is None:
                return time.perf_counter() - began, found
            query["cursor"] = httpx2.URL(cursor[1 : cursor.index(">")]).params["cursor"]

    def last(self, chat: str, times: int = 200) -> float:
        """The seconds that the last 50 messages take, at the median."""
        taken = []
        for _ in range(times):
            began = time.perf_counter()
            self._client.get(f"{chat}/messages", params={"last": 50}).raise_for_status()
            taken.append(time.perf_counter() - began)
        return median(taken)


def compared(rounds: int, one: Callable[[], float], other: Callable[[], float]) -> tuple[float, float, float]:
    """The least seconds of each of two, asked in turns, and the median of the ratios of two that were neighbours."""
    firsts, seconds = [], []
    for _ in range(rounds):
        firsts.append(one())
        seconds.append(other())
    ratios = [mine / theirs for mine, theirs in zip(firsts, seconds, strict=True)]
    return min(firsts), min(seconds), median(ratios)


def measure(reader: Reader, dialect: str, rounds: int, table: Table) -> bool:
    """Adds the rows of one database; says whether reading a branch took longer than it should."""

    def row(what: str, times: int, one: Callable[[], float], other: Callable[[], float]) -> float:
        mine, theirs, typical = compared(times, one, other)
        table.add_row(dialect, what, f"{mine:.4f}", f"{theirs:.4f}", f"{mine / theirs:.2f}", f"{typical:.2f}")
        return mine / theirs

    branch, straight = reader.branched(FORKS - 1, MESSAGES // FORKS), reader.straight(MESSAGES)
    worst = 0.0
    for limit, order in product((50, 200), ("asc", "desc")):

        def walked(chat: str, limit: int = limit, order: str = order) -> float:
            seconds, found = reader.walk(chat, limit, order)
            assert found == MESSAGES, found
            return seconds

        what = f"{MESSAGES:,} messages, limit={limit}, {order}"
        worst = max(worst, row(what, rounds, partial(walked, branch), partial(walked, straight)))
    many = reader.branched(SEGMENTS - 1, 2)
    row(f"last=50 of {SEGMENTS:,} segments", 3, lambda: reader.last(many), lambda: reader.last(straight))
    return worst > AT_MOST


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each chat is read.")] = 7,
    only: Annotated[str, typer.Option(help="One database: sqlite or postgres.")] = "",
) -> None:
    """Compares, and ends with 1 where a branch takes more than 1.3 times as long as one segment."""
    table = Table("database", "what", "branch", "one segment", "ratio of the least", "median ratio", title="seconds")
    slow = False
    with Databases() as databases:
        for dialect in [only] if only else DIALECTS:
            url = databases.fresh(dialect)
            with ServiceProcess(database_url=url, history_cache_bytes=0, log_level="warning") as service:
                slow |= measure(Reader(service), dialect, rounds, table)
    Console(width=120).print(table)
    raise typer.Exit(int(slow))


if __name__ == "__main__":
    typer.run(main)
