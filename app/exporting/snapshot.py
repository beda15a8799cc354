"""One moment of the database, read from beginning to end by a connection of its own, on a thread of its own."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from app.db.database import Database
from app.db.driver import Row
from app.exporting.postgres import PostgresSnapshot
from app.exporting.queries import Table
from app.exporting.sqlite import SqliteSnapshot


class Snapshot(Protocol):
    """Reads one moment. Everything but `interrupt` is called on the thread that entered it.

    SQL has `$1`, `$2` …; rows are as those of `app.db.driver.Reader`, with ids as text. A row may come without what
    is long in it (see `Table.long`): `whole` gives it.
    """

    by_user: str
    """What to order by, so that users come in the order of their names' bytes."""

    def columns(self, table: Table) -> str:
        """The columns of `table`, which is called t, for a SELECT; then whether something long is left out."""
        ...

    def rows(self, sql: str, *arguments: Any) -> Iterator[Row]:
        """The rows of a query, a few at a time. It may be read in turns with others."""
        ...

    def messages(self, table: Table, chats: Iterable[Row], size: int) -> Iterator[tuple[Row, Iterable[Row]]]:
        """Chats, each with its messages by seq, which are read to their end before the next chat.

        The rows of chats begin with user_id and chat_id, and have at the place `size` how many messages there are.
        """
        ...

    def whole(self, table: Table, key: Sequence[Any]) -> Row:
        """The row of a table with a key, whole."""
        ...

    def interrupt(self) -> None:
        """Has whatever is being read fail soon. From any thread."""
        ...


OpenSnapshot = Callable[[], AbstractContextManager[Snapshot]]


def opener(db: Database) -> OpenSnapshot:
    """Opens snapshots of a database: to be called, entered and left on one thread."""
    if db.kind == "sqlite":
        return lambda: SqliteSnapshot(db.url)
    return lambda: PostgresSnapshot(db.url, db.pgbouncer)
