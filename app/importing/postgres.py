"""Bulk insert on Postgres: COPY in its binary form."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import asyncpg
from sqlmodel.ext.asyncio.session import AsyncSession


def _unchanged(timestamp: datetime) -> datetime:
    return timestamp


class PostgresLoader:
    timestamp = staticmethod(_unchanged)
    rows_at_once = 5_000

    async def load(
        self, session: AsyncSession, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
    ) -> None:
        if not rows:
            return
        connection = await (await session.connection()).get_raw_connection()
        driver = cast("asyncpg.Connection[asyncpg.Record]", connection.driver_connection)
        await driver.copy_records_to_table(table, records=rows, columns=list(columns))
