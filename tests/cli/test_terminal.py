"""Ctrl-C where a command blocks."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from app.cli.terminal import interruptible


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """What a shell starts in the background ignores Ctrl-C, and so would these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_just_before_a_blocking_call_is_not_lost() -> None:
    async def work() -> None:
        signal.raise_signal(signal.SIGINT)
        with interruptible():
            pytest.fail("it would block here")

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(work())


def test_an_interrupt_ends_a_blocking_call() -> None:
    async def work() -> None:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
            pytest.fail("it would block here")

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(work())
