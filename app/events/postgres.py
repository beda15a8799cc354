"""PostgreSQL notifier: LISTEN and NOTIFY between the processes that share a database.

A NOTIFY is never part of a write, because its transaction takes a lock that all NOTIFYs of a server share. It is sent
after the commit, on a connection of its own, at most once in ten milliseconds, and only while another process has
announced that it has subscribers. See https://www.postgresql.org/docs/current/sql-notify.html
"""

import asyncio
import contextlib
import time
from typing import Any

import asyncpg
import structlog

from app.db import postgres
from app.db.database import Database
from app.events.pubsub import POLL_SECONDS, PubSub
from app.events.streams import wait_for_event
from app.http.database_errors import FAILURES

CHANNEL = "chatkeep"
SPACING_SECONDS = 0.01
RETRY_SECONDS = 1.0
# A process sends this to announce that it has subscribers, and again every few seconds while it has.
LISTENING = "+"
# Asks the other processes to poll every topic.
EVERYTHING = "*"
# A payload has less than 8000 bytes.
MAX_ADDRESSES = 800
# Nothing is lost when one of these commits is: a wake-up stores nothing.
_SETTINGS = {"application_name": "chatkeep events", "synchronous_commit": "off"}
_log = structlog.get_logger("chatkeep.events")


class PostgresNotifier:
    """Reconnects when its connection breaks; until then PubSub's own polling has to do."""

    def __init__(self, db: Database) -> None:
        self._dsn = postgres.dsn(db.url)
        self._outgoing: set[str] = set()
        self._has_work = asyncio.Event()
        # Until when we suppose that others listen; until when others suppose that we do.
        self._others_listen_until = float("-inf")
        self._announced_until = float("-inf")
        self._pid = 0
        self._pubsub: PubSub | None = None

    def send(self, address: str) -> None:
        if time.monotonic() < self._others_listen_until:
            self._enqueue(address)

    def subscribers_changed(self) -> None:
        if self._pubsub is not None and self._pubsub.has_subscribers:
            self._enqueue(LISTENING)

    async def run(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub
        while True:
            try:
                await self._communicate(pubsub)
            except FAILURES as error:
                _log.warning("the connection for notifications broke, and is opened again", error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)

    async def _communicate(self, pubsub: PubSub) -> None:
        connection = await asyncpg.connect(self._dsn, command_timeout=10, server_settings=_SETTINGS)
        try:
            connection.add_termination_listener(lambda _: self._has_work.set())
            self._pid = connection.get_server_pid()
            await connection.add_listener(CHANNEL, self._on_notification)
            # While we were not connected, wake-ups were lost in both directions.
            self._presume_listeners()
            pubsub.poll_soon()
            self._enqueue(EVERYTHING)
            self.subscribers_changed()
            while not connection.is_closed():
                await wait_for_event(self._has_work, POLL_SECONDS)
                self._has_work.clear()
                if pubsub.has_subscribers and time.monotonic() >= self._announced_until:
                    self._outgoing.add(LISTENING)
                await self._send_outgoing(connection)
        finally:
            with contextlib.suppress(*FAILURES):
                await connection.close(timeout=1)

    def _enqueue(self, item: str) -> None:
        self._outgoing.add(item)
        self._has_work.set()

    async def _send_outgoing(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        if not self._outgoing:
            return
        outgoing, self._outgoing = self._outgoing, set()
        if LISTENING in outgoing:
            self._announced_until = time.monotonic() + POLL_SECONDS * 0.9
        if len(outgoing) > MAX_ADDRESSES:
            outgoing = {EVERYTHING} | outgoing & {LISTENING}
        # Hexadecimal digits and our two marks: nothing that needs quoting.
        await connection.execute(f"NOTIFY {CHANNEL}, '{','.join(outgoing)}'")
        await asyncio.sleep(SPACING_SECONDS)

    def _on_notification(self, _connection: Any, pid: int, _channel: str, payload: object) -> None:
        if pid == self._pid or self._pubsub is None or not isinstance(payload, str):
            return
        for item in payload.split(","):
            if item == LISTENING:
                if time.monotonic() >= self._others_listen_until:
                    # What was written before this announcement came was not sent.
                    self._enqueue(EVERYTHING)
                self._presume_listeners()
            elif item == EVERYTHING:
                self._pubsub.poll_soon()
            else:
                self._pubsub.wake_local(item)

    def _presume_listeners(self) -> None:
        self._others_listen_until = time.monotonic() + 3 * POLL_SECONDS
