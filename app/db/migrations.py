"""Schema migrations: runs Alembic in the process, and says whether the schema is current."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.database import Database

_APP = Path(__file__).parents[1]
_SCRIPTS = _APP.parent / "alembic"
_LOCK = 0x63686174  # any number that no other program locks: "chat"


def _config(connection: Connection | None = None, *, citus: bool = False) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    config.attributes["citus"] = citus
    return config


def run_sql_file(name: str, values: Mapping[str, str] | None = None) -> None:
    """Installs the SQL objects of a file under `app`: for migrations, each time the file has changed.

    `values` are put in the place of names in braces.

    They are replaceable objects (https://alembic.sqlalchemy.org/en/latest/cookbook.html#replaceable-objects): the file
    stands beside the code that calls them, and can be run over an earlier form of itself. A line `--;` ends a
    statement, since triggers and functions have semicolons of their own.
    """
    for statement in sql_statements(name, values):
        op.execute(statement)


def sql_statements(name: str, values: Mapping[str, str] | None = None) -> list[str]:
    """The statements of a file, as `run_sql_file` runs them."""
    text = (_APP / name).read_text()
    for placeholder, value in (values or {}).items():
        text = text.replace(f"{{{placeholder}}}", value)
    return text.split("--;\n")


class UnknownSchema(Exception):
    """The database has a schema that this version knows nothing of."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"The database is of another version of Chatkeep (schema {revision}). Export all chats with that one "
            "(chatkeep export --all --state all -o all.jsonl), and import them into an empty database with this one "
            "(chatkeep import --all --keep-ids all.jsonl)."
        )


@cache
def _newest() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


@cache
def _known() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def upgrade(db: Database) -> bool:
    """Migrates to the newest schema, one process at a time. Returns whether there was anything to do.

    Raises UnknownSchema.
    """
    async with db.engine.execution_options(begin="IMMEDIATE").connect() as connection:
        await _lock(db, connection)
        current = await connection.run_sync(_current)
        if current == _newest():
            return False
        if current is not None and current not in _known():
            raise UnknownSchema(current)
        await connection.run_sync(lambda c: command.upgrade(_config(c, citus=db.citus), "head"))
        await connection.commit()
    return True


async def _lock(db: Database, connection: AsyncConnection) -> None:
    if db.kind == "postgres":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


async def is_current(db: Database) -> bool:
    """Whether the schema is the newest. Raises what the driver raises when the database does not answer."""
    async with db.engine.connect() as connection:
        return await connection.run_sync(_current) == _newest()
