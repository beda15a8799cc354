"""Bulk insert on SQLite: one statement, which the driver runs for each row."""

from collections.abc import Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from app.importing.chat_builder import Row


class SqliteLoader:
    timestamp = None
    rows_at_once = 1_500

    async def load(self, session: AsyncSession, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        if rows:
            values = ", ".join("?" * len(columns))
            statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"
            await (await session.connection()).exec_driver_sql(statement, list(rows))
