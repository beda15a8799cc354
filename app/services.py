"""Everything that lives as long as the application does: made in one place, opened once, closed once."""

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from app.auth.authenticator import Authenticator
from app.changes.feed_cache import FeedCache
from app.db import citus
from app.db.database import Database
from app.events.consumer import Consumer, PauseGate
from app.events.postgres import PostgresNotifier
from app.events.pubsub import FALLBACK_POLL_SECONDS, NullNotifier, PubSub
from app.events.sqlite import SqliteNotifier
from app.events.stream_authorizer import StreamAuthorizer
from app.exporting.exporter import ExportRunner
from app.exporting.snapshot import snapshot_opener
from app.http.shutdown import on_shutdown_signal
from app.jobs.housekeeping import Housekeeping
from app.messages.append.contract import CommitBackend
from app.messages.append.placed_writer import PlacedAppendWriter
from app.messages.append.postgres import PostgresCommitBackend
from app.messages.append.sqlite import SqliteCommitBackend
from app.messages.append.writer import AppendWriter, Writer
from app.messages.branching.tree_cache import TreeCache
from app.messages.cache import HistoryCache
from app.messages.store import MessageStores
from app.search.indexer import SearchIndexer
from app.settings import Settings
from app.stats.counters import Counters
from app.streaming.streaming_messages import StreamingMessages

T = TypeVar("T")


@dataclass(frozen=True)
class Services:
    """The application's services, which its routes ask for by class (`app.http.services.service`).

    Attributes:
        messages: gives the store of a user's messages: `services.messages("ann")`.
        search: the index of full texts; None where the settings switch search off.
        pause_gate: closed while something urgent runs that the consumers of the event log make way for.
    """

    settings: Settings
    db: Database
    authenticator: Authenticator
    messages: MessageStores
    pubsub: PubSub
    stream_authorizer: StreamAuthorizer
    feed_cache: FeedCache
    streaming_messages: StreamingMessages
    counters: Counters
    search: SearchIndexer | None
    exports: ExportRunner
    pause_gate: PauseGate

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_class", {type(value): value for value in vars(self).values()})

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
            writer = _writer(db, settings.write_queue_size)
            stack.push_async_callback(writer.close)
            messages = MessageStores(db, writer, HistoryCache(settings.history_cache_bytes), TreeCache())
            pubsub = _pubsub(db)
            stream_authorizer = StreamAuthorizer(pubsub)
            stack.push_async_callback(stream_authorizer.close)
            stack.push_async_callback(pubsub.close)
            streaming_messages = StreamingMessages(db, pubsub, settings, messages, reap=background)
            stack.push_async_callback(streaming_messages.close)
            indexer = SearchIndexer(db) if settings.search else None
            if indexer is not None:
                stack.push_async_callback(indexer.close)
            exports = ExportRunner(snapshot_opener(db), by_user=db.citus)
            stack.push_async_callback(exports.close)
            services = cls(
                settings=settings,
                db=db,
                authenticator=authenticator,
                messages=messages,
                pubsub=pubsub,
                stream_authorizer=stream_authorizer,
                feed_cache=FeedCache(db, pubsub),
                streaming_messages=streaming_messages,
                counters=Counters(db),
                search=indexer,
                exports=exports,
                pause_gate=PauseGate(),
            )
            # What is there by now stays: the garbage collector need not look at it again and again.
            gc.collect()
            gc.freeze()
            stack.enter_context(on_shutdown_signal(pubsub.close_streams))
            stack.enter_context(on_shutdown_signal(exports.stop))
            if background:
                await stack.enter_async_context(_background(services))
            yield services


@asynccontextmanager
async def _background(services: Services) -> AsyncIterator[None]:
    """What runs beside the requests: the consumers of the event log, and housekeeping once a minute."""
    db, counters, indexer = services.db, services.counters, services.search
    consumers = [Consumer(db, "counting", counters.aggregate, counters.users_behind, services.pause_gate)]
    if indexer is not None:
        consumers.append(Consumer(db, "indexing", indexer.index_users, indexer.users_behind, services.pause_gate))
    housekeeping = Housekeeping(db, services.settings.changes_kept_days)
    try:
        yield
    finally:
        await housekeeping.close()
        for consumer in consumers:
            await consumer.close()


def _writer(db: Database, capacity: int) -> Writer:
    if db.citus:
        return PlacedAppendWriter(
            partial(citus.placement, db), partial(PostgresCommitBackend, db), capacity, db.commit_hooks
        )
    backend: CommitBackend = SqliteCommitBackend(db) if db.kind == "sqlite" else PostgresCommitBackend(db)
    return AppendWriter(backend, capacity, db.commit_hooks)


def _pubsub(db: Database) -> PubSub:
    if db.pgbouncer:
        # LISTEN needs a server connection of its own, which transaction pooling does not give.
        return PubSub(NullNotifier(), FALLBACK_POLL_SECONDS)
    return PubSub(SqliteNotifier(db) if db.kind == "sqlite" else PostgresNotifier(db))
