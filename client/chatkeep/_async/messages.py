"""`client.messages`. The return types depend on the arguments, so these methods are written out."""

from collections.abc import AsyncIterator, Sequence
from typing import Unpack, overload

from chatkeep._async.methods import AsyncCallMethod, AsyncResource, iterate_pages
from chatkeep.call import Call, Json
from chatkeep.calls import messages as calls
from chatkeep.calls.messages import AppendOptions, Format, Items, PopOptions, Window
from chatkeep.calls.messages import Messages as MessageList
from chatkeep.models.messages import Message, MessageIn
from chatkeep.models.model import Item, Page


class AsyncMessages(AsyncResource):
    """`client.messages`: each method sends the call of the same name in `chatkeep.calls.messages`."""

    get = AsyncCallMethod(calls.get)
    put = AsyncCallMethod(calls.put)
    edit = AsyncCallMethod(calls.edit)
    delete = AsyncCallMethod(calls.delete)
    clear = AsyncCallMethod(calls.clear)

    @overload
    async def append(self, chat: str, messages: MessageIn | Json, **options: Unpack[AppendOptions]) -> Message: ...
    @overload
    async def append(
        self, chat: str, messages: Sequence[MessageIn | Json], **options: Unpack[AppendOptions]
    ) -> MessageList: ...
    async def append(
        self, chat: str, messages: MessageIn | Json | Sequence[MessageIn | Json], **options: Unpack[AppendOptions]
    ) -> Message | MessageList:
        """Appends one message and returns it, or several, next to each other or not at all, and returns a list."""
        call: Call[Message | MessageList] = calls.append(chat, messages, **options)
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
            return iterate_pages(self._client, calls.page(chat, **window))
        return iterate_pages(self._client, calls.page(chat, format=format, **window))

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
    async def pop(self, chat: str, *, format: None = None, **options: Unpack[PopOptions]) -> Message | None: ...
    @overload
    async def pop(self, chat: str, *, format: Format, **options: Unpack[PopOptions]) -> Items | None: ...
    async def pop(
        self, chat: str, *, format: Format | None = None, **options: Unpack[PopOptions]
    ) -> Message | Items | None:
        """Takes the last message off and returns it, or the items that it is; None where there is none."""
        if format is None:
            return await self._client.send(calls.pop(chat, **options))
        return await self._client.send(calls.pop(chat, format=format, **options))
