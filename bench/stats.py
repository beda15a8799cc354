"""Statistics at a million messages: `python -m bench.stats` asks a service for them, beside a bare `SELECT count(*)`.

The database is that of `bench.million`. One client on one connection asks in turns for the totals of a user and of all,
for a year day by day, and for the most active users; then changes that are not added up yet are, in batches as they
come when a few and when many users write.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Annotated, Any

import asyncpg
import httpx2
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert, update
from sqlmodel import col

from app.db.database import Database
from app.events.counter_deltas import MessageCounts, MessagesDelta, bucket_of
from app.events.events import MessagesAppended
from app.models import Change, Chat, Feed
from app.settings import Settings
from app.stats.counters import Counters
from bench.million import fill
from tests.servers.databases import DIALECTS, Databases
from tests.servers.service import ServiceProcess

MESSAGES = 1_000_000
CHANGES = 20_000
# Milliseconds at the median that a user's totals, and those of all, may take.
TARGETS = {"/stats of a user": 5.0, "/stats over all users": 50.0}


def count_milliseconds(url: str, times: int = 5) -> list[float]:
    """The milliseconds that the database takes to count the messages."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        count_rows = "SELECT count(*) FROM messages"
        milliseconds = [time_milliseconds(lambda: connection.execute(count_rows).fetchone()) for _ in range(times)]
        connection.close()
        return milliseconds

    async def count() -> list[float]:
        postgres = await asyncpg.connect(url)
        found = []
        for _ in range(times):
            began = time.perf_counter()
            await postgres.fetchval("SELECT count(*) FROM messages")
            found.append((time.perf_counter() - began) * 1000)
        await postgres.close()
        return found

    return asyncio.run(count())


def time_milliseconds(work: Callable[[], Any]) -> float:
    """The milliseconds that something takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def request_milliseconds(service: ServiceProcess, users: Sequence[str], times: int) -> dict[str, list[float]]:
    """The milliseconds of each answer, by what was asked."""
    year = {"from": "2025-11-22", "to": "2026-11-21", "tz": "Europe/Berlin"}
    whole = {"all_users": "true"}
    results: dict[str, list[float]] = {}
    with httpx2.Client(base_url=service.base_url, headers=service.headers(), trust_env=False, timeout=60) as client:

        def ask(what: str, path: str, params: dict[str, str]) -> None:
            milliseconds = time_milliseconds(lambda: client.get(path, params=params).raise_for_status())
            results.setdefault(what, []).append(milliseconds)

        for number in range(times):
            mine = {"user_id": users[number % len(users)]}
            ask("/healthz, which asks nothing", "/healthz", {})
            ask("/stats of a user", "/stats", mine)
            ask("/stats over all users", "/stats", whole)
            ask("/stats/top", "/stats/top", {})
            ask("a year of a user by day", "/stats/daily", year | mine)
            if number % 10 == 0:
                ask("a year of all users by day", "/stats/daily", year | whole)
                ask("a month of a user by hour", "/stats/daily", {"by": "hour", **mine})
            if number % 50 == 0:
                ask("/stats/storage", "/stats/storage", {})
    return results


async def aggregate_microseconds(url: str, users: Sequence[str]) -> dict[int, float]:
    """The microseconds per change to add changes up, by how many users they are of."""
    db = await Database.open(Settings.model_validate({"database_url": url}))
    found = {}
    for count in (1, len(users)):
        for user_id in users[:count]:
            await _write(db, user_id, CHANGES // count)
        began = time.perf_counter()
        await Counters(db).aggregate(users[:count])
        found[count] = (time.perf_counter() - began) / CHANGES * 1e6
    await db.close()
    return found


async def _write(db: Database, user_id: str, count: int) -> None:
    """What so many appends of one message leave in the feed."""
    at = datetime.now(UTC)
    async with db.write() as session:
        own = col(Feed.user_id) == user_id
        counter = update(Feed).where(own).values(position=col(Feed.position) + count).returning(col(Feed.position))
        last = (await session.execute(counter)).scalar_one()
        chat = await session.execute(Chat.__table__.select().where(col(Chat.user_id) == user_id).limit(1))  # type: ignore[attr-defined]
        chat_id = chat.one().chat_id
        deltas = [MessagesDelta("web", [MessageCounts(bucket_of(at), "user", "gpt-5", 1, 10, 10, 20)]).to_json()]
        rows = [
            {
                "user_id": user_id,
                "position": position,
                "at": at,
                "events": [MessagesAppended(chat_id, position, 1).to_json()],
                "deltas": deltas,
            }
            for position in range(last - count + 1, last + 1)
        ]
        await session.execute(insert(Change), rows)


def main(
    messages: Annotated[int, typer.Option(min=1000, help="How many messages there are.")] = MESSAGES,
    times: Annotated[int, typer.Option(min=10, help="How often each is asked.")] = 300,
    only: Annotated[str, typer.Option(help="One database: sqlite or postgres.")] = "",
) -> None:
    """Measures, and ends with 1 where the totals take longer than they should: 5 ms of a user, 50 ms over all."""
    table = Table("database", "what", "p50 ms", "p95 ms", title=f"{messages:,} messages of 100 users")
    slow = False
    with Databases() as databases:
        for dialect in [only] if only else DIALECTS:
            url = databases.fresh(dialect)
            million = fill(url, messages)
            # Without the search, whose index would be built meanwhile.
            with ServiceProcess(database_url=url, search="false", log_level="warning") as service:
                results = request_milliseconds(service, million.users, times)
            results["SELECT count(*) FROM messages"] = count_milliseconds(url)
            for what, milliseconds in results.items():
                p95 = sorted(milliseconds)[int(0.95 * len(milliseconds))]
                table.add_row(dialect, what, f"{median(milliseconds):.2f}", f"{p95:.2f}")
                slow |= median(milliseconds) > TARGETS.get(what, float("inf"))
            for users, microseconds in asyncio.run(aggregate_microseconds(url, million.users)).items():
                table.add_row(dialect, f"adding up a change, of {users} users: {microseconds:.0f} µs", "", "")
            databases.drop(url)
    Console(width=120).print(table)
    raise typer.Exit(int(slow))


if __name__ == "__main__":
    typer.run(main)
