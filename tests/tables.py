"""Everything that is stored, to tell whether a request changed anything."""

from typing import Any

from fastapi import FastAPI
from sqlalchemy import select

from app.models import metadata

Tables = dict[str, list[tuple[Any, ...]]]

# What is kept behind the writers, whenever that comes to be: nothing but what the other tables say.
FOLLOWING = ("usage", "usage_by", "usage_time_buckets", "documents", "buckets", "indexing")


async def stored(app: FastAPI, *user_ids: str) -> Tables:
    """The rows of every table but FOLLOWING; with users named, of those that have an owner only theirs."""
    rows: Tables = {}
    async with app.state.services.db.snapshot() as session:
        for table in metadata.sorted_tables:
            if table.name in FOLLOWING:
                continue
            statement = select(table).order_by(*table.primary_key)
            if user_ids and table.name != "api_keys":
                statement = statement.where(table.c.user_id.in_(user_ids))
            rows[table.name] = [tuple(row) for row in await session.execute(statement)]
    return rows


def without_feed(tables: Tables) -> Tables:
    """The tables but for the feed, which keeps what was done even where it was undone."""
    return {name: rows for name, rows in tables.items() if name not in ("feeds", "changes")}
