"""No thread of a connection outlives the event loop: not of one that is being opened, nor of one that cannot be."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from app.db.database import Database
from app.db.sqlite import Connections, connect
from app.settings import Settings
from tests.conftest import settings_for
from tests.profiles import count

Work = Callable[[Database], Awaitable[None]]


def run(settings: Settings, work: Work) -> None:
    """Opens a database, works on it and closes it, on an event loop that ends at once. No thread may be left."""
    before = set(threading.enumerate())

    async def main() -> None:
        db = await Database.open(settings)
        try:
            await work(db)
        finally:
            await db.close()

    asyncio.run(main())
    left = set(threading.enumerate()) - before
    for thread in left:
        # It has told the loop what it did, and has nothing left to do: what it raised would be this test's failure.
        thread.join(10)
    assert not any(thread.is_alive() for thread in left)


async def by_the_driver(db: Database) -> None:
    """Opens a connection by the driver."""
    await db.driver.fetch("SELECT 1")


async def by_the_engine(db: Database) -> None:
    """Opens one by SQLAlchemy."""
    async with db.read() as session:
        await session.execute(text("SELECT 1"))


@pytest.mark.parametrize("opening", [by_the_driver, by_the_engine])
def test_whoever_is_cancelled_while_a_connection_is_opened(tmp_path: Path, opening: Work) -> None:
    # After so many steps of the loop, wherever that is.
    for steps in range(12):

        async def work(db: Database, steps: int = steps) -> None:
            task = asyncio.ensure_future(opening(db))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

        run(settings_for(f"sqlite:///{tmp_path}/it.db", tmp_path), work)


@pytest.mark.parametrize("opening", [by_the_driver, by_the_engine])
def test_whoever_finds_no_database(tmp_path: Path, opening: Work) -> None:
    (tmp_path / "it.db").mkdir()

    async def work(db: Database) -> None:
        with pytest.raises(Exception, match="unable to open database file"):
            await opening(db)

    run(settings_for(f"sqlite:///{tmp_path}/it.db", tmp_path), work)


async def test_a_connection_that_nobody_waits_for_is_closed(tmp_path: Path) -> None:
    connections = Connections(tmp_path / "it.db")
    task = asyncio.create_task(connections.open())
    await asyncio.sleep(0)
    # Twice: whoever asked, and then whoever ends everything.
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await connections.close()
    kept = await connections.open("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError):
        await kept.execute("CREATE TABLE t (x)")
    await connections.close()
    with pytest.raises(ValueError, match="no active connection"):
        await kept.execute("SELECT 1")


@pytest.mark.more_with_all
def test_many_who_open_a_new_file_at_once(tmp_path: Path) -> None:
    def open_and_read(path: Path) -> None:
        barrier.wait(30)
        with contextlib.closing(connect(path)) as connection:
            connection.execute("SELECT * FROM sqlite_schema")

    barrier = threading.Barrier(6)
    with ThreadPoolExecutor(6) as threads:
        for number in range(count(fast=60, all=600)):
            path = tmp_path / f"{number}.db"
            for opened in [threads.submit(open_and_read, path) for _ in range(6)]:
                opened.result(30)
