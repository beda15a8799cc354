"""How many SQL statements a request takes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from sqlalchemy import event

from app.db.database import Database
from app.db.driver import Driver, Row

BACKGROUND = {"Consumer._run", "run_reaper", "Housekeeping._run"}
"""What runs by itself from time to time."""


def in_the_background() -> bool:
    """Whether this is none of the request's statements."""
    task = asyncio.current_task()
    return task is not None and getattr(task.get_coro(), "__qualname__", "") in BACKGROUND


class CountingDriver:
    """A driver that notes what passes through it."""

    def __init__(self, driver: Driver, seen: list[str]) -> None:
        self._driver = driver
        self._seen = seen

    def _note(self, sql: str) -> None:
        if not in_the_background():
            self._seen.append(sql)

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Row]:
        self._note(sql)
        return await self._driver.fetch(sql, *arguments)

    async def fetch_one(self, sql: str, *arguments: Any) -> Row | None:
        self._note(sql)
        return await self._driver.fetch_one(sql, *arguments)

    async def close(self) -> None:
        await self._driver.close()


@asynccontextmanager
async def statements(app: FastAPI) -> AsyncIterator[list[str]]:
    """The statements that the block sends to the database, by the driver or a session."""
    db: Database = app.state.services.db
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not in_the_background():
            seen.append(statement)

    event.listen(db.engine.sync_engine, "before_cursor_execute", note)
    driver, db.driver = db.driver, CountingDriver(db.driver, seen)
    try:
        yield seen
    finally:
        db.driver = driver
        event.remove(db.engine.sync_engine, "before_cursor_execute", note)
