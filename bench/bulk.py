"""Many rows into a database at once: COPY on Postgres, `executemany` in large transactions on SQLite."""

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import asyncpg

Rows = Iterable[Sequence[Any]]


class Bulk(Protocol):
    """A database that is being filled; nobody else writes to it meanwhile."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def insert(self, table: str, columns: Sequence[str], rows: Rows) -> None:
        """Inserts rows."""
        ...

    def settle(self) -> None:
        """Brings it to where it would be after some quiet time: what was written is in its place, and analysed."""
        ...

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        ...


def opened(url: str) -> Bulk:
    """The database of a URL as Chatkeep takes it."""
    return SqliteBulk(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else PostgresBulk(url)


class SqliteBulk:
    """A SQLite file, filled without waiting for the disk."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        for pragma in ("synchronous = OFF", "cache_size = -400000", "temp_store = MEMORY"):
            self._connection.execute(f"PRAGMA {pragma}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def insert(self, table: str, columns: Sequence[str], rows: Rows) -> None:
        """See Bulk."""
        values = ", ".join("?" * len(columns))
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})", rows)
        self._connection.execute("COMMIT")

    def settle(self) -> None:
        """See Bulk."""
        # The service never analyses: what it asks for does not depend on that.
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """See Bulk."""
        return self._connection.execute(sql).fetchall()


class PostgresBulk:
    """A Postgres database."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> Self:
        self._loop = asyncio.Runner()
        self._connection: Any = self._loop.run(asyncpg.connect(self._url, command_timeout=None))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._connection.close())
        self._loop.close()

    def insert(self, table: str, columns: Sequence[str], rows: Rows) -> None:
        """See Bulk."""
        self._loop.run(self._connection.copy_records_to_table(table, records=rows, columns=list(columns)))

    def settle(self) -> None:
        """See Bulk."""
        self._loop.run(self._connection.execute("VACUUM ANALYZE"))
        self._loop.run(self._connection.execute("CHECKPOINT"))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """See Bulk."""
        return [tuple(row) for row in self._loop.run(self._connection.fetch(sql))]
