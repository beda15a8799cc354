"""Wake-ups between the processes that share an SQLite file, by a look at it."""

import asyncio
import sqlite3

import aiosqlite
import structlog

from app.db import sqlite
from app.db.database import Database
from app.events.pubsub import Hub

LOOK_SECONDS = 0.05
RETRY_SECONDS = 1.0
_log = structlog.get_logger("chatkeep.live")


class SqliteSignals:
    """See Signals. SQLite tells nobody of a commit, but counts them: `PRAGMA data_version` changes when another
    connection has committed, and costs a glance at shared memory (https://www.sqlite.org/pragma.html#pragma_data_version).
    While nobody watches, nobody looks."""

    def __init__(self, db: Database) -> None:
        self._database = sqlite.path(db.url)
        self._somebody = asyncio.Event()

    def send(self, address: str) -> None:
        """See Signals: the other processes look by themselves."""

    def watched(self) -> None:
        """See Signals."""
        self._somebody.set()

    async def run(self, hub: Hub) -> None:
        """See Signals."""
        while True:
            try:
                async with aiosqlite.connect(self._database, isolation_level=None) as connection:
                    await self._look(hub, connection)
            except (OSError, sqlite3.Error) as error:
                _log.warning("could not look at the database, and will again", error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)

    async def _look(self, hub: Hub, connection: aiosqlite.Connection) -> None:
        seen = None
        while True:
            if not hub.is_watched:
                self._somebody.clear()
                await self._somebody.wait()
                seen = None
            ((version,),) = await connection.execute_fetchall("PRAGMA data_version")
            if version != seen:
                seen = version
                await hub.look()
            await asyncio.sleep(LOOK_SECONDS)
