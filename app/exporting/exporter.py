"""Exports that are under way: each is made on a thread of its own, which waits for its client when that is slow."""

import asyncio
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.archive_formats import ExportFormat
from app.archive_formats.records import Record
from app.exporting.compression import encoded
from app.exporting.reader import Selection, read
from app.exporting.snapshot import OpenSnapshot, Snapshot
from app.http.errors import NotFound, Overloaded

# At once in a process: each has a thread, a connection and a moment of the database that it keeps from being tidied.
MOST = 8
# Pieces that are made before the client has taken those before.
_AHEAD = 4
_END_SECONDS = 5

_log = structlog.get_logger("chatkeep.transfer")


class Export:
    """The pieces of one export, made on a thread: to be read once, in an event loop.

    Attributes:
        chat: the record of its first chat, once a piece was read.
        stopped: set when it was ended before its end.
        ended: set when its connection is closed.
    """

    def __init__(
        self,
        open_snapshot: OpenSnapshot,
        selection: Selection,
        written: ExportFormat,
        *,
        many: bool,
        coding: str,
        ended: Callable[["Export"], None],
    ) -> None:
        self.chat: Record | None = None
        self._open_snapshot = open_snapshot
        self._selection = selection
        self._format = written
        self._many = many
        self._coding = coding
        self._ended = ended
        self._snapshot: Snapshot | None = None
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()
        self._room = threading.Semaphore(_AHEAD)
        self._stopped = threading.Event()
        self.stopped = asyncio.Event()
        self.ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="export", daemon=True)
        self._thread.start()

    async def next(self) -> bytes | None:
        """The next piece; None after the last one. Raises what went wrong."""
        piece = await self._queue.get()
        self._room.release()
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def stop(self) -> None:
        """Ends the thread and its connection, wherever they are; whoever waits for a piece is told."""
        if not self._stopped.is_set():
            self._stopped.set()
            self.stopped.set()
            self._room.release()
            with suppress(Exception):
                if self._snapshot is not None:
                    self._snapshot.interrupt()

    def _run(self) -> None:
        outcome: BaseException | None = None
        pieces = self._pieces()
        try:
            for piece in pieces:
                self._room.acquire()
                if self._stopped.is_set():
                    break
                self._tell(piece)
        except BaseException as error:  # noqa: BLE001 - it is raised where the pieces are read
            outcome = error
        finally:
            with suppress(Exception):
                pieces.close()
            self._tell(outcome)
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self.ended.set()
        self._ended(self)

    def _tell(self, piece: bytes | BaseException | None) -> None:
        # The loop may be closed by now.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._queue.put_nowait, piece)

    def _pieces(self) -> Generator[bytes]:
        with self._open_snapshot() as snapshot:
            self._snapshot = snapshot
            try:
                records = self._watched(read(snapshot, self._selection, lossless=self._format.lossless))
                yield from encoded(self._format.write(records, many=self._many), self._coding)
            finally:
                self._snapshot = None

    def _watched(self, records: Iterator[Record]) -> Iterator[Record]:
        """The records; keeps the first chat's. Raises NotFound where one chat is wanted, and gone by now."""
        yield next(records)
        first = next(records)
        if first["record"] == "chat":
            self.chat = dict(first)
        elif not self._many:
            raise NotFound
        yield first
        yield from records


class Exports:
    """Every export of this process."""

    def __init__(self, open_snapshot: OpenSnapshot) -> None:
        self._open_snapshot = open_snapshot
        self._running: set[Export] = set()
        self._closing = False

    def start(self, selection: Selection, written: ExportFormat, *, many: bool, coding: str) -> Export:
        """An export, begun. Raises Overloaded (503) while too many are under way."""
        if len(self._running) >= MOST or self._closing:
            raise Overloaded(f"{MOST} exports are under way here; try again shortly.", retry_after_seconds=5)
        export = Export(self._open_snapshot, selection, written, many=many, coding=coding, ended=self._running.discard)
        self._running.add(export)
        return export

    def stop(self) -> None:
        """Cuts every export off; there are no new ones."""
        self._closing = True
        for export in list(self._running):
            export.stop()

    async def close(self) -> None:
        """Stops, and waits until every connection is closed."""
        self.stop()
        if self._running:
            await asyncio.wait(
                [asyncio.create_task(export.ended.wait()) for export in self._running], timeout=_END_SECONDS
            )


class ExportResponse(Response):
    """An export as it is made. Where it breaks off, so does the answer: without its end, and the client sees it."""

    def __init__(self, export: Export, first: bytes | None, headers: dict[str, str], media_type: str) -> None:
        self.status_code = 200
        self.background = None
        self.media_type = media_type
        self.init_headers(headers)
        self._export = export
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response (ASGI)."""
        # A client that is slow, or gone, or that stopped reading must not keep a stopped export.
        tasks = [asyncio.create_task(one) for one in (self._send(send), _gone(receive), self._export.stopped.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._export.stop()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        piece = self._first
        try:
            while piece is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await self._export.next()
        except Exception as error:  # noqa: BLE001 - the answer has begun: all that is left is not to end it
            _log.error("an export broke off", error=type(error).__name__)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def today() -> str:
    """The date, for a file's name."""
    return datetime.now(UTC).date().isoformat()


def headers_of(coding: str, disposition: str) -> dict[str, Any]:
    """The headers of an export."""
    headers = {
        "Content-Disposition": disposition,
        "Cache-Control": "no-store",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        # Should a browser show it all the same: it may do nothing here.
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        # nginx would collect it before it passes it on.
        "X-Accel-Buffering": "no",
    }
    return headers if coding == "identity" else {**headers, "Content-Encoding": coding}
