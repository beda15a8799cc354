"""Tables that exports read: their columns, in the order of the records that are made of them."""

from dataclasses import dataclass
from functools import cached_property

from app.archive_formats import records
from app.models.registry import CHAT_KEY


@dataclass(frozen=True)
class Table:
    """A table and its columns that are read.

    Attributes:
        key: the columns of its primary key.
        columns: the columns that are read, in order.
        ids: those of the columns that are UUIDs, and are read as text.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    ids: frozenset[str] = frozenset({"chat_id"})

    @cached_property
    def large_columns(self) -> tuple[str, ...]:
        """The columns whose values can be large, such as megabytes of JSON."""
        return tuple(name for name in self.columns if name in records.JSON_FIELDS or name == "summary")

    @cached_property
    def width(self) -> int:
        """How many columns there are. After them a row says whether large values were left out."""
        return len(self.columns)


CHATS = Table(
    "chats",
    CHAT_KEY,
    ("user_id", *(name for name in records.CHAT_FIELDS if name != "user_id"), "tree_version", "segment"),
    frozenset({"chat_id", "forked_from", "forked_at"}),
)
_OPTIONAL_COLUMNS = tuple(name for name in records.MESSAGE_FIELDS[6:] if name not in ("created_at", "edited_at"))
MESSAGES = Table(
    "messages",
    (*CHAT_KEY, "seq"),
    # The columns that every message has come first.
    (*records.MESSAGE_FIELDS[:6], "created_at", "segment", *_OPTIONAL_COLUMNS, "edited_at"),
    frozenset({"message_id"}),
)
OWNED = {
    record: Table(table.name, table.key, table.columns, table.id_columns) for record, table in records.OWNED.items()
}
"""By the type of the records that are made of its rows, each table of what else belongs to a chat."""
