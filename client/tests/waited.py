"""The client that is awaited, used like the one that waits: so that every test is one of both."""

import asyncio
import contextlib
import inspect
from collections.abc import Iterator
from typing import Any, cast

from chatkeep import AsyncChatkeep, Chatkeep


class Waited:
    """An object whose methods are awaited here, as deep as they go: what is iterated, entered and closed as well."""

    def __init__(self, inner: Any, runner: asyncio.Runner) -> None:
        self._inner = inner
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return self._wrapped(getattr(self._inner, "aclose" if name == "close" else name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # What takes texts from an iterator here takes them from an asynchronous one there.
        args = tuple(_texts(one) if inspect.isgenerator(one) else one for one in args)
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
            return Waited(value, self._runner)
        return value


async def _entered(manager: Any) -> Any:
    return await manager.__aenter__()


async def _texts(texts: Iterator[Any]) -> Any:
    for text in texts:
        await asyncio.sleep(0)
        yield text


@contextlib.contextmanager
def opened(kind: str, url: str, key: str, user: str | None, **options: Any) -> Iterator[Chatkeep]:
    """A client of either kind, `sync` or `async`, and closes it in the end."""
    if kind == "sync":
        with Chatkeep(url, key, user_id=user, **options) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        waited = Waited(AsyncChatkeep(url, key, user_id=user, **options), runner)
        with waited as client:
            yield cast("Chatkeep", client)
