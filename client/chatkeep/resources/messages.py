"""`client.messages`."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Unpack, overload

from chatkeep.calls import messages as calls
from chatkeep.calls.messages import Format, Items, Window
from chatkeep.calls.messages import Messages as Stored
from chatkeep.models.messages import Message, MessageIn, Place
from chatkeep.models.model import Item, Page
from chatkeep.request import UNSET, Call, Json, Unset
from chatkeep.resources.sending import AsyncResource, AsyncSent, Resource, Sent, async_pages, pages

# What is answered depends on what is asked, which Sent cannot say: these methods are written out.


class Messages(Resource):
    """Messages: each method sends the request of its name in `chatkeep.calls.messages`."""

    get = Sent(calls.get)
    edit = Sent(calls.edit)
    delete = Sent(calls.delete)
    clear = Sent(calls.clear)

    @overload
    def append(
        self,
        chat: str,
        messages: MessageIn | Json,
        *,
        format: Format | None = None,
        parent: Place | Unset | None = UNSET,
        turn: int | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Message: ...
    @overload
    def append(
        self,
        chat: str,
        messages: Sequence[MessageIn | Json],
        *,
        format: Format | None = None,
        parent: Place | Unset | None = UNSET,
        turn: int | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Stored: ...
    def append(
        self,
        chat: str,
        messages: MessageIn | Json | Sequence[MessageIn | Json],
        *,
        format: Format | None = None,
        parent: Place | Unset | None = UNSET,
        turn: int | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Message | Stored:
        """Appends one message and answers it, or several, next to each other or not at all, and answers a list."""
        call: Call[Message | Stored] = calls.append(
            chat, messages, format=format, parent=parent, turn=turn, if_match=if_match, idempotency_key=idempotency_key
        )
        return self._client.send(call)

    @overload
    def list(self, chat: str, *, format: None = None, **window: Unpack[Window]) -> Iterator[Message]: ...
    @overload
    def list(self, chat: str, *, format: Format, **window: Unpack[Window]) -> Iterator[Item]: ...
    def list(
        self, chat: str, *, format: Format | None = None, **window: Unpack[Window]
    ) -> Iterator[Message] | Iterator[Item]:
        """The messages of a chat, or items of another API or library, page after page as they are needed."""
        if format is None:
            return pages(self._client, calls.page(chat, **window))
        return pages(self._client, calls.page(chat, format=format, **window))

    @overload
    def page(self, chat: str, *, format: None = None, **window: Unpack[Window]) -> Page[Message]: ...
    @overload
    def page(self, chat: str, *, format: Format, **window: Unpack[Window]) -> Page[Item]: ...
    def page(self, chat: str, *, format: Format | None = None, **window: Unpack[Window]) -> Page[Message] | Page[Item]:
        """One page of them."""
        if format is None:
            return self._client.send(calls.page(chat, **window))
        return self._client.send(calls.page(chat, format=format, **window))

    @overload
    def pop(
        self, chat: str, *, format: None = None, turn: int | None = None, idempotency_key: str | None = None
    ) -> Message | None: ...
    @overload
    def pop(
        self, chat: str, *, format: Format, turn: int | None = None, idempotency_key: str | None = None
    ) -> Items | None: ...
    def pop(
        self, chat: str, *, format: Format | None = None, turn: int | None = None, idempotency_key: str | None = None
    ) -> Message | Items | None:
        """Takes the last message off and answers it, or the items that it is; None where there is none."""
        if format is None:
            return self._client.send(calls.pop(chat, turn=turn, idempotency_key=idempotency_key))
        return self._client.send(calls.pop(chat, format=format, turn=turn, idempotency_key=idempotency_key))


class AsyncMessages(AsyncResource):
    """The same to be awaited."""

    get = AsyncSent(calls.get)
    edit = AsyncSent(calls.edit)
    delete = AsyncSent(calls.delete)
    clear = AsyncSent(calls.clear)

    @overload
    async def append(
        self,
        chat: str,
        messages: MessageIn | Json,
        *,
        format: Format | None = None,
        parent: Place | Unset | None = UNSET,
        turn: int | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Message: ...
    @overload
    async def append(
        self,
        chat: str,
        messages: Sequence[MessageIn | Json],
        *,
        format: Format | None = None,
        parent: Place | Unset | None = UNSET,
        turn: int | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Stored: ...
    async def append(
        self,
        chat: str,
        messages: MessageIn | Json | Sequence[MessageIn | Json],
        *,
        format: Format | None = None,
        parent: Place | Unset | None = UNSET,
        turn: int | None = None,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> Message | Stored:
        """Appends one message and answers it, or several, next to each other or not at all, and answers a list."""
        call: Call[Message | Stored] = calls.append(
            chat, messages, format=format, parent=parent, turn=turn, if_match=if_match, idempotency_key=idempotency_key
        )
        return await self._client.send(call)

    @overload
    def list(self, chat: str, *, format: None = None, **window: Unpack[Window]) -> AsyncIterator[Message]: ...
    @overload
    def list(self, chat: str, *, format: Format, **window: Unpack[Window]) -> AsyncIterator[Item]: ...
    def list(
        self, chat: str, *, format: Format | None = None, **window: Unpack[Window]
    ) -> AsyncIterator[Message] | AsyncIterator[Item]:
        """The messages of a chat, or items of another API or library, page after page as they are needed."""
        if format is None:
            return async_pages(self._client, calls.page(chat, **window))
        return async_pages(self._client, calls.page(chat, format=format, **window))

    @overload
    async def page(self, chat: str, *, format: None = None, **window: Unpack[Window]) -> Page[Message]: ...
    @overload
    async def page(self, chat: str, *, format: Format, **window: Unpack[Window]) -> Page[Item]: ...
    async def page(
        self, chat: str, *, format: Format | None = None, **window: Unpack[Window]
    ) -> Page[Message] | Page[Item]:
        """One page of them."""
        if format is None:
            return await self._client.send(calls.page(chat, **window))
        return await self._client.send(calls.page(chat, format=format, **window))

    @overload
    async def pop(
        self, chat: str, *, format: None = None, turn: int | None = None, idempotency_key: str | None = None
    ) -> Message | None: ...
    @overload
    async def pop(
        self, chat: str, *, format: Format, turn: int | None = None, idempotency_key: str | None = None
    ) -> Items | None: ...
    async def pop(
        self, chat: str, *, format: Format | None = None, turn: int | None = None, idempotency_key: str | None = None
    ) -> Message | Items | None:
        """Takes the last message off and answers it, or the items that it is; None where there is none."""
        if format is None:
            return await self._client.send(calls.pop(chat, turn=turn, idempotency_key=idempotency_key))
        return await self._client.send(calls.pop(chat, format=format, turn=turn, idempotency_key=idempotency_key))
