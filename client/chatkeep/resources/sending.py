"""How a method of a resource sends the request that a function makes.

    class Chats(Resource):
        get = Sent(calls.get)

gives `client.chats.get` the parameters of `calls.get`, which makes a `Call[Chat]`, and a `Chat` to return;
`AsyncSent` a coroutine of one. `Paged` and `AsyncPaged` go through all pages of what the function asks one page of.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar

from chatkeep.models.model import Page
from chatkeep.request import Call
from chatkeep.retrying import Attempts

if TYPE_CHECKING:
    import httpx2

    from chatkeep.wire import Content

P = ParamSpec("P")
T = TypeVar("T")


class Sender(Protocol):
    """A client that waits."""

    def send(self, call: Call[T], /) -> T:
        """Sends a call, and answers what it is answered."""

    def open(self, call: Call[Any], /) -> "httpx2.Response":
        """Sends a call whose answer is read while it comes, and must be closed."""

    def try_once(self, call: Call[Any], content: "Content", *, stream: bool) -> "httpx2.Response":
        """Sends a call once, whatever it is answered. Raises httpx2.RequestError."""

    def attempts(self, call: Call[Any], /) -> Attempts:
        """Those that a call has."""


class AsyncSender(Protocol):
    """A client that is awaited."""

    async def send(self, call: Call[T], /) -> T:
        """Sends a call, and answers what it is answered."""

    async def open(self, call: Call[Any], /) -> "httpx2.Response":
        """Sends a call whose answer is read while it comes, and must be closed."""

    async def try_once(self, call: Call[Any], content: "Content", *, stream: bool) -> "httpx2.Response":
        """Sends a call once, whatever it is answered. Raises httpx2.RequestError."""

    def attempts(self, call: Call[Any], /) -> Attempts:
        """Those that a call has."""


class Resource:
    """What a client that waits does with one kind of thing."""

    def __init__(self, client: Sender) -> None:
        self._client = client


class AsyncResource:
    """What a client that is awaited does with one kind of thing."""

    def __init__(self, client: AsyncSender) -> None:
        self._client = client


class Sent(Generic[P, T]):
    """A method that sends what a function makes."""

    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    def __get__(self, resource: Resource, owner: type[Resource]) -> Callable[P, T]:
        @wraps(self.make)
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return resource._client.send(self.make(*args, **kwargs))

        return method


class AsyncSent(Generic[P, T]):
    """A method that sends what a function makes, to be awaited."""

    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    def __get__(self, resource: AsyncResource, owner: type[AsyncResource]) -> Callable[P, Coroutine[Any, Any, T]]:
        @wraps(self.make)
        async def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return await resource._client.send(self.make(*args, **kwargs))

        return method


class Paged(Generic[P, T]):
    """A method that goes through all the pages of a list, each asked for when it is needed."""

    def __init__(self, make: Callable[P, Call[Page[T]]]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    def __get__(self, resource: Resource, owner: type[Resource]) -> Callable[P, Iterator[T]]:
        @wraps(self.make)
        def method(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            return pages(resource._client, self.make(*args, **kwargs))

        return method


class AsyncPaged(Generic[P, T]):
    """The same for `async for`."""

    def __init__(self, make: Callable[P, Call[Page[T]]]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    def __get__(self, resource: AsyncResource, owner: type[AsyncResource]) -> Callable[P, AsyncIterator[T]]:
        @wraps(self.make)
        def method(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
            return async_pages(resource._client, self.make(*args, **kwargs))

        return method


def pages(client: Sender, call: Call[Page[T]]) -> Iterator[T]:
    """Everything in a list from a page on."""
    while True:
        page = client.send(call)
        yield from page.items
        if page.next_cursor is None:
            return
        call = call.asking(cursor=page.next_cursor)


async def async_pages(client: AsyncSender, call: Call[Page[T]]) -> AsyncIterator[T]:
    """Everything in a list from a page on."""
    while True:
        page = await client.send(call)
        for item in page.items:
            yield item
        if page.next_cursor is None:
            return
        call = call.asking(cursor=page.next_cursor)
