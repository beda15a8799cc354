"""The moment when the service is asked to stop.

A server waits for open streams before it ends the lifespan, and streams have no end: they must hear of the signal
itself. Whoever handles it still does so, after us.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def when_asked_to_stop(call: Callable[[], None]) -> Iterator[None]:
    """Has `call` done in this event loop at SIGINT or SIGTERM, where a server handles them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    ours = {}
    for number in _SIGNALS:
        theirs = signal.getsignal(number)
        if callable(theirs) and theirs is not signal.default_int_handler:
            ours[number] = _before(theirs, lambda: loop.call_soon_threadsafe(call))
            signal.signal(number, ours[number][0])
    try:
        yield
    finally:
        for number, (handler, theirs) in ours.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, theirs)


_Handler = Callable[[int, FrameType | None], object]


def _before(theirs: _Handler, call: Callable[[], object]) -> tuple[_Handler, _Handler]:
    def handle(number: int, frame: FrameType | None) -> None:
        call()
        theirs(number, frame)

    return handle, theirs
