"""Prefetch: an iterator that works on a thread, one item ahead of its consumer."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def prefetch(items: Iterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """The items of an iterator, each made while the one before it is used. On leaving, the thread is awaited."""
    prefetched = _Prefetch(items)
    try:
        yield prefetched
    finally:
        await prefetched.close()


class _Prefetch(AsyncIterator[T]):
    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._next: asyncio.Task[T | None] | None = self._start()

    def _start(self) -> asyncio.Task[T | None]:
        return asyncio.create_task(asyncio.to_thread(next, self._items, None))

    async def __anext__(self) -> T:
        if self._next is None:
            raise StopAsyncIteration
        # Shielded: a thread cannot be cancelled, and nobody else is to use the files before it is done.
        item = await asyncio.shield(self._next)
        self._next = None if item is None else self._start()
        if item is None:
            raise StopAsyncIteration
        return item

    async def close(self) -> None:
        if self._next is not None:
            with suppress(Exception):
                await self._next
