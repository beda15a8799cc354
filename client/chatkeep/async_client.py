"""`AsyncChatkeep`, the client whose answers are awaited."""

from typing import TYPE_CHECKING, Any, Self, Unpack

from chatkeep.account import Account
from chatkeep.calls import context as context_calls
from chatkeep.calls import search as search_calls
from chatkeep.calls import transfer
from chatkeep.client import MAX_RETRIES, TIMEOUT
from chatkeep.request import Call, T
from chatkeep.resources.answers import AsyncAnswers
from chatkeep.resources.api_keys import AsyncApiKeys
from chatkeep.resources.branches import AsyncBranches
from chatkeep.resources.changes import AsyncChanges, AsyncEvents
from chatkeep.resources.chats import AsyncChats
from chatkeep.resources.feedback import AsyncFeedback
from chatkeep.resources.health import AsyncHealth
from chatkeep.resources.messages import AsyncMessages
from chatkeep.resources.revisions import AsyncRevisions
from chatkeep.resources.sending import AsyncPaged, AsyncResource, AsyncSent
from chatkeep.resources.stats import AsyncStatistics
from chatkeep.resources.turns import AsyncTurns
from chatkeep.retrying import Attempts

if TYPE_CHECKING:
    import httpx2

    from chatkeep.async_connection import AsyncConnection
    from chatkeep.exporting import AsyncExport
    from chatkeep.wire import Content


class AsyncChatkeep(AsyncResource):
    """A Chatkeep service, as `Chatkeep`, with methods to be awaited. Use it in an `async with`, or `aclose` it.

    Event loops may share it, one after the other or in several threads: each has connections of its own, which are
    closed when it ends.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        user_id: str | None = None,
        timeout: float = TIMEOUT,
        max_retries: int = MAX_RETRIES,
        transport: "httpx2.AsyncBaseTransport | None" = None,
    ) -> None:
        from chatkeep.async_connection import AsyncConnection

        account = Account.of(url, key, user_id)
        self._begin(account, AsyncConnection(timeout, max_retries, transport), owner=True)

    def _begin(self, account: Account, connection: "AsyncConnection", *, owner: bool) -> None:
        super().__init__(self)
        self._account = account
        self._connection = connection
        self._owner = owner
        self.chats = AsyncChats(self)
        self.messages = AsyncMessages(self)
        self.answers = AsyncAnswers(self)
        self.branches = AsyncBranches(self)
        self.turns = AsyncTurns(self)
        self.feedback = AsyncFeedback(self)
        self.revisions = AsyncRevisions(self)
        self.changes = AsyncChanges(self)
        self.events = AsyncEvents(self)
        self.stats = AsyncStatistics(self)
        self.api_keys = AsyncApiKeys(self)
        self.health = AsyncHealth(self)

    context = AsyncSent(context_calls.context)
    lint = AsyncSent(context_calls.lint)
    repair = AsyncSent(context_calls.repair)
    search = AsyncPaged(search_calls.page)
    search_page = AsyncSent(search_calls.page)
    import_ = AsyncSent(transfer.import_)

    def export(self, **filters: Unpack[transfer.Filters]) -> "AsyncExport":
        """The caller's chats that the filters leave, as a file; `jsonl` unless `format` says otherwise."""
        from chatkeep.exporting import AsyncExport

        return AsyncExport(self, transfer.export(**filters))

    def export_chat(self, chat: str, *, format: str | None = None) -> "AsyncExport":
        """One chat as a file; `json` unless said."""
        from chatkeep.exporting import AsyncExport

        return AsyncExport(self, transfer.export_chat(chat, format=format))

    @property
    def url(self) -> str:
        """Where the service is, without a slash at the end."""
        return self._account.url

    @property
    def key(self) -> str:
        """The API key or token: a secret."""
        return self._account.key

    @property
    def user_id(self) -> str | None:
        """Whom a service key acts for."""
        return self._account.user_id

    def with_user(self, user_id: str | None) -> Self:
        """The same service for another user, on the same connections: closing it closes nothing."""
        other = object.__new__(type(self))
        other._begin(self._account.of_user(user_id), self._connection, owner=False)
        return other

    async def send(self, call: Call[T], /) -> T:
        """Sends a request of `chatkeep.calls`, and answers what it is answered. Raises ChatkeepError."""
        return await self._connection.send(self._account, call)

    async def open(self, call: Call[Any], /) -> "httpx2.Response":
        """The same for an answer that is read while it comes, and must be closed."""
        return await self._connection.open(self._account, call)

    async def try_once(self, call: Call[Any], content: "Content", *, stream: bool) -> "httpx2.Response":
        """Sends a request once, whatever it is answered. Raises httpx2.RequestError."""
        return await self._connection.try_once(self._account, call, content, stream=stream)

    def attempts(self, call: Call[Any], /) -> Attempts:
        """How often a request may be sent again."""
        return self._connection.attempts(call)

    async def aclose(self) -> None:
        """Closes its connections of this event loop."""
        if self._owner:
            await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._account.url!r}, user_id={self.user_id!r})"
