"""The composition root: the application, and what lives as long as it does."""

import asyncio
import contextlib
import gc
import sqlite3
from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from app.api import ROUTERS
from app.auth.authenticator import Authenticator
from app.changes.shared_feed import Feeds
from app.db.database import Database
from app.events.consumer import Follower, Rest
from app.events.postgres import PostgresSignals
from app.events.pubsub import DEAF_POLL_SECONDS, Hub, Silence
from app.events.sqlite import SqliteSignals
from app.events.stream_authorizer import Guard
from app.exporting.exporter import Exports
from app.exporting.snapshot import opener
from app.http import docs, logs
from app.http.database_errors import problem_of
from app.http.errors import handle_http_exception
from app.http.idempotency import REPLAYED_HEADER
from app.http.middleware import RequestMiddleware
from app.http.routing import HotRoutes
from app.http.shutdown import when_asked_to_stop
from app.jobs.housekeeping import keep_house
from app.messages.append.postgres import PostgresCommitBackend
from app.messages.append.sqlite import SqliteCommitBackend
from app.messages.append.writer import Writer
from app.messages.branching.tree_cache import TreeCache
from app.messages.cache import HistoryCache
from app.messages.store import MessageStore
from app.openai_api.retries import Underway
from app.search.indexer import Index
from app.settings import Settings
from app.stats.counters import Counters
from app.streaming.streaming_messages import Answers

_log = structlog.get_logger("chatkeep")


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    db = await Database.open(settings)
    group = SqliteCommitBackend(db) if db.kind == "sqlite" else PostgresCommitBackend(db)
    app.state.db = db
    app.state.writer = Writer(group, settings.write_queue_size, db.announcer)
    app.state.history = HistoryCache(settings.history_cache_bytes)
    app.state.trees = TreeCache()
    app.state.underway = Underway()
    app.state.authenticator = Authenticator(db, settings)
    app.state.hub = hub = _hub(db)
    app.state.feeds = Feeds(db, hub)
    app.state.guard = Guard(hub)
    app.state.answers = Answers(db, hub, settings, partial(_messages, app), sweeps=app.state.background)
    app.state.exports = exports = Exports(opener(db))
    app.state.rest = Rest()
    app.state.counters = Counters(db)
    app.state.search = index = Index(db) if settings.search else None
    # What is there by now stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    try:
        with when_asked_to_stop(hub.close_streams), when_asked_to_stop(exports.stop):
            async with _background(app) if app.state.background else contextlib.nullcontext():
                yield
    finally:
        await exports.close()
        if index is not None:
            await index.close()
        await app.state.answers.close()
        await hub.close()
        await app.state.guard.close()
        await app.state.writer.close()
        await app.state.authenticator.close()
        await db.close()


@contextlib.asynccontextmanager
async def _background(app: FastAPI) -> AsyncIterator[None]:
    """What a service does beside answering, as long as it runs."""
    db, settings = app.state.db, app.state.settings
    counters, index = app.state.counters, app.state.search
    rest: Rest = app.state.rest
    followers = [Follower(db, "counting", counters.add_up, counters.behind, rest)]
    if index is not None:
        followers.append(Follower(db, "indexing", index.digest, index.behind, rest))
    housekeeping = asyncio.create_task(keep_house(db, settings.changes_kept_days), name="housekeeping")
    try:
        yield
    finally:
        housekeeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await housekeeping
        for follower in followers:
            await follower.close()


def _messages(app: FastAPI, user_id: str) -> MessageStore:
    return MessageStore(app.state.db, user_id, app.state.writer, app.state.history, app.state.trees)


def _hub(db: Database) -> Hub:
    if db.pgbouncer:
        # LISTEN needs a server connection of its own, which transaction pooling does not give.
        return Hub(Silence(), DEAF_POLL_SECONDS)
    return Hub(SqliteSignals(db) if db.kind == "sqlite" else PostgresSignals(db))


async def _handle_failure(request: Request, error: Exception) -> Response:
    """Answers what a database could not do; what is no such thing goes on to be answered as a defect."""
    problem = problem_of(error)
    if problem is None:
        raise error
    _log.warning("the database failed", error=type(error).__name__, status=problem.status_code)
    return await handle_http_exception(request, problem)


def create_app(settings: Settings | None = None, *, background: bool = True) -> FastAPI:
    """The service. Its lifespan opens the database; the schema is expected to be current (`chatkeep migrate`).

    Without `background` it only answers: nothing is tidied up, and indexed and added up only what is asked for.
    """
    settings = settings or Settings()
    logs.configure(settings)
    app = FastAPI(
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        # On by default, and doubles the cost of a small route.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.settings = settings
    app.state.background = background
    for router in ROUTERS:
        # Not include_router: FastAPI would match the routes of an included router twice for each request.
        app.router.routes.extend(router.routes)
    docs.install(app)
    app.add_exception_handler(HTTPException, handle_http_exception)
    app.add_exception_handler(RequestValidationError, handle_http_exception)
    for failure in (SQLAlchemyError, sqlite3.Error, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        app.add_exception_handler(failure, _handle_failure)
    app.add_middleware(HotRoutes, service=app)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            # OpenAI's client alone sends a dozen of its own. None says who calls but Authorization, which no page of
            # another origin has.
            allow_headers=["*"],
            expose_headers=[
                "Content-Disposition",
                "ETag",
                "Link",
                "Location",
                "Retry-After",
                "X-Request-Id",
                REPLAYED_HEADER,
            ],
            max_age=600,
        )
    app.add_middleware(RequestMiddleware)
    return app
