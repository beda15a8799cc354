"""Wake-ups between the processes that share a Postgres, by LISTEN and NOTIFY.

A NOTIFY is never part of a write: its transaction takes a lock that all NOTIFYs of a server share. It leaves after
the commit, on a connection of its own, at most one in ten milliseconds, and only while another process has said that
somebody there listens. See https://www.postgresql.org/docs/current/sql-notify.html
"""

import asyncio
import contextlib
import time
from typing import Any

import asyncpg
import structlog

from app.db import postgres
from app.db.database import Database
from app.events.pubsub import POLL_SECONDS, Hub

CHANNEL = "chatkeep"
SPACING_SECONDS = 0.01
RETRY_SECONDS = 1.0
# Somebody here listens, says a process with this; once more every few seconds, as long as it is so.
LISTENING = "+"
# Look at everything.
EVERYTHING = "*"
# A payload has less than 8000 bytes.
MAX_ADDRESSES = 800
# Nothing is lost if these few commits are: a wake-up stores nothing.
_SETTINGS = {"application_name": "chatkeep live", "synchronous_commit": "off"}
_log = structlog.get_logger("chatkeep.live")


class PostgresSignals:
    """See Signals. A broken connection is made anew; until then the hub's own looks have to do."""

    def __init__(self, db: Database) -> None:
        self._dsn = postgres.dsn(db.url)
        self._outgoing: set[str] = set()
        self._something = asyncio.Event()
        # Until when it must be supposed that somebody elsewhere listens; until when others suppose it of us.
        self._listened_until = float("-inf")
        self._said_until = float("-inf")
        self._pid = 0
        self._hub: Hub | None = None

    def send(self, address: str) -> None:
        """See Signals."""
        if time.monotonic() < self._listened_until:
            self._outgoing.add(address)
            self._something.set()

    def watched(self) -> None:
        """See Signals."""
        if self._hub is not None and self._hub.is_watched:
            self._outgoing.add(LISTENING)
            self._something.set()

    async def run(self, hub: Hub) -> None:
        """See Signals."""
        self._hub = hub
        while True:
            try:
                await self._talk(hub)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("the connection for wake-ups broke, and is made anew", error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)

    async def _talk(self, hub: Hub) -> None:
        connection = await asyncpg.connect(self._dsn, command_timeout=10, server_settings=_SETTINGS)
        try:
            connection.add_termination_listener(lambda _: self._something.set())
            self._pid = connection.get_server_pid()
            await connection.add_listener(CHANNEL, self._hear)
            # What nobody could tell so far, neither us nor the others.
            self._presume_listeners()
            hub.look_soon()
            self._outgoing.add(EVERYTHING)
            self._something.set()
            self.watched()
            while not connection.is_closed():
                await self._wait()
                if hub.is_watched and time.monotonic() >= self._said_until:
                    self._outgoing.add(LISTENING)
                await self._send(connection)
        finally:
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=1)

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._something.wait()
        self._something.clear()

    async def _send(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        if not self._outgoing:
            return
        outgoing, self._outgoing = self._outgoing, set()
        if LISTENING in outgoing:
            self._said_until = time.monotonic() + POLL_SECONDS * 0.9
        if len(outgoing) > MAX_ADDRESSES:
            outgoing = {EVERYTHING} | outgoing & {LISTENING}
        # Hexadecimal digits and our two marks: nothing to be quoted.
        await connection.execute(f"NOTIFY {CHANNEL}, '{','.join(outgoing)}'")
        await asyncio.sleep(SPACING_SECONDS)

    def _hear(self, _connection: Any, pid: int, _channel: str, payload: object) -> None:
        if pid == self._pid or self._hub is None or not isinstance(payload, str):
            return
        for said in payload.split(","):
            if said == LISTENING:
                if time.monotonic() >= self._listened_until:
                    # What was written before this word came, and was not told.
                    self._outgoing.add(EVERYTHING)
                    self._something.set()
                self._presume_listeners()
            elif said == EVERYTHING:
                self._hub.look_soon()
            else:
                self._hub.woken(said)

    def _presume_listeners(self) -> None:
        self._listened_until = time.monotonic() + 3 * POLL_SECONDS
