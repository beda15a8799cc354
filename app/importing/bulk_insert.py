"""Putting many rows into a table at once, as either database does it best."""

from collections.abc import Sequence
from typing import Protocol

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.database import Database
from app.importing.chat_builder import Moments, Row
from app.importing.postgres import PostgresLoader
from app.importing.sqlite import SqliteLoader


class Loader(Protocol):
    """Puts rows into tables."""

    @property
    def moment(self) -> Moments | None:
        """How it is given moments; None for text."""
        ...

    @property
    def rows_at_once(self) -> int:
        """How many messages are to be stored in one transaction, so that other writers do not wait for long."""
        ...

    async def load(self, session: AsyncSession, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Stores rows in the session's transaction, which has begun. JSON comes as text. Raises what drivers do."""
        ...


def loader(db: Database) -> Loader:
    """That of a database."""
    return SqliteLoader() if db.kind == "sqlite" else PostgresLoader()
