"""Wake-ups: within a process, between processes, and what makes good for those that are lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from fastapi import FastAPI

from app.db import postgres
from app.db.database import Database
from app.events import postgres as live_postgres
from app.events.log import record
from app.events.postgres import PostgresSignals
from app.events.pubsub import Hub, Silence, address, feed_topic
from app.events.sqlite import SqliteSignals
from app.settings import Settings
from tests.callers import acting, ok, started
from tests.conftest import settings_for
from tests.live.conftest import Person
from tests.live.streams import events
from tests.servers.databases import Databases

ANN, BOB = feed_topic("ann"), ("answer", "bob", "chat", "1")


@pytest.fixture(scope="module")
def on_postgres(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings for what only Postgres does: it tells."""
    url = databases.fresh("postgres")
    yield settings_for(url, tmp_path_factory.mktemp("data"))
    databases.drop(url)


@pytest.fixture(scope="module")
def on_sqlite(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings for what only SQLite does: it is looked at."""
    url = databases.fresh("sqlite")
    yield settings_for(url, tmp_path_factory.mktemp("data"))
    databases.drop(url)


@asynccontextmanager
async def hub_of(settings: Settings) -> AsyncIterator[Hub]:
    """A hub as another process would have it."""
    db = await Database.open(settings)
    hub = Hub(SqliteSignals(db) if db.kind == "sqlite" else PostgresSignals(db), 60)
    yield hub
    await hub.close()
    await db.close()


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    """Waits for something to become true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def test_within_a_process() -> None:
    hub = Hub(Silence(), 60)
    with hub.watch(ANN) as watch, hub.watch(ANN) as another, hub.watch(BOB) as other:
        assert not await watch.wait(0.01)
        hub.changed(["ann"])
        # It is kept until somebody waits, and several are as one.
        hub.wake(ANN)
        assert await watch.wait(0)
        assert not await watch.wait(0.01)
        assert another.take()
        assert not other.take()
        hub.wake(BOB)
        assert await other.wait(0)
        assert not await other.wait(0.01)
        hub.close_streams()
        assert await other.wait(60)
    assert not hub.is_watched
    await hub.close()


async def test_a_look_wakes_those_with_something_new() -> None:
    hub = Hub(Silence(), 0.05)

    async def only_ann(topics: object) -> list[tuple[str, ...]]:
        assert topics == {ANN, feed_topic("cid")}
        return [ANN]

    hub.probe("feed", only_ann)
    with hub.watch(ANN) as watch, hub.watch(feed_topic("cid")) as nothing_new, hub.watch(BOB) as unknown:
        assert await watch.wait(1)
        assert await unknown.wait(1)
        assert not await nothing_new.wait(0.2)
    await hub.close()


async def test_a_look_that_fails_is_not_the_last_one() -> None:
    hub = Hub(Silence(), 0.05)
    tries = 0

    async def fails_once(topics: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError
        return topics

    hub.probe("feed", fails_once)  # type: ignore[arg-type]
    with hub.watch(ANN) as watch:
        assert await watch.wait(2)
    await hub.close()


async def test_between_processes(on_postgres: Settings) -> None:
    async with hub_of(on_postgres) as here, hub_of(on_postgres) as there:
        with here.watch(ANN) as watch, here.watch(BOB) as other:
            await until(lambda: there._signals._listened_until > time.monotonic())  # type: ignore[attr-defined]
            await asyncio.sleep(0.3)
            watch.take()
            other.take()
            there.wake(ANN)
            assert await watch.wait(1)
            assert not other.take()
            # Many at once leave together; too many for one letter wake everybody.
            for number in range(live_postgres.MAX_ADDRESSES + 1):
                there.wake(feed_topic(str(number)))
            assert await watch.wait(1)
            assert await other.wait(1)


async def test_a_look_at_the_file(on_sqlite: Settings) -> None:
    async with hub_of(on_sqlite) as hub, hub_of(on_sqlite):
        db = await Database.open(on_sqlite)
        with hub.watch(ANN) as watch:
            await watch.wait(1)
            assert not await watch.wait(0.3)
            async with db.write() as session:
                await record(session, "ann", ["chat.updated", "chat"])
            assert await watch.wait(0.3)
        await db.close()


async def test_who_listens_again_hears_again(app: FastAPI, settings: Settings, ann: Person) -> None:
    """Nobody is told anything while nobody listens: the next one who does must not miss the first thing."""
    for _ in range(3):
        async with started(settings) as second, events(second, ann.headers) as stream:
            await stream.event()
            began = time.monotonic()
            chat = await ann.chat()
            assert (await stream.event())["chat_id"] == chat
            assert time.monotonic() - began < 0.4


async def test_behind_pgbouncer(on_postgres: Settings, as_user: Callable[[str], dict[str, str]]) -> None:
    """Where nothing wakes, a look every quarter of a second does."""
    settings = on_postgres.model_copy(update={"pgbouncer": True})
    async with started(settings) as here, started(settings) as there, events(here, as_user("ann")) as stream:
        assert isinstance(here.state.services.hub._signals, Silence)
        await stream.event()
        async with acting(there, as_user("ann")) as client:
            chat = ok(await client.post("/chats", json={}))
        began = time.monotonic()
        assert (await stream.event())["chat_id"] == chat["chat_id"]
        assert time.monotonic() - began < 0.6


async def test_nobody_is_told_while_nobody_listens(on_postgres: Settings) -> None:
    async with hub_of(on_postgres) as hub:
        signals = hub._signals
        assert isinstance(signals, PostgresSignals)
        await until(lambda: signals._pid)
        # What one can not know at the beginning is presumed, for a while.
        signals._listened_until = 0
        hub.wake(ANN)
        assert signals._outgoing == set()


async def test_a_broken_connection_is_made_anew(on_postgres: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_postgres, "RETRY_SECONDS", 0.05)
    async with hub_of(on_postgres) as here, hub_of(on_postgres) as there:
        signals = here._signals
        assert isinstance(signals, PostgresSignals)
        with here.watch(ANN) as watch:
            await until(lambda: signals._pid)
            pid = signals._pid
            connection = await asyncpg.connect(postgres.dsn(on_postgres.effective_database_url))
            await connection.execute("SELECT pg_terminate_backend($1)", pid)
            await connection.close()
            await until(lambda: signals._pid != pid)
            # What was told meanwhile is found by a look.
            assert await watch.wait(1)
            await asyncio.sleep(0.3)
            watch.take()
            there.wake(ANN)
            assert await watch.wait(1)


def test_an_address_is_short_and_needs_no_quotes() -> None:
    assert address(ANN) != address(BOB)
    for topic in (ANN, BOB, feed_topic("'; DROP TABLE chats --"), feed_topic("é" * 255)):
        assert len(address(topic)) == 8
        assert address(topic).isalnum()
    assert (live_postgres.MAX_ADDRESSES + 1) * 9 < 8000
