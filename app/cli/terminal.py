"""What commands show: text that is safe on a terminal, and how far something long has come."""

import asyncio
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

# Where there is no terminal, a line is as long as it has to be.
UNLIMITED = 10_000
_SPACE = re.compile(r"\s+")
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def console() -> Console:
    """The standard output."""
    return Console(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else UNLIMITED)


def shown(text: str) -> str:
    """Somebody's text on one line, without what could steer a terminal or turn its direction."""
    return _STEERING.sub("\N{REPLACEMENT CHARACTER}", _SPACE.sub(" ", text))


def moment(text: str) -> str:
    """A moment of the API, to the second: `2026-01-31 12:00:00Z`."""
    return f"{text[:19].replace('T', ' ')}Z"


@contextmanager
def interruptible() -> Iterator[None]:
    """Lets Ctrl-C end what blocks in here. Otherwise asyncio only marks it, and waits for that to end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def readable(descriptor: int) -> None:
    """Waits until reading would not block: of a pipe or a terminal. A file never blocks."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
    except PermissionError:
        return
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


class Bar:
    """How far it has come: in bytes, and in messages where they can be counted."""

    def __init__(self, progress: Progress | None, task: TaskID, size: int | None, then: str) -> None:
        self._progress = progress
        self._task = task
        self._size = size
        self._then = then
        self.bytes = 0

    def on(self, size: int, messages: int | None = None) -> None:
        """So many bytes more; `messages` are those of all."""
        self.bytes += size
        if self._progress is not None:
            said = "" if messages is None else f"{messages:,} messages"
            said = self._then if self.bytes == self._size else said
            self._progress.update(self._task, completed=self.bytes, said=said)


@contextmanager
def bar(what: str, size: int | None = None, then: str = "") -> Iterator[Bar]:
    """A bar on the standard error, if that is a terminal.

    `size` is the bytes that there will be, if that is known, and `then` what is waited for after them.
    """
    if not sys.stderr.isatty():
        yield Bar(None, TaskID(0), size, then)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[said]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bar(progress, progress.add_task(what, total=size, said=""), size, then)
