"""Terminal output of commands: text made safe to print, progress bars, and input that Ctrl-C interrupts."""

import asyncio
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
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
_UNLIMITED_WIDTH = 10_000
_SPACE = re.compile(r"\s+")
_CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def console() -> Console:
    """The standard output."""
    return Console(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH)


def printable(text: str) -> str:
    """Somebody's text on one line, without what could steer a terminal or turn its direction."""
    return _CONTROL_CHARACTERS.sub("\N{REPLACEMENT CHARACTER}", _SPACE.sub(" ", text))


def format_json(value: Any) -> str:
    """JSON for people and programs."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def short_timestamp(text: str) -> str:
    """A timestamp of the API, to the second: `2026-01-31 12:00:00Z`."""
    return f"{text[:19].replace('T', ' ')}Z"


@contextmanager
def interruptible() -> Iterator[None]:
    """Lets Ctrl-C end a blocking call of a task in here. Otherwise asyncio only marks it, and the call goes on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # Ctrl-C came a moment ago, and would only be seen after the call.
            raise KeyboardInterrupt
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def wait_readable(descriptor: int) -> None:
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


class ProgressBar:
    """Progress of a transfer: in bytes, and in messages where they can be counted."""

    def __init__(self, progress: Progress | None, task: TaskID, size: int | None, then: str) -> None:
        self._progress = progress
        self._task = task
        self._size = size
        self._then = then
        self.bytes = 0

    def advance(self, size: int, messages: int | None = None) -> None:
        """Adds `size` bytes; `messages` is how many there were in all."""
        self.bytes += size
        if self._progress is not None:
            status = "" if messages is None else f"{messages:,} messages"
            status = self._then if self.bytes == self._size else status
            self._progress.update(self._task, completed=self.bytes, status=status)


@contextmanager
def progress_bar(what: str, size: int | None = None, then: str = "") -> Iterator[ProgressBar]:
    """A bar on the standard error, if that is a terminal.

    `size` is the bytes that there will be, if that is known, and `then` what is waited for after them.
    """
    if not sys.stderr.isatty():
        yield ProgressBar(None, TaskID(0), size, then)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[status]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield ProgressBar(progress, progress.add_task(what, total=size, status=""), size, then)
