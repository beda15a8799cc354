"""Everything that is stored, to tell whether a request changed anything."""

from typing import Any

from fastapi import FastAPI
from sqlalchemy import select

from app.models import metadata

Tables = dict[str, list[tuple[Any, ...]]]


async def stored(app: FastAPI, *user_ids: str) -> Tables:
    """The rows of every table; with users named, of those that have an owner only theirs."""
    rows: Tables = {}
    async with app.state.db.snapshot() as session:
        for table in metadata.sorted_tables:
            statement = select(table).order_by(*table.primary_key)
            if user_ids and table.name != "api_keys":
                statement = statement.where(table.c.user_id.in_(user_ids))
            rows[table.name] = [tuple(row) for row in await session.execute(statement)]
    return rows


def without_feed(tables: Tables) -> Tables:
    """The tables but for the feed, which keeps what was done even where it was undone."""
    return {name: rows for name, rows in tables.items() if name not in ("feeds", "changes")}
