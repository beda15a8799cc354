"""Shutdown signals: tells open streams and exports to end before the server waits for them.

A server waits for open responses before it ends the lifespan, and streams have no end. So they hear of the signal
itself. The server's own handler runs after ours.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def on_shutdown_signal(callback: Callable[[], None]) -> Iterator[None]:
    """Calls `callback` in this event loop at SIGINT or SIGTERM, where a server handles them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    ours = {}
    for number in _SIGNALS:
        theirs = signal.getsignal(number)
        if callable(theirs) and theirs is not signal.default_int_handler:
            ours[number] = _before(theirs, lambda: loop.call_soon_threadsafe(callback))
            signal.signal(number, ours[number][0])
    try:
        yield
    finally:
        for number, (handler, theirs) in ours.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, theirs)


_Handler = Callable[[int, FrameType | None], object]


def _before(theirs: _Handler, callback: Callable[[], object]) -> tuple[_Handler, _Handler]:
    def handle(number: int, frame: FrameType | None) -> None:
        callback()
        theirs(number, frame)

    return handle, theirs
