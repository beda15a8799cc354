"""Everything that is stored, to tell whether a request changed anything."""

from functools import cache
from typing import Any

from fastapi import FastAPI
from sqlalchemy import Select, Table, bindparam, null, select

from app.models import metadata

Tables = dict[str, list[tuple[Any, ...]]]

# What is kept behind the writers, whenever that comes to be: nothing but what the other tables say.
FOLLOWING = ("usage", "usage_by", "usage_time_buckets", "documents", "buckets", "indexing", "moved_chats")
_FOLLOWING_COLUMN = "listed_at"


async def stored(app: FastAPI, *user_ids: str) -> Tables:
    """The rows of every table but FOLLOWING; with users named, of those that have an owner only theirs."""
    rows: Tables = {}
    async with app.state.services.db.snapshot() as session:
        for table in metadata.sorted_tables:
            if table.name in FOLLOWING:
                continue
            some = bool(user_ids) and table.name != "api_keys"
            found = await session.execute(_rows_of(table, some), {"user_ids": user_ids} if some else {})
            rows[table.name] = [tuple(row) for row in found]
    return rows


@cache
def _rows_of(table: Table, some: bool) -> Select[Any]:
    """The statement, made once for each table: hundreds of tests ask."""
    columns = (null() if column.name == _FOLLOWING_COLUMN else column for column in table.columns)
    statement = select(*columns).order_by(*table.primary_key)
    return statement.where(table.c.user_id.in_(bindparam("user_ids", expanding=True))) if some else statement


def without_feed(tables: Tables) -> Tables:
    """The tables but for the feed, which keeps what was done even where it was undone."""
    return {name: rows for name, rows in tables.items() if name not in ("feeds", "changes")}
