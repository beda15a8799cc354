"""Snapshots: a consistent read of the database, by a connection of its own on a thread of its own."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from app.db.database import Database
from app.db.driver import Row
from app.exporting.postgres import PostgresSnapshot
from app.exporting.queries import Table
from app.exporting.sqlite import SqliteSnapshot


class Snapshot(Protocol):
    """A read-only transaction with one view of the data. All but `interrupt` is called on the thread that entered it.

    SQL has `$1`, `$2` …; rows are as those of `app.db.driver.Reader`, with ids as text. A row may come without its
    large values (see `Table.large_columns`): `whole` reads it again with them.
    """

    user_order: str
    """The ORDER BY term by which users come in the order of their ids' bytes."""

    def columns(self, table: Table) -> str:
        """The SELECT list of a table with the alias t: its columns, then whether large values are left out."""

    def rows(self, sql: str, *arguments: Any) -> Iterator[Row]:
        """The rows of a query, fetched in pages. Several queries may be read in turns."""

    def messages(self, table: Table, chats: Iterable[Row], count_index: int) -> Iterator[tuple[Row, Iterable[Row]]]:
        """Chats, each with its messages by seq, which are to be read to their end before the next chat.

        The rows of chats begin with user_id and chat_id; `count_index` is the index of their `message_count`.
        """

    def whole(self, table: Table, key: Sequence[Any]) -> Row:
        """The row of a table with this primary key, large values included."""

    def interrupt(self) -> None:
        """Makes the read that is under way fail soon. May be called on any thread."""


OpenSnapshot = Callable[[], AbstractContextManager[Snapshot]]


def snapshot_opener(db: Database) -> OpenSnapshot:
    """What opens snapshots of a database: to be called, entered and left on one thread."""
    if db.kind == "sqlite":
        return lambda: SqliteSnapshot(db.url)
    return lambda: PostgresSnapshot(db.url, db.pgbouncer)
