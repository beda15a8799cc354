"""Ctrl-C where a command blocks."""

import asyncio
import signal

import pytest

from app.cli.terminal import interruptible


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
