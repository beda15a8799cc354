"""How migrations reach the database: on a connection that was handed in, or on that of the settings.

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
    # What only one of the databases has stands in migrations alone: the index of the search and its numbers.
    return not (reflected and kind in ("table", "index") and str(name).startswith(("search_", "ix_documents_terms")))


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=_render_item,
        compare_type=True,
        include_object=_is_ours,
    )
    with context.begin_transaction():
        context.run_migrations()


def _offline() -> None:
    dialect = {"sqlite": "sqlite", "postgres": "postgresql"}[kind_of(Settings().effective_database_url)]
    context.configure(
        dialect_name=dialect,
        target_metadata=metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        render_as_batch=dialect == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


async def _online() -> None:
    db = await Database.open(Settings())
    try:
        async with db.engine.connect() as connection:
            await connection.run_sync(_migrate)
            await connection.commit()
    finally:
        await db.close()


if context.is_offline_mode():
    _offline()
elif (given := context.config.attributes.get("connection")) is not None:
    _migrate(given)
else:
    asyncio.run(_online())
