"""The tables that exports read: their columns, in the order of the records that are made of them."""

from dataclasses import dataclass
from functools import cached_property

from app.archive_formats import records


@dataclass(frozen=True)
class Table:
    """What is read of a table.

    Attributes:
        key: its primary key.
        columns: what is read of it, in order.
        ids: those of the columns that are UUIDs, and are read as text.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    ids: frozenset[str] = frozenset({"chat_id"})

    @cached_property
    def long(self) -> tuple[str, ...]:
        """The columns that can hold much, megabytes of JSON for instance."""
        return tuple(name for name in self.columns if name in records.JSON or name == "summary")

    @cached_property
    def width(self) -> int:
        """How many columns there are. After them a row says whether long JSON was left out."""
        return len(self.columns)


CHATS = Table(
    "chats",
    ("user_id", "chat_id"),
    ("user_id", *(name for name in records.CHAT if name != "user_id"), "tree_version", "segment"),
    frozenset({"chat_id", "forked_from", "forked_at"}),
)
_MOSTLY_NULL = tuple(name for name in records.MESSAGE[6:] if name not in ("created_at", "edited_at"))
MESSAGES = Table(
    "messages",
    ("user_id", "chat_id", "seq"),
    # Those that most messages have come first.
    (*records.MESSAGE[:6], "created_at", "segment", *_MOSTLY_NULL, "edited_at"),
    frozenset({"message_id"}),
)
REVISIONS = Table("revisions", ("user_id", "chat_id", "seq", "revision"), ("user_id", "chat_id", *records.REVISION))
FEEDBACK = Table("feedback", ("user_id", "chat_id", "seq", "caller"), ("user_id", "chat_id", *records.FEEDBACK))
