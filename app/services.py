"""Everything that lives as long as the application does: made in one place, opened once, closed once."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from app.auth.authenticator import Authenticator
from app.changes.shared_feed import Feeds
from app.db.database import Database
from app.events.consumer import Follower, Rest
from app.events.postgres import PostgresSignals
from app.events.pubsub import DEAF_POLL_SECONDS, Hub, Silence
from app.events.sqlite import SqliteSignals
from app.events.stream_authorizer import Guard
from app.exporting.exporter import ExportRunner
from app.exporting.snapshot import snapshot_opener
from app.http.shutdown import on_shutdown_signal
from app.jobs.housekeeping import keep_house
from app.messages.append.postgres import PostgresCommitBackend
from app.messages.append.sqlite import SqliteCommitBackend
from app.messages.append.writer import AppendWriter
from app.messages.branching.tree_cache import TreeCache
from app.messages.cache import HistoryCache
from app.messages.store import MessageStores
from app.openai_api.retries import FirstAttempts
from app.search.indexer import SearchIndexer
from app.settings import Settings
from app.stats.counters import Counters
from app.streaming.streaming_messages import Answers

T = TypeVar("T")


@dataclass(frozen=True)
class Services:
    """The application's services, which its routes ask for by class (`app.http.services.service`).

    Attributes:
        messages: gives the store of a user's messages: `services.messages("ann")`.
        search: the index of full texts; None where the settings switch search off.
        consumers_pause: held while something urgent runs that the consumers of the event log make way for.
    """

    settings: Settings
    db: Database
    authenticator: Authenticator
    messages: MessageStores
    hub: Hub
    guard: Guard
    feeds: Feeds
    answers: Answers
    first_attempts: FirstAttempts
    counters: Counters
    search: SearchIndexer | None
    exports: ExportRunner
    rest: Rest

    def __post_init__(self) -> None:
        by_class = {type(value): value for value in (getattr(self, field.name) for field in fields(self))}
        object.__setattr__(self, "_by_class", by_class)

    def get(self, kind: type[T]) -> T | None:
        """The service of a class; None where there is none."""
        by_class: dict[type[Any], Any] = self.__dict__["_by_class"]
        return by_class.get(kind)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, *, background: bool) -> AsyncIterator["Services"]:
        """Opens the services, and closes them in the opposite order.

        Without `background` they only answer: nothing is tidied up, and indexed and counted only what is asked for.
        """
        async with AsyncExitStack() as stack:
            db = await Database.open(settings)
            stack.push_async_callback(db.close)
            authenticator = Authenticator(db, settings)
            stack.push_async_callback(authenticator.close)
            writer = AppendWriter(_commit_backend(db), settings.write_queue_size, db.announcer)
            stack.push_async_callback(writer.close)
            messages = MessageStores(db, writer, HistoryCache(settings.history_cache_bytes), TreeCache())
            hub = _hub(db)
            guard = Guard(hub)
            stack.push_async_callback(guard.close)
            stack.push_async_callback(hub.close)
            answers = Answers(db, hub, settings, messages, sweeps=background)
            stack.push_async_callback(answers.close)
            indexer = SearchIndexer(db) if settings.search else None
            if indexer is not None:
                stack.push_async_callback(indexer.close)
            exports = ExportRunner(snapshot_opener(db))
            stack.push_async_callback(exports.close)
            services = cls(
                settings=settings,
                db=db,
                authenticator=authenticator,
                messages=messages,
                hub=hub,
                guard=guard,
                feeds=Feeds(db, hub),
                answers=answers,
                first_attempts=FirstAttempts(),
                counters=Counters(db),
                search=indexer,
                exports=exports,
                rest=Rest(),
            )
            # What is there by now stays: the garbage collector need not look at it again and again.
            gc.collect()
            gc.freeze()
            stack.enter_context(on_shutdown_signal(hub.close_streams))
            stack.enter_context(on_shutdown_signal(exports.stop))
            if background:
                await stack.enter_async_context(_background(services))
            yield services


@asynccontextmanager
async def _background(services: Services) -> AsyncIterator[None]:
    """What runs beside the requests: the consumers of the event log, and housekeeping once a minute."""
    db, counters, indexer = services.db, services.counters, services.search
    followers = [Follower(db, "counting", counters.aggregate, counters.users_behind, services.rest)]
    if indexer is not None:
        followers.append(Follower(db, "indexing", indexer.index_users, indexer.users_behind, services.rest))
    housekeeping = asyncio.create_task(keep_house(db, services.settings.changes_kept_days), name="housekeeping")
    try:
        yield
    finally:
        housekeeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await housekeeping
        for follower in followers:
            await follower.close()


def _commit_backend(db: Database) -> SqliteCommitBackend | PostgresCommitBackend:
    return SqliteCommitBackend(db) if db.kind == "sqlite" else PostgresCommitBackend(db)


def _hub(db: Database) -> Hub:
    if db.pgbouncer:
        # LISTEN needs a server connection of its own, which transaction pooling does not give.
        return Hub(Silence(), DEAF_POLL_SECONDS)
    return Hub(SqliteSignals(db) if db.kind == "sqlite" else PostgresSignals(db))
