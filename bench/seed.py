"""Many chats at once, written straight into the database: what 100,000 `POST /chats` would leave, in two seconds."""

import asyncio
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg

MOMENTS = ("created_at", "updated_at", "last_activity_at", "listed_at")


def copy_chat(url: str, chat: str, copies: int) -> None:
    """Copies an empty chat so many times, each a second older than the one before. `url` is as Chatkeep takes it."""
    if url.startswith("sqlite"):
        _copy_on_sqlite(url.removeprefix("sqlite:///"), chat, copies)
    else:
        asyncio.run(_copy_on_postgres(url, chat, copies))


def _copies(row: dict[str, Any], copies: int) -> Iterator[tuple[Any, ...]]:
    """The rows of the copies. A moment is a datetime on Postgres and ISO text on SQLite."""
    for number in range(1, copies + 1):
        moments = {name: _earlier(row[name], timedelta(seconds=number)) for name in MOMENTS}
        yield tuple((row | moments | {"chat_id": str(uuid4())}).values())


def _earlier(moment: Any, by: timedelta) -> Any:
    if isinstance(moment, datetime):
        return moment - by
    return (datetime.fromisoformat(moment) - by).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _copy_on_sqlite(path: str, chat: str, copies: int) -> None:
    connection = sqlite3.connect(path, timeout=30)
    connection.row_factory = sqlite3.Row
    row = dict(connection.execute("SELECT * FROM chats WHERE chat_id = ?", (chat,)).fetchone())
    with connection:
        connection.executemany(f"INSERT INTO chats VALUES ({', '.join('?' * len(row))})", _copies(row, copies))
    connection.close()


async def _copy_on_postgres(url: str, chat: str, copies: int) -> None:
    connection = await asyncpg.connect(url)
    row = dict(await connection.fetchrow("SELECT * FROM chats WHERE chat_id = $1", chat) or {})
    await connection.copy_records_to_table("chats", records=_copies(row, copies), columns=list(row))
    await connection.execute("ANALYZE chats")
    await connection.close()
