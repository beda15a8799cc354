"""The raw driver, for the hottest statements: one SQL text with `$1`, `$2` … that runs on both databases.

SQLAlchemy's ORM costs four to five times the driver there, so these statements stand by their tables, small and few.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import CursorResult
from sqlmodel.ext.asyncio.session import AsyncSession


class Row(Protocol):
    """A row: its values by position."""

    def __getitem__(self, place: Any, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __len__(self) -> int: ...


class Reader(Protocol):
    """Reads by the driver. Arguments may be str, int, float, bool, datetime (aware) and None; rows are by position.

    Times come back as `datetime` from Postgres and as ISO text from SQLite, UUIDs as UUID or text, JSON as its text.
    """

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Row]:
        """Every row of the query."""

    async def fetch_one(self, sql: str, *arguments: Any) -> Row | None:
        """The first row of the query, or None."""


class Driver(Reader, Protocol):
    """Reads by the driver, on connections of its own."""

    async def close(self) -> None:
        """Closes every connection."""


class SessionReader:
    """Reads by the driver inside a session's transaction. JSON must be cast to text there, see `serialize.py`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._is_sqlite = session.get_bind().dialect.name == "sqlite"

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Row]:
        rows: Sequence[Row] = (await self._result(sql, arguments)).all()
        return rows

    async def execute(self, sql: str, *arguments: Any) -> None:
        """Runs a statement that gives no rows."""
        await self._result(sql, arguments)

    async def _result(self, sql: str, arguments: tuple[Any, ...]) -> CursorResult[Any]:
        await self._session.flush()
        connection = await self._session.connection()
        return await connection.exec_driver_sql(numbered(sql) if self._is_sqlite else sql, arguments)

    async def fetch_one(self, sql: str, *arguments: Any) -> Row | None:
        rows = await self.fetch(sql, *arguments)
        return rows[0] if rows else None


@lru_cache(maxsize=512)
def numbered(sql: str) -> str:
    """A statement with `$1`, `$2` … as SQLite writes it, with `?1`, `?2` …"""
    return re.sub(r"\$(\d+)", r"?\1", sql)
