"""Methods of a resource that send the call which a function makes.

    class AsyncChats(AsyncResource):
        get = AsyncCallMethod(calls.get)

gives `client.chats.get` the parameters of `calls.get`, which makes a `Call[Chat]`, and lets it return a `Chat`.
`AsyncPagedMethod` goes through all pages of what the function asks one page of.
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar

from chatkeep.call import Call
from chatkeep.models.model import Page
from chatkeep.retries import Attempts

if TYPE_CHECKING:
    import httpx2

    from chatkeep.http import Content

P = ParamSpec("P")
T = TypeVar("T")


class AsyncSender(Protocol):
    """What sends calls: a client."""

    async def send(self, call: Call[T], /) -> T:
        """Sends a call and returns its parsed response. Raises ChatkeepError."""

    async def open(self, call: Call[Any], /) -> "httpx2.Response":
        """Sends a call and returns its response unread; the caller closes it. Raises ChatkeepError."""

    async def send_once(self, call: Call[Any], content: "Content", *, stream: bool) -> "httpx2.Response":
        """Sends a call without retries and returns any response. Raises httpx2.RequestError."""

    def attempts(self, call: Call[Any], /) -> Attempts:
        """The attempts that a call has."""


class AsyncResource:
    """An attribute of a client with the methods for one kind of object, such as `client.chats`."""

    def __init__(self, client: AsyncSender) -> None:
        self._client = client


class AsyncCallMethod(Generic[P, T]):
    """A method that sends the call which a function makes."""

    def __init__(self, make_call: Callable[P, Call[T]]) -> None:
        self.make_call = make_call
        self.__doc__ = make_call.__doc__

    def __get__(self, resource: AsyncResource, owner: type[AsyncResource]) -> Callable[P, Coroutine[Any, Any, T]]:
        @wraps(self.make_call)
        async def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return await resource._client.send(self.make_call(*args, **kwargs))

        return method


class AsyncPagedMethod(Generic[P, T]):
    """A method that iterates over all the pages of a list, each requested when it is needed."""

    def __init__(self, make_call: Callable[P, Call[Page[T]]]) -> None:
        self.make_call = make_call
        self.__doc__ = make_call.__doc__

    def __get__(self, resource: AsyncResource, owner: type[AsyncResource]) -> Callable[P, AsyncIterator[T]]:
        @wraps(self.make_call)
        def method(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
            return iterate_pages(resource._client, self.make_call(*args, **kwargs))

        return method


async def iterate_pages(client: AsyncSender, call: Call[Page[T]]) -> AsyncIterator[T]:
    """The items of a page and of all that follow it."""
    while True:
        page = await client.send(call)
        for item in page.items:
            yield item
        if page.next_cursor is None:
            return
        call = call.with_query(cursor=page.next_cursor)
