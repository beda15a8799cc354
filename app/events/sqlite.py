"""SQLite notifier: detects the commits of other processes by polling the file's change counter."""

import asyncio
import sqlite3

import aiosqlite
import structlog

from app.db import sqlite
from app.db.database import Database
from app.events.pubsub import PubSub

POLL_SECONDS = 0.05
RETRY_SECONDS = 1.0
_log = structlog.get_logger("chatkeep.events")


class SqliteNotifier:
    """Polls `PRAGMA data_version`, which changes when another connection has committed and is read from shared memory
    (https://www.sqlite.org/pragma.html#pragma_data_version). It does not poll while there are no subscribers."""

    def __init__(self, db: Database) -> None:
        self._connections = sqlite.Connections(sqlite.path(db.url))
        self._subscribed = asyncio.Event()

    def send(self, address: str) -> None:
        """Does nothing: the other processes poll by themselves."""

    def subscribers_changed(self) -> None:
        self._subscribed.set()

    async def run(self, pubsub: PubSub) -> None:
        while True:
            try:
                await self._poll(pubsub, await self._connections.open())
            except (OSError, sqlite3.Error) as error:
                _log.warning("could not poll the database, and will try again", error=type(error).__name__)
            finally:
                await self._connections.close()
            await asyncio.sleep(RETRY_SECONDS)

    async def _poll(self, pubsub: PubSub, connection: aiosqlite.Connection) -> None:
        last_version = None
        while True:
            if not pubsub.has_subscribers:
                self._subscribed.clear()
                await self._subscribed.wait()
                last_version = None
            ((version,),) = await connection.execute_fetchall("PRAGMA data_version")
            if version != last_version:
                last_version = version
                await pubsub.poll()
            await asyncio.sleep(POLL_SECONDS)
