"""Column types and partial indexes that mean the same on SQLite and Postgres."""

from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import JSON, DateTime, Dialect, Index, Text, TextClause, Uuid
from sqlalchemy.types import TypeDecorator, TypeEngine

from app.db.timestamps import to_datetime, to_iso

NIL_UUID = "00000000-0000-0000-0000-000000000000"
"""No id is lower."""


class UtcDateTime(TypeDecorator[datetime]):
    """A timestamp: `timestamptz` on Postgres, sortable ISO 8601 text on SQLite. A naive datetime is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no meaning here: give it a time zone")
        return to_iso(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        timestamp: datetime | None = to_datetime(value)
        return timestamp


class Json(TypeDecorator[Any]):
    """JSON kept as the text it came as: not `jsonb`, which would reorder keys and rewrite numbers.

    None is NULL; `sqlalchemy.JSON.NULL` is the JSON text `null`.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else JSON(none_as_null=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        # On Postgres SQLAlchemy's own JSON type writes the text, with the serializer that the engine was given.
        if dialect.name != "sqlite" or value is None:
            return value
        return "null" if value is JSON.NULL else orjson.dumps(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return orjson.loads(value) if dialect.name == "sqlite" and value is not None else value


class Id(TypeDecorator[str]):
    """A UUID, a `str` in Python: `uuid` on Postgres, its 36 characters on SQLite."""

    impl = Uuid(as_uuid=False)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Uuid(as_uuid=False))


class Key(TypeDecorator[str]):
    """A text that is compared by its code points on both, so that an index finds what begins with a text."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        # Not by `type_descriptor`, with which the driver's dialect makes it a VARCHAR.
        return Text() if dialect.name == "sqlite" else Text(collation="C")


def partial_index(name: str, *columns: str, where: TextClause, unique: bool = False) -> Index:
    """An index of the rows that meet a condition."""
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)
