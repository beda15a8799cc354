"""`Chatkeep`, the client that waits for its answers."""

from typing import TYPE_CHECKING, Any, Self, Unpack

from chatkeep.account import Account
from chatkeep.calls import context as context_calls
from chatkeep.calls import search as search_calls
from chatkeep.calls import transfer
from chatkeep.request import Call, T
from chatkeep.resources.answers import Answers
from chatkeep.resources.api_keys import ApiKeys
from chatkeep.resources.branches import Branches
from chatkeep.resources.changes import Changes, Events
from chatkeep.resources.chats import Chats
from chatkeep.resources.feedback import Feedback
from chatkeep.resources.health import Health
from chatkeep.resources.messages import Messages
from chatkeep.resources.revisions import Revisions
from chatkeep.resources.sending import Paged, Resource, Sent
from chatkeep.resources.stats import Statistics
from chatkeep.resources.turns import Turns
from chatkeep.retrying import Attempts

if TYPE_CHECKING:
    import httpx2

    from chatkeep.connection import Connection
    from chatkeep.exporting import Export
    from chatkeep.wire import Content

TIMEOUT = 60.0
MAX_RETRIES = 2


class Chatkeep(Resource):
    """A Chatkeep service. Threads may share it. Close it, or use it in a `with`, which closes it.

    What is not given comes from CHATKEEP_URL, CHATKEEP_KEY and CHATKEEP_USER. `user_id` is whom a service key acts for.
    `timeout` is in seconds, for each step: to connect, and to wait for more of an answer. A call that failed is sent
    again up to `max_retries` times where that can do no harm.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        user_id: str | None = None,
        timeout: float = TIMEOUT,
        max_retries: int = MAX_RETRIES,
        transport: "httpx2.BaseTransport | None" = None,
    ) -> None:
        from chatkeep.connection import Connection

        account = Account.of(url, key, user_id)
        self._begin(account, Connection(timeout, max_retries, transport), owner=True)

    def _begin(self, account: Account, connection: "Connection", *, owner: bool) -> None:
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

    context = Sent(context_calls.context)
    lint = Sent(context_calls.lint)
    repair = Sent(context_calls.repair)
    search = Paged(search_calls.page)
    search_page = Sent(search_calls.page)
    import_ = Sent(transfer.import_)

    def export(self, **filters: Unpack[transfer.Filters]) -> "Export":
        """The caller's chats that the filters leave, as a file; `jsonl` unless `format` says otherwise."""
        from chatkeep.exporting import Export

        return Export(self, transfer.export(**filters))

    def export_chat(self, chat: str, *, format: str | None = None) -> "Export":
        """One chat as a file; `json` unless said."""
        from chatkeep.exporting import Export

        return Export(self, transfer.export_chat(chat, format=format))

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

    def send(self, call: Call[T], /) -> T:
        """Sends a request of `chatkeep.calls`, and answers what it is answered. Raises ChatkeepError."""
        return self._connection.send(self._account, call)

    def open(self, call: Call[Any], /) -> "httpx2.Response":
        """The same for an answer that is read while it comes, and must be closed."""
        return self._connection.open(self._account, call)

    def try_once(self, call: Call[Any], content: "Content", *, stream: bool) -> "httpx2.Response":
        """Sends a request once, whatever it is answered. Raises httpx2.RequestError."""
        return self._connection.try_once(self._account, call, content, stream=stream)

    def attempts(self, call: Call[Any], /) -> Attempts:
        """How often a request may be sent again."""
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
