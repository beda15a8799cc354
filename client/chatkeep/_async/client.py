"""`AsyncChatkeep`: the client."""

from typing import TYPE_CHECKING, Any, Self, Unpack

from chatkeep._async.answers import AsyncAnswers
from chatkeep._async.changes import AsyncChanges, AsyncEvents
from chatkeep._async.messages import AsyncMessages
from chatkeep._async.methods import AsyncCallMethod, AsyncPagedMethod, AsyncResource
from chatkeep._async.resources import (
    AsyncApiKeys,
    AsyncBranches,
    AsyncChats,
    AsyncFeedback,
    AsyncHealth,
    AsyncRevisions,
    AsyncStatistics,
    AsyncTurns,
)
from chatkeep.account import Account
from chatkeep.call import DEFAULT_TIMEOUT, Call, T
from chatkeep.calls import context as context_calls
from chatkeep.calls import search as search_calls
from chatkeep.calls import transfer as transfer_calls
from chatkeep.retries import DEFAULT_MAX_RETRIES, Attempts

if TYPE_CHECKING:
    import httpx2

    from chatkeep._async.connection import AsyncConnection
    from chatkeep._async.export import AsyncExport
    from chatkeep.http import Content


class AsyncChatkeep(AsyncResource):
    """A client of a Chatkeep service. Use it in an `async with`, which closes it, or `aclose` it.

    Arguments left out come from CHATKEEP_URL, CHATKEEP_KEY and CHATKEEP_USER. `user_id` is whom a service key acts for.
    `timeout` is in seconds, for each step: to connect, and to wait for more of an answer. A call that failed is sent
    again up to `max_retries` times where that can do no harm.

    Event loops may share it, in one thread or in several.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        user_id: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        transport: "httpx2.AsyncBaseTransport | None" = None,
    ) -> None:
        from chatkeep._async.connection import AsyncConnection

        account = Account.resolve(url, key, user_id)
        self._connect(account, AsyncConnection(timeout, max_retries, transport), owner=True)

    def _connect(self, account: Account, connection: "AsyncConnection", *, owner: bool) -> None:
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

    context = AsyncCallMethod(context_calls.context)
    lint = AsyncCallMethod(context_calls.lint)
    repair = AsyncCallMethod(context_calls.repair)
    search = AsyncPagedMethod(search_calls.page)
    search_page = AsyncCallMethod(search_calls.page)
    import_ = AsyncCallMethod(transfer_calls.import_)

    def export(self, **filters: Unpack[transfer_calls.Filters]) -> "AsyncExport":
        """The caller's chats that match the filters, as a file; `format` is `jsonl` by default."""
        from chatkeep._async.export import AsyncExport

        return AsyncExport(self, transfer_calls.export(**filters))

    def export_chat(self, chat: str, *, format: str | None = None) -> "AsyncExport":
        """One chat as a file; `format` is `json` by default."""
        from chatkeep._async.export import AsyncExport

        return AsyncExport(self, transfer_calls.export_chat(chat, format=format))

    @property
    def url(self) -> str:
        """The address of the service, without a slash at the end."""
        return self._account.url

    @property
    def key(self) -> str:
        """The API key or token: a secret."""
        return self._account.key

    @property
    def user_id(self) -> str | None:
        """The user whom a service key acts for."""
        return self._account.user_id

    def with_user(self, user_id: str | None) -> Self:
        """A client for another user on the same connections. Closing it closes nothing."""
        other = object.__new__(type(self))
        other._connect(self._account.with_user(user_id), self._connection, owner=False)
        return other

    async def send(self, call: Call[T], /) -> T:
        """Sends a call of `chatkeep.calls` and returns its parsed response. Raises ChatkeepError."""
        return await self._connection.send(self._account, call)

    async def open(self, call: Call[Any], /) -> "httpx2.Response":
        """Sends a call and returns its response unread; the caller closes it. Raises ChatkeepError."""
        return await self._connection.open(self._account, call)

    async def send_once(self, call: Call[Any], content: "Content", *, stream: bool) -> "httpx2.Response":
        """Sends a call without retries and returns any response. Raises httpx2.RequestError."""
        return await self._connection.send_once(self._account, call, content, stream=stream)

    def attempts(self, call: Call[Any], /) -> Attempts:
        """The attempts that a call has."""
        return self._connection.attempts(call)

    async def aclose(self) -> None:
        """Closes its connections."""
        if self._owner:
            await self._connection.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._account.url!r}, user_id={self.user_id!r})"
