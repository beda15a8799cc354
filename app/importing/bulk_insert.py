"""Bulk insert: many rows into a table at once, in the fastest way that the database has."""

from collections.abc import Sequence
from typing import Protocol

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.database import Database
from app.importing.chat_builder import ConvertTimestamp, Row
from app.importing.postgres import PostgresLoader
from app.importing.sqlite import SqliteLoader


class Loader(Protocol):
    """Bulk insert of one database kind."""

    @property
    def timestamp(self) -> ConvertTimestamp | None:
        """What timestamps must be made into; None for ISO 8601 text."""

    @property
    def rows_at_once(self) -> int:
        """The most messages in one transaction, so that other writers do not wait for long."""

    async def load(self, session: AsyncSession, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Inserts rows in the session's open transaction. JSON comes as text. Raises the driver's errors."""


def loader_of(db: Database) -> Loader:
    """The loader for a database."""
    return SqliteLoader() if db.kind == "sqlite" else PostgresLoader()
