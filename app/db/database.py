"""One open database: sessions for reading and writing, and the raw driver for the hottest statements."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db import postgres, sqlite
from app.db.commit_hooks import CommitHooks
from app.db.driver import Driver
from app.settings import Settings

DatabaseKind = Literal["sqlite", "postgres"]
# In a session's `info`: the users whose changes are announced once it is committed.
CHANGED_USERS = "changed_users"
_USERS_AT_ONCE = 200


def kind_of(url: str) -> DatabaseKind:
    """Which database a URL names. Raises ValueError for one that Chatkeep does not run on."""
    name = make_url(url).get_backend_name()
    if name == "sqlite":
        return "sqlite"
    if name in ("postgresql", "postgres"):
        return "postgres"
    raise ValueError(f"CHATKEEP_DATABASE_URL names {name!r}; Chatkeep runs on sqlite:///… and postgresql://…")


class Database:
    """An open database.

    Attributes:
        kind: which database it is. Only modules named `sqlite` and `postgres`, and whoever chooses between them, look.
        engine: SQLAlchemy's engine, under the sessions.
        driver: the raw driver, for reads on the hottest paths.
        write_lock: held by whoever writes. SQLite allows one writer, and queueing for it here is fair and cheap where
            its own busy handler polls; on Postgres nobody needs it.
        commit_hooks: tells this process whose rows were changed, after each commit.
        citus: whether it is a Citus cluster, where each user's rows are on one of several machines.
        users_at_once: of how many users work that nobody waits for is done in one transaction. On Citus of one, since
            one machine that is out of reach must not keep the work of the others.
    """

    def __init__(
        self, url: str, engine: AsyncEngine, driver: Driver, *, pgbouncer: bool = False, citus: bool = False
    ) -> None:
        self.url = url
        self.kind = kind_of(url)
        self.engine = engine
        self.driver = driver
        self.pgbouncer = pgbouncer
        self.citus = citus
        self.users_at_once = 1 if citus else _USERS_AT_ONCE
        self.write_lock = asyncio.Lock()
        self.commit_hooks = CommitHooks()
        self._writing = engine.execution_options(begin="IMMEDIATE")

    @classmethod
    async def open(cls, settings: Settings) -> "Database":
        """Opens the database that the settings name. Raises what its driver raises when it cannot be reached."""
        url = settings.effective_database_url
        if kind_of(url) == "sqlite":
            if settings.citus:
                raise ValueError("CHATKEEP_CITUS is for a CHATKEEP_DATABASE_URL of postgresql://…")
            connections = sqlite.Connections(sqlite.path(url))
            return cls(url, sqlite.engine(url, connections), sqlite.SqliteDriver(connections))
        pool_size, pgbouncer, citus = settings.database_pool_size, settings.pgbouncer, settings.citus
        driver = await postgres.PostgresDriver.open(url, pool_size, postgres.connection_options(pgbouncer, citus))
        return cls(url, postgres.engine(url, pool_size, pgbouncer), driver, pgbouncer=pgbouncer, citus=citus)

    async def close(self) -> None:
        """Closes every connection."""
        await self.engine.dispose()
        await self.driver.close()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session for reading."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncSession]:
        """A session for reading in which every statement sees the same moment."""
        async with self.read() as session:
            if self.kind == "postgres":
                await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A session in one transaction: committed at the end, rolled back when anything is raised."""
        async with AsyncExitStack() as stack:
            if self.kind == "sqlite":
                await stack.enter_async_context(self.write_lock)
            session = await stack.enter_async_context(AsyncSession(self._writing, expire_on_commit=False))
            async with session.begin():
                yield session
            self.commit_hooks.run(session.info.get(CHANGED_USERS, ()))
