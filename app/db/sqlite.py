"""SQLite: how its connections are set, and reads through a few aiosqlite connections.

An acknowledged write must survive power loss: WAL with `synchronous=FULL`. With NORMAL, a commit is acknowledged before
it is on disk (https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from sqlalchemy import event, make_url
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from app.db.driver import Row, numbered
from app.db.timestamps import to_iso

PRAGMAS = (
    # Set before WAL: switching to it takes a lock that another process may hold at this moment.
    "PRAGMA busy_timeout = 30000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -32000",
)
READERS = 4

T = TypeVar("T")


def url(given: str) -> str:
    """The aiosqlite URL of a `sqlite:///…` one."""
    return make_url(given).set(drivername="sqlite+aiosqlite").render_as_string(hide_password=False)


def path(given: str) -> Path:
    """The file that a `sqlite:///…` URL names. Raises ValueError for one in memory: connections share a file."""
    database = make_url(given).database
    if not database or database == ":memory:":
        raise ValueError("SQLite needs a file, such as sqlite:///data/chatkeep.db")
    return Path(database)


def configure(connection: Any) -> None:
    """Sets a new DB-API connection up: the pragmas, and transactions begun only by us."""
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def connect(database: Path) -> sqlite3.Connection:
    """A plain connection for one thread, in autocommit mode: its owner says BEGIN IMMEDIATE and COMMIT."""
    connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False, cached_statements=256)
    configure(connection)
    return connection


class WriteThread:
    """Writes by the plain driver, on one connection with a thread of its own. It is opened when first needed."""

    def __init__(self, database: Path, name: str) -> None:
        self._database = database
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._connection: sqlite3.Connection | None = None

    async def transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, called on the thread in one transaction. The caller has the database's write lock."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._run, work)

    async def close(self) -> None:
        """Closes the connection, and ends the thread."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._close)
        self._executor.shutdown()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            self._connection = connect(self._database)
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled it back already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def engine(given: str) -> AsyncEngine:
    """The engine for everything but the hottest statements.

    A session opened with the execution option `begin="IMMEDIATE"` takes the write lock at once: a deferred BEGIN fails
    when it comes to write while another process writes (https://www.sqlite.org/lang_transaction.html).
    """
    path(given).parent.mkdir(parents=True, exist_ok=True)
    made = create_async_engine(url(given), pool_size=READERS, max_overflow=0, pool_timeout=60)

    @event.listens_for(made.sync_engine, "connect")
    def _configure(connection: Any, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        configure(connection)

    @event.listens_for(made.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('begin', 'DEFERRED')}")

    return made


def bindable(arguments: Sequence[Any]) -> list[Any]:
    return [to_iso(argument) if isinstance(argument, datetime) else argument for argument in arguments]


class SqliteDriver:
    """Reads through a few connections, each on a thread of its own, opened when first needed."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._idle: list[aiosqlite.Connection] = []
        self._slots = asyncio.Semaphore(READERS)

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Row]:
        async with self._slots:
            connection = self._idle.pop() if self._idle else await self._open()
            try:
                return list(await connection.execute_fetchall(numbered(sql), bindable(arguments)))
            finally:
                self._idle.append(connection)

    async def fetch_one(self, sql: str, *arguments: Any) -> Row | None:
        rows = await self.fetch(sql, *arguments)
        return rows[0] if rows else None

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def _open(self) -> aiosqlite.Connection:
        connection = aiosqlite.connect(self._database, isolation_level=None, cached_statements=256)
        try:
            await connection
            for pragma in (*PRAGMAS, "PRAGMA query_only = ON"):
                await connection.execute(pragma)
        except BaseException:
            # Whoever wanted it is cancelled: nobody else would ever close it.
            connection.stop()
            raise
        return connection
