"""A snapshot of Postgres: a transaction, with server-side cursors, on an event loop of the thread that reads it.

Rows come in pages of a bounded number. So that they are bounded in bytes too, what is long is left out of them and
asked for row by row: that takes no longer, since long rows are few to the megabyte.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from types import TracebackType
from typing import Any, Self, TypeVar

import asyncpg

from app.db import postgres
from app.db.driver import Row
from app.exporting.queries import Table

T = TypeVar("T")
Rows = Sequence[Row]

# Messages that are fetched at once, and chats whose messages may be; rows of other tables.
_MESSAGES, _CHATS, _ROWS = 1000, 250, 400
_LONG_BYTES = 8192
_WAIT_SECONDS = 5


class PostgresSnapshot:
    """See Snapshot."""

    by_user = 'user_id COLLATE "C"'

    def __init__(self, url: str, pgbouncer: bool) -> None:
        self._url = url
        self._options = postgres.connection_options(pgbouncer, postgres.SERVER_SETTINGS)
        self._coming: asyncio.Future[Rows] | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        try:
            self._connection = self._run(asyncpg.connect(postgres.dsn(self._url), **self._options))
            transaction = self._connection.transaction(isolation="repeatable_read", readonly=True)
            self._run(transaction.start())
            # Compiling costs more than the plainest of plans gains.
            self._run(self._connection.execute("SET LOCAL jit = off"))
        except BaseException:
            self._loop.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._coming is not None:
            self._coming.cancel()
        with suppress(Exception):
            if kind is None:
                self._run(self._connection.close(timeout=_WAIT_SECONDS))
            self._connection.terminate()
            self._run(asyncio.sleep(0))
        self._loop.close()

    def columns(self, table: Table) -> str:
        columns = []
        for name in table.columns:
            if name in table.ids:
                columns.append(f"CAST(t.{name} AS TEXT)")
            elif name in table.long:
                columns.append(f"CASE WHEN {_long(name)} THEN NULL ELSE t.{name} END")
            else:
                columns.append(f"t.{name}")
        long = " OR ".join(f"coalesce({_long(name)}, false)" for name in table.long)
        return ", ".join([*columns, long or "false"])

    def rows(self, sql: str, *arguments: Any) -> Iterator[Row]:
        cursor = self._run(self._open(sql, arguments))
        while rows := self._run(cursor.fetch(_ROWS)):
            yield from rows

    def messages(self, table: Table, chats: Iterable[Row], size: int) -> Iterator[tuple[Row, Iterable[Row]]]:
        pages = self._pages(table, _batches(chats, size))
        for batch, rows, more in pages:
            if len(batch) == 1:
                yield batch[0], chain(rows, _rest(pages)) if more else rows
                continue
            start = 0
            for place, chat in enumerate(batch, 1):
                end = bisect_right(rows, place, start, key=_place)
                yield chat, rows[start:end]
                start = end

    def whole(self, table: Table, key: Sequence[Any]) -> Row:
        columns = [f"CAST(t.{name} AS TEXT)" if name in table.ids else f"t.{name}" for name in table.columns]
        conditions = [f"t.{name} = ${number}" for number, name in enumerate(table.key, 1)]
        sql = f"SELECT {', '.join(columns)}, false FROM {table.name} t WHERE {' AND '.join(conditions)}"
        row: Row | None = self._run(self._connection.fetchrow(sql, *key))
        assert row is not None
        return row

    def interrupt(self) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._connection.terminate)

    def _pages(self, table: Table, batches: Iterator[list[Row]]) -> Iterator[tuple[list[Row], Rows, bool]]:
        """The messages of batches, in pages, and whether the batch has more. The server is always one page ahead."""
        columns = self.columns(table)
        of_one = (
            f"SELECT {columns} FROM {table.name} t WHERE t.user_id = $1 AND t.chat_id = $2 AND t.seq > $3 "
            f"ORDER BY t.seq LIMIT {_MESSAGES}"
        )
        of_many = (
            f"SELECT {columns}, c.place FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS c(user_id, chat_id, "
            f"place) JOIN {table.name} t ON t.user_id = c.user_id AND t.chat_id = c.chat_id ORDER BY c.place, t.seq"
        )
        seq = table.columns.index("seq")
        batch, after = next(batches, None), 0
        while batch:
            if self._coming is None:
                self._begin(of_one, of_many, batch, after)
            rows = self._arrived()
            more = len(batch) == 1 and len(rows) == _MESSAGES
            following, after = (batch, rows[-1][seq]) if more else (next(batches, None), 0)
            if following:
                self._begin(of_one, of_many, following, after)
            yield batch, rows, more
            batch = following

    def _begin(self, of_one: str, of_many: str, batch: list[Row], after: int) -> None:
        if len(batch) == 1:
            fetch = self._connection.fetch(of_one, batch[0][0], batch[0][1], after)
        else:
            fetch = self._connection.fetch(of_many, [chat[0] for chat in batch], [chat[1] for chat in batch])
        self._coming = self._loop.create_task(fetch)
        # Its first step sends the query.
        self._loop.run_until_complete(asyncio.sleep(0))

    def _arrived(self) -> Rows:
        assert self._coming is not None
        coming, self._coming = self._coming, None
        return self._loop.run_until_complete(coming)

    def _run(self, awaitable: Awaitable[T]) -> T:
        """What an awaitable gives. A connection does one thing at a time: what is coming comes first."""
        if self._coming is not None:
            self._loop.run_until_complete(asyncio.wait([self._coming]))
        return self._loop.run_until_complete(_awaited(awaitable))

    async def _open(self, sql: str, arguments: Sequence[Any]) -> Any:
        return await self._connection.cursor(sql, *arguments)


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _place(row: Row) -> int:
    place: int = row[-1]
    return place


def _long(name: str) -> str:
    return f"octet_length(CAST(t.{name} AS TEXT)) > {_LONG_BYTES}"


def _rest(pages: Iterator[tuple[list[Row], Rows, bool]]) -> Iterator[Row]:
    """The other messages of a chat of which a page was read."""
    for _, rows, more in pages:
        yield from rows
        if not more:
            return


def _batches(chats: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Chats whose messages are fetched at once. One that has more of them than that is alone."""
    batch: list[Row] = []
    messages = 0
    for chat in chats:
        if batch and (messages + chat[size] > _MESSAGES or len(batch) == _CHATS):
            yield batch
            batch, messages = [], 0
        batch.append(chat)
        messages += chat[size]
    if batch:
        yield batch
