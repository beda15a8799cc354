"""SQLite: how its connections are set, and reads through a few aiosqlite connections.

An acknowledged write must survive power loss: WAL with `synchronous=FULL`. With NORMAL, a commit is acknowledged before
it is on disk (https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from sqlalchemy import event, make_url
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.db.driver import Row, numbered
from app.db.timestamps import to_iso

BUSY_SECONDS = 30
PRAGMAS = (
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


def connect(database: Path, *pragmas: str) -> sqlite3.Connection:
    """A plain connection for one thread, set up, in autocommit mode: its owner says BEGIN IMMEDIATE and COMMIT."""
    connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
        _switch_to_wal(connection)
        for pragma in (*PRAGMAS, *pragmas):
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # Connections that switch a new file at the same time would wait for each other. SQLite refuses one of them, and
    # does not wait for its timeout then (https://www.sqlite.org/c3ref/busy_handler.html).
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


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


class Connections:
    """Opens aiosqlite connections to a file, and knows each until its thread has ended.

    A thread that outlives the event loop fails at telling it what it did. So whoever is cancelled while a connection
    is being opened waits until it is closed again, and `close` ends the threads of all that are left.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._open: set[_Connection] = set()

    async def open(self, *pragmas: str) -> aiosqlite.Connection:
        """A new connection in autocommit mode, set up, with more pragmas. Raises sqlite3.Error."""
        connection = _Connection(partial(connect, self._database, *pragmas), self._open)
        opening = asyncio.ensure_future(connection)
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            await _settled(opening)
            await connection.close()
            raise
        return connection

    async def close(self) -> None:
        """Closes every connection, and returns when their threads have ended."""
        for connection in list(self._open):
            await connection.close()
            if connection.stopping is not None:
                await asyncio.shield(connection.stopping)


class _Connection(aiosqlite.Connection):
    def __init__(self, connector: Callable[[], sqlite3.Connection], siblings: "set[_Connection]") -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._siblings = siblings
        self.stopping: asyncio.Future[Any] | None = None
        siblings.add(self)

    def stop(self) -> "asyncio.Future[Any] | None":
        self.stopping = super().stop()
        if self.stopping is None:
            return None
        self.stopping.add_done_callback(lambda _: self._siblings.discard(self))
        return asyncio.shield(self.stopping)


async def _settled(task: "asyncio.Future[Any]") -> None:
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])


def engine(given: str, connections: Connections) -> AsyncEngine:
    """The engine for everything but the hottest statements.

    A session opened with the execution option `begin="IMMEDIATE"` takes the write lock at once: a deferred BEGIN fails
    when it comes to write while another process writes (https://www.sqlite.org/lang_transaction.html).
    """
    path(given).parent.mkdir(parents=True, exist_ok=True)
    made = create_async_engine(
        url(given), pool_size=READERS, max_overflow=0, pool_timeout=60, async_creator=connections.open
    )

    @event.listens_for(made.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('begin', 'DEFERRED')}")

    return made


def bindable(arguments: Sequence[Any]) -> list[Any]:
    return [to_iso(argument) if isinstance(argument, datetime) else argument for argument in arguments]


class SqliteDriver:
    """Reads through a few connections, each on a thread of its own, opened when first needed."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._idle: list[aiosqlite.Connection] = []
        self._slots = asyncio.Semaphore(READERS)

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Row]:
        async with self._slots:
            connection = self._idle.pop() if self._idle else await self._connections.open("PRAGMA query_only = ON")
            try:
                return list(await connection.execute_fetchall(numbered(sql), bindable(arguments)))
            finally:
                self._idle.append(connection)

    async def fetch_one(self, sql: str, *arguments: Any) -> Row | None:
        rows = await self.fetch(sql, *arguments)
        return rows[0] if rows else None

    async def close(self) -> None:
        await self._connections.close()
