# Generated from chatkeep/_async/messages.py by client/generate_sync.py: edit that file, then run `make format`.
"""`client.messages`. The return types depend on the arguments, so these methods are written out."""

from collections.abc import Iterator, Sequence
from typing import Unpack, overload

from chatkeep._sync.methods import CallMethod, Resource, iterate_pages
from chatkeep.call import Call, Json
from chatkeep.calls import messages as calls
from chatkeep.calls.messages import AppendOptions, Format, Items, PopOptions, Window
from chatkeep.calls.messages import Messages as MessageList
from chatkeep.models.messages import Message, MessageIn
from chatkeep.models.model import Item, Page


class Messages(Resource):
    """`client.messages`: each method sends the call of the same name in `chatkeep.calls.messages`."""

    get = CallMethod(calls.get)
    put = CallMethod(calls.put)
    edit = CallMethod(calls.edit)
    delete = CallMethod(calls.delete)
    clear = CallMethod(calls.clear)

    @overload
    def append(self, chat: str, messages: MessageIn | Json, **options: Unpack[AppendOptions]) -> Message: ...
    @overload
    def append(
        self, chat: str, messages: Sequence[MessageIn | Json], **options: Unpack[AppendOptions]
    ) -> MessageList: ...
    def append(
        self, chat: str, messages: MessageIn | Json | Sequence[MessageIn | Json], **options: Unpack[AppendOptions]
    ) -> Message | MessageList:
        """Appends one message and returns it, or several, next to each other or not at all, and returns a list."""
        call: Call[Message | MessageList] = calls.append(chat, messages, **options)
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
            return iterate_pages(self._client, calls.page(chat, **window))
        return iterate_pages(self._client, calls.page(chat, format=format, **window))

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
    def pop(self, chat: str, *, format: None = None, **options: Unpack[PopOptions]) -> Message | None: ...
    @overload
    def pop(self, chat: str, *, format: Format, **options: Unpack[PopOptions]) -> Items | None: ...
    def pop(self, chat: str, *, format: Format | None = None, **options: Unpack[PopOptions]) -> Message | Items | None:
        """Takes the last message off and returns it, or the items that it is; None where there is none."""
        if format is None:
            return self._client.send(calls.pop(chat, **options))
        return self._client.send(calls.pop(chat, format=format, **options))
