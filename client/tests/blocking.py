"""Blocking wrapper around the async client, so that every test runs with both clients."""

import asyncio
import contextlib
import inspect
from collections.abc import Iterator
from typing import Any, cast

from chatkeep import AsyncChatkeep, Chatkeep


class Blocking:
    """Wraps an async object: awaits its methods, iterators and context managers, and wraps what they return."""

    def __init__(self, inner: Any, runner: asyncio.Runner) -> None:
        self._inner = inner
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return self._wrapped(getattr(self._inner, "aclose" if name == "close" else name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Where the sync client takes an iterator, the async one takes an async iterator.
        args = tuple(_texts(argument) if inspect.isgenerator(argument) else argument for argument in args)
        return self._wrapped(self._inner(*args, **kwargs))

    def __iter__(self) -> Iterator[Any]:
        iterator = aiter(self._inner)
        while True:
            try:
                yield self._wrapped(self._runner.run(anext(iterator)))
            except StopAsyncIteration:
                return

    def __next__(self) -> Any:
        try:
            return self._runner.run(anext(self._inner))
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> Any:
        return self._wrapped(self._runner.run(_entered(self._inner)))

    def __exit__(self, *exc: object) -> None:
        self._runner.run(self._inner.__aexit__(*exc))

    def _wrapped(self, value: Any) -> Any:
        if inspect.iscoroutine(value):
            value = self._runner.run(value)
        plain = type(value).__module__.startswith("chatkeep.") and not type(value).__module__.startswith(
            "chatkeep.models"
        )
        if plain or callable(value) or hasattr(value, "__aiter__"):
            return Blocking(value, self._runner)
        return value


async def _entered(manager: Any) -> Any:
    return await manager.__aenter__()


async def _texts(texts: Iterator[Any]) -> Any:
    for text in texts:
        await asyncio.sleep(0)
        yield text


@contextlib.contextmanager
def open_client(kind: str, url: str, key: str, user: str | None, **options: Any) -> Iterator[Chatkeep]:
    """Opens a client of either kind, `sync` or `async`."""
    if kind == "sync":
        with Chatkeep(url, key, user_id=user, **options) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        blocking = Blocking(AsyncChatkeep(url, key, user_id=user, **options), runner)
        with blocking as client:
            yield cast("Chatkeep", client)
