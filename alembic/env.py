"""Alembic environment: migrates on a connection that was handed in, or on one to the database of the settings.

`alembic upgrade head --sql` writes SQL for the database of the settings without reaching it.
"""

import asyncio

from alembic import context
from sqlalchemy import Connection

from app.db.database import Database, kind_of
from app.models import metadata
from app.settings import Settings


def _render_item(kind: str, item: object, _autogen: object) -> str | bool:
    # Our own column types are imported by the template under their bare names.
    return f"{type(item).__name__}()" if kind == "type" and type(item).__module__ == "app.db.types" else False


def _is_ours(_item: object, name: str | None, kind: str, reflected: bool, _other: object) -> bool:
    # What only one kind of database has is in no model: the search index and the sequence of its numbers.
    return not (reflected and kind in ("table", "index") and str(name).startswith(("search_", "ix_documents_terms")))


def _run(dialect: str) -> None:
    with context.begin_transaction():
        if dialect == "postgresql":
            # On Citus, tables with foreign keys are changed one shard after the other. Elsewhere it means nothing.
            context.execute("SET LOCAL citus.multi_shard_modify_mode TO 'sequential'")
        context.run_migrations()


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=_render_item,
        compare_type=True,
        include_object=_is_ours,
    )
    _run(connection.dialect.name)


def _offline() -> None:
    settings = Settings()
    dialect = {"sqlite": "sqlite", "postgres": "postgresql"}[kind_of(settings.effective_database_url)]
    context.config.attributes["citus"] = settings.citus
    context.configure(
        dialect_name=dialect,
        target_metadata=metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        render_as_batch=dialect == "sqlite",
    )
    _run(dialect)


async def _online() -> None:
    db = await Database.open(Settings())
    context.config.attributes["citus"] = db.citus
    try:
        async with db.engine.connect() as connection:
            await connection.run_sync(_migrate)
            await connection.commit()
    finally:
        await db.close()


if context.is_offline_mode():
    _offline()
elif (connection := context.config.attributes.get("connection")) is not None:
    _migrate(connection)
else:
    asyncio.run(_online())
