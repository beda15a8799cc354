"""Check of what belongs to a chat: by the registry, whether each row has its chat, and its message."""

from collections.abc import Iterator

from app.db.driver import Reader
from app.models.registry import OwnedTable, owned_tables

MAX_STRAYS = 100
# The index is behind the messages, and has a check of its own.
_INDEX = "documents"


async def stray_rows(reader: Reader, user_id: str) -> list[tuple[str, str]]:
    """The tables and chats of a user's rows whose chat or message is not there, at most MAX_STRAYS for each table."""
    strays: list[tuple[str, str]] = []
    for table in owned_tables("chat", "messages", "message"):
        if table.name != _INDEX:
            rows = await reader.fetch(_statement(table), user_id)
            strays += ((table.name, str(row[0])) for row in rows)
    return strays


def _statement(table: OwnedTable) -> str:
    missing = " OR ".join(f"NOT EXISTS ({parent})" for parent in _parents(table))
    return (
        f"SELECT t.chat_id FROM {table.name} t WHERE t.user_id = $1 AND t.chat_id IS NOT NULL AND ({missing}) "
        f"LIMIT {MAX_STRAYS}"
    )


def _parents(table: OwnedTable) -> Iterator[str]:
    yield "SELECT 1 FROM chats c WHERE c.user_id = $1 AND c.chat_id = t.chat_id"
    if table.owner == "message":
        yield "SELECT 1 FROM messages m WHERE m.user_id = $1 AND m.chat_id = t.chat_id AND m.seq = t.seq"
