"""An iterator that works on a thread, one step ahead of whoever uses what it makes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def ahead(made: Iterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """What an iterator makes. The next one is made while this one is used; when this is left, nothing is at work."""
    steps = _Ahead(made)
    try:
        yield steps
    finally:
        await steps.close()


class _Ahead(AsyncIterator[T]):
    def __init__(self, made: Iterator[T]) -> None:
        self._made = made
        self._next: asyncio.Task[T | None] | None = self._start()

    def _start(self) -> asyncio.Task[T | None]:
        return asyncio.create_task(asyncio.to_thread(next, self._made, None))

    async def __anext__(self) -> T:
        if self._next is None:
            raise StopAsyncIteration
        # Shielded: a thread cannot be cancelled, and nobody else is to use the files before it is done.
        made = await asyncio.shield(self._next)
        self._next = None if made is None else self._start()
        if made is None:
            raise StopAsyncIteration
        return made

    async def close(self) -> None:
        if self._next is not None:
            with suppress(Exception):
                await self._next
