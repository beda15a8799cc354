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
from app.events import postgres as postgres_notifier
from app.events.events import ChatUpdated
from app.events.log import append_events
from app.events.postgres import PostgresNotifier
from app.events.pubsub import FALLBACK_POLL_SECONDS, POLL_SECONDS, NullNotifier, PubSub, address, feed_topic
from app.events.sqlite import SqliteNotifier
from app.settings import Settings
from tests.callers import acting, ok, started
from tests.conftest import settings_for
from tests.people import Person
from tests.servers.databases import Databases
from tests.streams import events

ANN, BOB = feed_topic("ann"), ("text", "bob", "chat", "1")


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
async def pubsub_of(settings: Settings) -> AsyncIterator[PubSub]:
    """A hub as another process would have it."""
    db = await Database.open(settings)
    pubsub = PubSub(SqliteNotifier(db) if db.kind == "sqlite" else PostgresNotifier(db), 60)
    yield pubsub
    await pubsub.close()
    await db.close()


async def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Waits for something to become true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def test_within_a_process() -> None:
    pubsub = PubSub(NullNotifier(), 60)
    with pubsub.subscribe(ANN) as subscription, pubsub.subscribe(ANN) as another, pubsub.subscribe(BOB) as other:
        assert not await subscription.wait(0.01)
        pubsub.publish_changes(["ann"])
        # It is kept until somebody waits, and several are as one.
        pubsub.publish(ANN)
        assert await subscription.wait(0)
        assert not await subscription.wait(0.01)
        assert another.take_wake_up()
        assert not other.take_wake_up()
        pubsub.publish(BOB)
        assert await other.wait(0)
        assert not await other.wait(0.01)
        pubsub.close_streams()
        assert await other.wait(60)
    assert not pubsub.has_subscribers
    await pubsub.close()


async def test_a_look_wakes_those_with_something_new() -> None:
    pubsub = PubSub(NullNotifier(), 0.05)

    async def only_ann(topics: object) -> list[tuple[str, ...]]:
        assert topics == {ANN, feed_topic("cid")}
        return [ANN]

    pubsub.add_probe("feed", only_ann)
    with (
        pubsub.subscribe(ANN) as subscription,
        pubsub.subscribe(feed_topic("cid")) as nothing_new,
        pubsub.subscribe(BOB) as unknown,
    ):
        assert await subscription.wait(30)
        assert await unknown.wait(30)
        assert not await nothing_new.wait(0.2)
    await pubsub.close()


async def test_a_look_that_fails_is_not_the_last_one() -> None:
    pubsub = PubSub(NullNotifier(), 0.05)
    tries = 0

    async def fails_once(topics: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError
        return topics

    pubsub.add_probe("feed", fails_once)  # type: ignore[arg-type]
    with pubsub.subscribe(ANN) as subscription:
        assert await subscription.wait(30)
    await pubsub.close()


async def test_between_processes(on_postgres: Settings) -> None:
    async with pubsub_of(on_postgres) as here, pubsub_of(on_postgres) as there:
        with here.subscribe(ANN) as subscription, here.subscribe(BOB) as other:
            await until(lambda: there._notifier._others_listen_until > time.monotonic())  # type: ignore[attr-defined]
            await asyncio.sleep(0.3)
            subscription.take_wake_up()
            other.take_wake_up()
            there.publish(ANN)
            assert await subscription.wait(30)
            assert not other.take_wake_up()
            # Many at once leave together; too many for one letter wake everybody.
            for number in range(postgres_notifier.MAX_ADDRESSES + 1):
                there.publish(feed_topic(str(number)))
            assert await subscription.wait(30)
            assert await other.wait(30)


async def test_a_look_at_the_file(on_sqlite: Settings) -> None:
    async with pubsub_of(on_sqlite) as pubsub, pubsub_of(on_sqlite):
        db = await Database.open(on_sqlite)
        with pubsub.subscribe(ANN) as subscription:
            await subscription.wait(1)
            assert not await subscription.wait(0.3)
            async with db.write() as session:
                await append_events(session, "ann", ChatUpdated("chat"))
            assert await subscription.wait(30)
        await db.close()


async def test_who_listens_again_hears_again(app: FastAPI, settings: Settings, ann: Person) -> None:
    """Nobody is told anything while nobody listens: the next one who does must not miss the first thing."""
    for _ in range(3):
        async with started(settings) as second, events(second, ann.headers) as stream:
            await stream.event()
            began = time.monotonic()
            chat = await ann.chat()
            assert (await stream.event())["chat_id"] == chat
            assert time.monotonic() - began < POLL_SECONDS, "it was found by a look, not heard"


async def test_behind_pgbouncer(on_postgres: Settings, as_user: Callable[[str], dict[str, str]]) -> None:
    """Where nothing wakes, a look every quarter of a second does."""
    settings = on_postgres.model_copy(update={"pgbouncer": True})
    async with started(settings) as here, started(settings) as there, events(here, as_user("ann")) as stream:
        assert isinstance(here.state.services.pubsub._notifier, NullNotifier)
        await stream.event()
        async with acting(there, as_user("ann")) as client:
            chat = ok(await client.post("/chats", json={}))
        assert FALLBACK_POLL_SECONDS == 0.25
        assert (await stream.event())["chat_id"] == chat["chat_id"]


async def test_nobody_is_told_while_nobody_listens(on_postgres: Settings) -> None:
    async with pubsub_of(on_postgres) as pubsub:
        notifier = pubsub._notifier
        assert isinstance(notifier, PostgresNotifier)
        await until(lambda: notifier._pid)
        # What one can not know at the beginning is presumed, for a while.
        notifier._others_listen_until = 0
        pubsub.publish(ANN)
        assert notifier._outgoing == set()


async def test_a_broken_connection_is_made_anew(on_postgres: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_notifier, "RETRY_SECONDS", 0.05)
    async with pubsub_of(on_postgres) as here, pubsub_of(on_postgres) as there:
        notifier = here._notifier
        assert isinstance(notifier, PostgresNotifier)
        with here.subscribe(ANN) as subscription:
            await until(lambda: notifier._pid)
            pid = notifier._pid
            connection = await asyncpg.connect(postgres.dsn(on_postgres.effective_database_url))
            await connection.execute("SELECT pg_terminate_backend($1)", pid)
            await connection.close()
            await until(lambda: notifier._pid != pid)
            # What was told meanwhile is found by a look.
            assert await subscription.wait(30)
            await asyncio.sleep(0.3)
            subscription.take_wake_up()
            there.publish(ANN)
            assert await subscription.wait(30)


def test_an_address_is_short_and_needs_no_quotes() -> None:
    assert address(ANN) != address(BOB)
    for topic in (ANN, BOB, feed_topic("'; DROP TABLE chats --"), feed_topic("é" * 255)):
        assert len(address(topic)) == 8
        assert address(topic).isalnum()
    assert (postgres_notifier.MAX_ADDRESSES + 1) * 9 < 8000
