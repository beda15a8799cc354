# Generated from chatkeep/_async/methods.py by client/generate_sync.py: edit that file, then run `make format`.
"""Methods of a resource that send the call which a function makes.

    class Chats(Resource):
        get = CallMethod(calls.get)

gives `client.chats.get` the parameters of `calls.get`, which makes a `Call[Chat]`, and lets it return a `Chat`.
`PagedMethod` goes through all pages of what the function asks one page of.
"""

from collections.abc import Callable, Iterator
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


class Sender(Protocol):
    """What sends calls: a client."""

    def send(self, call: Call[T], /) -> T:
        """Sends a call and returns its parsed response. Raises ChatkeepError."""

    def open(self, call: Call[Any], /) -> "httpx2.Response":
        """Sends a call and returns its response unread; the caller closes it. Raises ChatkeepError."""

    def send_once(self, call: Call[Any], content: "Content", *, stream: bool) -> "httpx2.Response":
        """Sends a call without retries and returns any response. Raises httpx2.RequestError."""

    def attempts(self, call: Call[Any], /) -> Attempts:
        """The attempts that a call has."""


class Resource:
    """An attribute of a client with the methods for one kind of object, such as `client.chats`."""

    def __init__(self, client: Sender) -> None:
        self._client = client


class CallMethod(Generic[P, T]):
    """A method that sends the call which a function makes."""

    def __init__(self, make_call: Callable[P, Call[T]]) -> None:
        self.make_call = make_call
        self.__doc__ = make_call.__doc__

    def __get__(self, resource: Resource, owner: type[Resource]) -> Callable[P, T]:
        @wraps(self.make_call)
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return resource._client.send(self.make_call(*args, **kwargs))

        return method


class PagedMethod(Generic[P, T]):
    """A method that iterates over all the pages of a list, each requested when it is needed."""

    def __init__(self, make_call: Callable[P, Call[Page[T]]]) -> None:
        self.make_call = make_call
        self.__doc__ = make_call.__doc__

    def __get__(self, resource: Resource, owner: type[Resource]) -> Callable[P, Iterator[T]]:
        @wraps(self.make_call)
        def method(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            return iterate_pages(resource._client, self.make_call(*args, **kwargs))

        return method


def iterate_pages(client: Sender, call: Call[Page[T]]) -> Iterator[T]:
    """The items of a page and of all that follow it."""
    while True:
        page = client.send(call)
        yield from page.items
        if page.next_cursor is None:
            return
        call = call.with_query(cursor=page.next_cursor)
