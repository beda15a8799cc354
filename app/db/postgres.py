"""Postgres: how its connections are set, and reads through an asyncpg pool.

`synchronous_commit=on` is asked for on every connection, since a database may have it off by default and an
acknowledged write must survive power loss.
"""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from app.db.driver import Row

SERVER_SETTINGS = {"application_name": "chatkeep", "synchronous_commit": "on"}
# The statements on the driver are ranges of an index whatever their arguments: planning each anew doubled their cost.
# Nor is any worth being compiled, whatever it is believed to cost.
DRIVER_SETTINGS = {**SERVER_SETTINGS, "plan_cache_mode": "force_generic_plan", "jit": "off"}
# Citus sends a statement to the machine of its user, whom a generic plan does not know.
CITUS_SETTINGS = {**DRIVER_SETTINGS, "plan_cache_mode": "auto"}


def url(given: str) -> str:
    """The SQLAlchemy URL for asyncpg of a `postgres://…` or `postgresql://…` one."""
    parsed = make_url(given).set(drivername="postgresql+asyncpg")
    query = dict(parsed.query)
    if "sslmode" in query:
        # libpq's name; asyncpg's SQLAlchemy dialect calls it ssl.
        query["ssl"] = query.pop("sslmode")
    return parsed.set(query=query).render_as_string(hide_password=False)


def dsn(given: str) -> str:
    """The URL as asyncpg itself takes it."""
    return make_url(given).set(drivername="postgresql").render_as_string(hide_password=False)


def connection_options(pgbouncer: bool, citus: bool = False) -> dict[str, Any]:
    """Arguments for `asyncpg.connect` and its pools, for the hottest statements."""
    return _options(pgbouncer, CITUS_SETTINGS if citus else DRIVER_SETTINGS)


def session_options(pgbouncer: bool) -> dict[str, Any]:
    """The same, for everything else."""
    return _options(pgbouncer, SERVER_SETTINGS)


def _options(pgbouncer: bool, settings: dict[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {"command_timeout": 60}
    if pgbouncer:
        # Transaction pooling hands every transaction another server connection: nothing may be prepared before 1.21,
        # and start-up parameters are refused.
        options["statement_cache_size"] = 0
    else:
        options["server_settings"] = settings
    return options


def engine(given: str, pool_size: int, pgbouncer: bool) -> AsyncEngine:
    """The engine for everything but the hottest statements."""
    arguments = session_options(pgbouncer)
    options: dict[str, Any] = {
        "connect_args": arguments,
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
    }
    if pgbouncer:
        arguments["prepared_statement_cache_size"] = 0
        arguments["prepared_statement_name_func"] = lambda: f"__chatkeep_{uuid4()}__"
        options["poolclass"] = NullPool
    else:
        options |= {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": 30, "pool_pre_ping": True}
    return create_async_engine(url(given), **options)


async def _keep(_connection: Any) -> None:
    """No reset between uses: reads leave nothing behind, and the default costs a round trip each time."""


class PostgresDriver:
    """Reads through a pool of asyncpg connections."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @classmethod
    async def open(cls, given: str, pool_size: int, options: dict[str, Any]) -> "PostgresDriver":
        """A driver with its first connections made, with `connection_options`."""
        pool = await asyncpg.create_pool(dsn(given), min_size=1, max_size=pool_size, reset=_keep, **options)
        return cls(pool)

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Row]:
        async with self._pool.acquire() as connection:
            try:
                return await connection.fetch(sql, *arguments)
            except asyncpg.InternalClientError:
                connection.terminate()  # it cannot go on, and may not know it: nobody is to be given it again
                raise

    async def fetch_one(self, sql: str, *arguments: Any) -> Row | None:
        async with self._pool.acquire() as connection:
            try:
                return await connection.fetchrow(sql, *arguments)
            except asyncpg.InternalClientError:
                connection.terminate()  # it cannot go on, and may not know it: nobody is to be given it again
                raise

    async def close(self) -> None:
        await self._pool.close()
