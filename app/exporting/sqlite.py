"""Snapshots of SQLite: a read transaction, whose rows are read one by one."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

from app.db import sqlite
from app.db.driver import Row, numbered
from app.exporting.queries import Table


class SqliteSnapshot:
    user_order = "user_id COLLATE BINARY"

    def __init__(self, url: str) -> None:
        self._path = sqlite.path(url)

    def __enter__(self) -> Self:
        self._connection = sqlite.connect(self._path)
        # Every page is read once: a cache would not help.
        self._connection.execute("PRAGMA cache_size = -2000")
        self._connection.execute("PRAGMA query_only = ON")
        self._connection.execute("BEGIN")
        return self

    def __exit__(self, *details: object) -> None:
        self._connection.close()

    def columns(self, table: Table) -> str:
        return ", ".join([*(f"t.{name}" for name in table.columns), "0"])

    def rows(self, sql: str, *arguments: Any) -> Iterator[Row]:
        return self._connection.execute(numbered(sql), sqlite.bindable(arguments))

    def messages(self, table: Table, chats: Iterable[Row], count_index: int) -> Iterator[tuple[Row, Iterable[Row]]]:
        columns = self.columns(table)
        sql = f"SELECT {columns} FROM {table.name} t WHERE t.user_id = $1 AND t.chat_id = $2 ORDER BY t.seq"
        for chat in chats:
            yield chat, self.rows(sql, chat[0], chat[1])

    def whole(self, table: Table, key: Sequence[Any]) -> Row:
        raise AssertionError("every row is whole")

    def interrupt(self) -> None:
        self._connection.interrupt()
