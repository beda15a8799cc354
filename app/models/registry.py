"""Registry of what belongs to a user and to a chat: whatever erases, clears, copies, exports or imports walks it.

A model says by `owned` what its rows go with. A test fails for one with a `user_id` that does not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

from sqlalchemy import Table
from sqlmodel import SQLModel

from app.db.types import Id, Json, UtcDateTime

Owner = Literal["user", "chat", "messages", "message"]
Model = TypeVar("Model", bound=type[SQLModel])

CHAT_KEY = ("user_id", "chat_id")


@dataclass(frozen=True)
class OwnedTable:
    """A table whose rows belong to somebody.

    Attributes:
        model: the class of its rows.
        owner: what a row goes with: its user, its chat, all messages of that together, or its message.
        record: of what type its rows are in archives; None where they are not.
        is_copied: whether a fork copies them with their chat or message.
    """

    model: type[SQLModel]
    owner: Owner
    record: str | None
    is_copied: bool

    @property
    def table(self) -> Table:
        """The table."""
        table: Table = self.model.__table__  # type: ignore[attr-defined]
        return table

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns of the primary key."""
        return tuple(_plain(column.name) for column in self.table.primary_key.columns)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All columns, those of the primary key first."""
        return (*self.key, *(_plain(column.name) for column in self.table.columns if column.name not in self.key))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The columns without those that say which chat it is: the fields of a record."""
        return tuple(name for name in self.columns if name not in CHAT_KEY)

    @cached_property
    def json_columns(self) -> frozenset[str]:
        """The columns that hold JSON."""
        return self._of_type(Json)

    @cached_property
    def timestamp_columns(self) -> frozenset[str]:
        """The columns that hold a time."""
        return self._of_type(UtcDateTime)

    @cached_property
    def id_columns(self) -> frozenset[str]:
        """The columns that hold a UUID."""
        return self._of_type(Id)

    @property
    def cascades(self) -> bool:
        """Whether the database deletes its rows with what they belong to."""
        return any(constraint.ondelete == "CASCADE" for constraint in self.table.foreign_key_constraints)

    def _of_type(self, kind: type) -> frozenset[str]:
        return frozenset(_plain(column.name) for column in self.table.columns if isinstance(column.type, kind))


def _plain(name: str) -> str:
    # SQLAlchemy's names may be of a class of their own, which orjson takes for no text.
    return str(name)


_TABLES: dict[str, OwnedTable] = {}


def owned(owner: Owner, *, record: str | None = None, is_copied: bool = False) -> Callable[[Model], Model]:
    """Registers a model; for the arguments see OwnedTable. In the order of import, so that rows come after those that
    they refer to."""

    def register(model: Model) -> Model:
        table = OwnedTable(model, owner, record, is_copied)
        _TABLES[table.name] = table
        return model

    return register


def owned_table(name: str) -> OwnedTable:
    """A registered table. Raises KeyError for one that is not."""
    return _TABLES[name]


def owned_tables(*owners: Owner) -> Iterator[OwnedTable]:
    """The registered tables whose rows go with one of these, or all."""
    return (table for table in _TABLES.values() if not owners or table.owner in owners)


def archived_tables() -> Iterator[OwnedTable]:
    """The tables whose rows are in archives beside their chats and messages, in the order of the archive."""
    return (table for table in _TABLES.values() if table.record is not None)
