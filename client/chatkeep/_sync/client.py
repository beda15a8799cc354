# Generated from chatkeep/_async/client.py by client/generate_sync.py: edit that file, then run `make format`.
"""`Chatkeep`: the client."""

from typing import TYPE_CHECKING, Any, Self, Unpack

from chatkeep._sync.answers import Answers
from chatkeep._sync.changes import Changes, Events
from chatkeep._sync.messages import Messages
from chatkeep._sync.methods import CallMethod, PagedMethod, Resource
from chatkeep._sync.resources import (
    ApiKeys,
    Branches,
    Chats,
    Feedback,
    Health,
    Revisions,
    Statistics,
    Turns,
)
from chatkeep.account import Account
from chatkeep.call import DEFAULT_TIMEOUT, Call, T
from chatkeep.calls import context as context_calls
from chatkeep.calls import search as search_calls
from chatkeep.calls import transfer as transfer_calls
from chatkeep.retries import DEFAULT_MAX_RETRIES, Attempts

if TYPE_CHECKING:
    import httpx2

    from chatkeep._sync.connection import Connection
    from chatkeep._sync.export import Export
    from chatkeep.http import Content


class Chatkeep(Resource):
    """A client of a Chatkeep service. Use it in a `with`, which closes it, or `close` it.

    Arguments left out come from CHATKEEP_URL, CHATKEEP_KEY and CHATKEEP_USER. `user_id` is whom a service key acts for.
    `timeout` is in seconds, for each step: to connect, and to wait for more of an answer. A call that failed is sent
    again up to `max_retries` times where that can do no harm.

    Threads may share it.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        user_id: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        transport: "httpx2.BaseTransport | None" = None,
    ) -> None:
        from chatkeep._sync.connection import Connection

        account = Account.resolve(url, key, user_id)
        self._connect(account, Connection(timeout, max_retries, transport), owner=True)

    def _connect(self, account: Account, connection: "Connection", *, owner: bool) -> None:
        super().__init__(self)
        self._account = account
        self._connection = connection
        self._owner = owner
        self.chats = Chats(self)
        self.messages = Messages(self)
        self.answers = Answers(self)
        self.branches = Branches(self)
        self.turns = Turns(self)
        self.feedback = Feedback(self)
        self.revisions = Revisions(self)
        self.changes = Changes(self)
        self.events = Events(self)
        self.stats = Statistics(self)
        self.api_keys = ApiKeys(self)
        self.health = Health(self)

    context = CallMethod(context_calls.context)
    lint = CallMethod(context_calls.lint)
    repair = CallMethod(context_calls.repair)
    search = PagedMethod(search_calls.page)
    search_page = CallMethod(search_calls.page)
    import_ = CallMethod(transfer_calls.import_)

    def export(self, **filters: Unpack[transfer_calls.Filters]) -> "Export":
        """The caller's chats that match the filters, as a file; `format` is `jsonl` by default."""
        from chatkeep._sync.export import Export

        return Export(self, transfer_calls.export(**filters))

    def export_chat(self, chat: str, *, format: str | None = None) -> "Export":
        """One chat as a file; `format` is `json` by default."""
        from chatkeep._sync.export import Export

        return Export(self, transfer_calls.export_chat(chat, format=format))

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

    def send(self, call: Call[T], /) -> T:
        """Sends a call of `chatkeep.calls` and returns its parsed response. Raises ChatkeepError."""
        return self._connection.send(self._account, call)

    def open(self, call: Call[Any], /) -> "httpx2.Response":
        """Sends a call and returns its response unread; the caller closes it. Raises ChatkeepError."""
        return self._connection.open(self._account, call)

    def send_once(self, call: Call[Any], content: "Content", *, stream: bool) -> "httpx2.Response":
        """Sends a call without retries and returns any response. Raises httpx2.RequestError."""
        return self._connection.send_once(self._account, call, content, stream=stream)

    def attempts(self, call: Call[Any], /) -> Attempts:
        """The attempts that a call has."""
        return self._connection.attempts(call)

    def close(self) -> None:
        """Closes its connections."""
        if self._owner:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._account.url!r}, user_id={self.user_id!r})"
