"""Bringing the schema up to date, and telling whether it is."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.database import Database

_FOLDER = Path(__file__).parents[2] / "alembic"
_LOCK = 0x63686174  # any number that no other program locks: "chat"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config


@cache
def _newest() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def upgrade(db: Database) -> bool:
    """Migrates to the newest schema; one process at a time. Gives whether there was anything to do."""
    async with db.engine.execution_options(begin="IMMEDIATE").connect() as connection:
        await _lock(db, connection)
        if await connection.run_sync(_current) == _newest():
            return False
        await connection.run_sync(lambda c: command.upgrade(_config(c), "head"))
        await connection.commit()
    return True


async def _lock(db: Database, connection: AsyncConnection) -> None:
    if db.kind == "postgres":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


async def is_current(db: Database) -> bool:
    """Whether the schema is the newest. Raises what the driver raises when the database does not answer."""
    async with db.engine.connect() as connection:
        return await connection.run_sync(_current) == _newest()
