"""Export jobs: each export is made on a thread of its own, which waits while its client is slow."""

import asyncio
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.archive_formats import ExportFormat
from app.archive_formats.records import Record
from app.events.streams import wait_for_disconnect
from app.exporting.compression import compress
from app.exporting.reader import Selection, read, read_by_user
from app.exporting.snapshot import OpenSnapshot, Snapshot
from app.http.errors import NotFound, Overloaded

# At once in a process: each has a thread, a connection and a snapshot that keeps the database from being tidied.
MAX_JOBS = 8
# Chunks that are made before the client takes them.
_MAX_QUEUED_CHUNKS = 4
_CLOSE_SECONDS = 5

_log = structlog.get_logger("chatkeep.export")


class ExportJob:
    """One export, made on a thread: its chunks are to be read once, in an event loop.

    Attributes:
        chat: the record of its first chat, once a chunk was read.
        stopped: set when it is stopped before its end.
        closed: set when its connection is closed.
    """

    def __init__(
        self,
        open_snapshot: OpenSnapshot,
        selection: Selection,
        format_: ExportFormat,
        *,
        many: bool,
        coding: str,
        by_user: bool,
        on_close: Callable[["ExportJob"], None],
    ) -> None:
        self.chat: Record | None = None
        self._open_snapshot = open_snapshot
        self._selection = selection
        self._format = format_
        self._many = many
        self._coding = coding
        self._by_user = by_user
        self._on_close = on_close
        self._snapshot: Snapshot | None = None
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue()
        self._free_slots = threading.Semaphore(_MAX_QUEUED_CHUNKS)
        self._stopped = threading.Event()
        self.stopped = asyncio.Event()
        self.closed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="export", daemon=True)
        self._thread.start()

    async def next(self) -> bytes | None:
        """The next chunk; None after the last one. Raises what the thread raised."""
        chunk = await self._queue.get()
        self._free_slots.release()
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    def stop(self) -> None:
        """Ends the thread and its connection, wherever they are, and sets `stopped`."""
        if not self._stopped.is_set():
            self._stopped.set()
            self.stopped.set()
            self._free_slots.release()
            with suppress(Exception):
                if self._snapshot is not None:
                    self._snapshot.interrupt()

    def _run(self) -> None:
        outcome: BaseException | None = None
        chunks = self._make_chunks()
        try:
            for chunk in chunks:
                self._free_slots.acquire()
                if self._stopped.is_set():
                    break
                self._put(chunk)
        except BaseException as error:  # noqa: BLE001 - it is raised where the chunks are read
            outcome = error
        finally:
            with suppress(Exception):
                chunks.close()
            self._put(outcome)
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._close)

    def _close(self) -> None:
        self.closed.set()
        self._on_close(self)

    def _put(self, chunk: bytes | BaseException | None) -> None:
        # The loop may be closed by now.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._queue.put_nowait, chunk)

    def _make_chunks(self) -> Generator[bytes]:
        records = self._noting_first_chat(self._read())
        yield from compress(self._format.write(records, many=self._many), self._coding)

    def _read(self) -> Iterator[Record]:
        if self._selection.user_id is None and self._by_user:
            yield from read_by_user(self._opened, self._selection, lossless=self._format.lossless)
        else:
            with self._opened() as snapshot:
                yield from read(snapshot, self._selection, lossless=self._format.lossless)

    @contextmanager
    def _opened(self) -> Iterator[Snapshot]:
        """A snapshot that `stop` interrupts."""
        with self._open_snapshot() as snapshot:
            self._snapshot = snapshot
            try:
                yield snapshot
            finally:
                self._snapshot = None

    def _noting_first_chat(self, records: Iterator[Record]) -> Iterator[Record]:
        """The records; keeps that of the first chat. Raises NotFound where the one chat to export is gone by now."""
        yield next(records)
        first = next(records)
        if first["record"] == "chat":
            self.chat = dict(first)
        elif not self._many:
            raise NotFound
        yield first
        yield from records


class ExportRunner:
    """Starts and stops the export jobs of this process. With `by_user`, no snapshot has more than one user."""

    def __init__(self, open_snapshot: OpenSnapshot, *, by_user: bool = False) -> None:
        self._open_snapshot = open_snapshot
        self._by_user = by_user
        self._running: set[ExportJob] = set()
        self._closing = False

    def start(self, selection: Selection, format_: ExportFormat, *, many: bool, coding: str) -> ExportJob:
        """Starts an export. Raises Overloaded (503) while MAX_JOBS are under way."""
        if len(self._running) >= MAX_JOBS or self._closing:
            raise Overloaded(f"{MAX_JOBS} exports are under way here; try again shortly.", retry_after_seconds=5)
        job = ExportJob(
            self._open_snapshot,
            selection,
            format_,
            many=many,
            coding=coding,
            by_user=self._by_user,
            on_close=self._running.discard,
        )
        self._running.add(job)
        return job

    def stop(self) -> None:
        """Stops every job, and starts no new ones."""
        self._closing = True
        for job in list(self._running):
            job.stop()

    async def close(self) -> None:
        """Stops every job, and waits until their connections are closed."""
        self.stop()
        if self._running:
            tasks = [asyncio.create_task(job.closed.wait()) for job in self._running]
            await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)


class ExportResponse(Response):
    """Streams an export. Where the export breaks off, the response has no end either, so that the client sees it."""

    def __init__(self, job: ExportJob, first: bytes | None, headers: dict[str, str], media_type: str) -> None:
        self.status_code = 200
        self.background = None
        self.media_type = media_type
        self.init_headers(headers)
        self._job = job
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response (ASGI)."""
        # A client that is slow, or gone, or that stopped reading must not keep a stopped export.
        awaited = (self._send(send), wait_for_disconnect(receive), self._job.stopped.wait())
        tasks = [asyncio.create_task(awaitable) for awaitable in awaited]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._job.stop()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        chunk = self._first
        try:
            while chunk is not None:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                chunk = await self._job.next()
        except Exception as error:  # noqa: BLE001 - the response has begun: all that is left is not to end it
            _log.error("an export broke off", error=type(error).__name__)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def export_headers(coding: str, disposition: str) -> dict[str, Any]:
    """The headers of an export with a content coding and a Content-Disposition."""
    headers = {
        "Content-Disposition": disposition,
        "Cache-Control": "no-store",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        # If a browser shows it all the same, nothing in it may run.
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        # Else nginx buffers it.
        "X-Accel-Buffering": "no",
    }
    return headers if coding == "identity" else {**headers, "Content-Encoding": coding}
