"""Snapshots of Postgres: a transaction with server-side cursors, on an event loop of the thread that reads it.

Rows come in pages of a bounded number. So that pages are bounded in bytes too, large values are left out of them and
fetched row by row: that takes no longer, since few large rows make a megabyte.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from operator import itemgetter
from typing import Any, Self, TypeVar

import asyncpg

from app.db import postgres
from app.db.driver import Row
from app.exporting.queries import Table

T = TypeVar("T")
Rows = Sequence[Row]

# The most messages, chats and rows of other tables in one fetch.
_PAGE_MESSAGES, _PAGE_CHATS, _PAGE_ROWS = 1000, 250, 400
_LARGE_VALUE_BYTES = 8192
_CLOSE_SECONDS = 5


class PostgresSnapshot:
    user_order = 'user_id COLLATE "C"'

    def __init__(self, url: str, pgbouncer: bool) -> None:
        self._url = url
        self._options = postgres.session_options(pgbouncer)
        self._next_page: asyncio.Future[Rows] | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        try:
            self._connection = self._run(asyncpg.connect(postgres.dsn(self._url), **self._options))
            transaction = self._connection.transaction(isolation="repeatable_read", readonly=True)
            self._run(transaction.start())
            # Compiling costs more than it gains for plans as plain as these.
            self._run(self._connection.execute("SET LOCAL jit = off"))
        except BaseException:
            self._loop.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if self._next_page is not None:
            self._next_page.cancel()
        with suppress(Exception):
            if kind is None:
                self._run(self._connection.close(timeout=_CLOSE_SECONDS))
            self._connection.terminate()
            self._run(asyncio.sleep(0))
        self._loop.close()

    def columns(self, table: Table) -> str:
        columns = []
        for name in table.columns:
            if name in table.ids:
                columns.append(f"CAST(t.{name} AS TEXT)")
            elif name in table.large_columns:
                columns.append(f"CASE WHEN {_is_large(name)} THEN NULL ELSE t.{name} END")
            else:
                columns.append(f"t.{name}")
        any_large = " OR ".join(f"coalesce({_is_large(name)}, false)" for name in table.large_columns)
        return ", ".join([*columns, any_large or "false"])

    def rows(self, sql: str, *arguments: Any) -> Iterator[Row]:
        cursor = self._run(self._connection.cursor(sql, *arguments))
        while rows := self._run(cursor.fetch(_PAGE_ROWS)):
            yield from rows

    def messages(self, table: Table, chats: Iterable[Row], count_index: int) -> Iterator[tuple[Row, Iterable[Row]]]:
        pages = self._pages(table, _batches(chats, count_index))
        for batch, rows, more in pages:
            if len(batch) == 1:
                yield batch[0], chain(rows, _following(pages)) if more else rows
                continue
            start = 0
            for ordinal, chat in enumerate(batch, 1):
                end = bisect_right(rows, ordinal, start, key=itemgetter(-1))
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
        """The messages of batches of chats, in pages, and whether the batch has more. The next page is under way."""
        columns = self.columns(table)
        one_chat = (
            f"SELECT {columns} FROM {table.name} t WHERE t.user_id = $1 AND t.chat_id = $2 AND t.seq > $3 "
            f"ORDER BY t.seq LIMIT {_PAGE_MESSAGES}"
        )
        many_chats = (
            f"SELECT {columns}, c.ordinal FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS c(user_id, chat_id, "
            f"ordinal) JOIN {table.name} t ON t.user_id = c.user_id AND t.chat_id = c.chat_id ORDER BY c.ordinal, t.seq"
        )
        of_one_user = (
            f"SELECT {columns}, c.ordinal FROM unnest($2::uuid[]) WITH ORDINALITY AS c(chat_id, ordinal) "
            f"JOIN {table.name} t ON t.user_id = $1 AND t.chat_id = c.chat_id ORDER BY c.ordinal, t.seq"
        )
        statements = one_chat, of_one_user, many_chats
        seq = table.columns.index("seq")
        batch, after = next(batches, None), 0
        while batch:
            if self._next_page is None:
                self._fetch(statements, batch, after)
            rows = self._fetched()
            more = len(batch) == 1 and len(rows) == _PAGE_MESSAGES
            following, after = (batch, rows[-1][seq]) if more else (next(batches, None), 0)
            if following:
                self._fetch(statements, following, after)
            yield batch, rows, more
            batch = following

    def _fetch(self, statements: tuple[str, str, str], batch: list[Row], after: int) -> None:
        one_chat, of_one_user, many_chats = statements
        if len(batch) == 1:
            fetch = self._connection.fetch(one_chat, batch[0][0], batch[0][1], after)
        elif all(chat[0] == batch[0][0] for chat in batch):
            fetch = self._connection.fetch(of_one_user, batch[0][0], [chat[1] for chat in batch])
        else:
            fetch = self._connection.fetch(many_chats, [chat[0] for chat in batch], [chat[1] for chat in batch])
        self._next_page = self._loop.create_task(fetch)
        # The first step of the task sends the query.
        self._loop.run_until_complete(asyncio.sleep(0))

    def _fetched(self) -> Rows:
        assert self._next_page is not None
        page, self._next_page = self._next_page, None
        return self._loop.run_until_complete(page)

    def _run(self, awaitable: Awaitable[T]) -> T:
        """The result of an awaitable. A connection does one thing at a time: a page under way comes first."""
        if self._next_page is not None:
            self._loop.run_until_complete(asyncio.wait([self._next_page]))
        return self._loop.run_until_complete(_awaited(awaitable))


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _is_large(name: str) -> str:
    return f"octet_length(CAST(t.{name} AS TEXT)) > {_LARGE_VALUE_BYTES}"


def _following(pages: Iterator[tuple[list[Row], Rows, bool]]) -> Iterator[Row]:
    """The other messages of a chat whose first page was read."""
    for _, rows, more in pages:
        yield from rows
        if not more:
            return


def _batches(chats: Iterable[Row], count_index: int) -> Iterator[list[Row]]:
    """Chats whose messages fit into one page. One with more messages than that is alone."""
    batch: list[Row] = []
    messages = 0
    for chat in chats:
        if batch and (messages + chat[count_index] > _PAGE_MESSAGES or len(batch) == _PAGE_CHATS):
            yield batch
            batch, messages = [], 0
        batch.append(chat)
        messages += chat[count_index]
    if batch:
        yield batch
