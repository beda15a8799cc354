"""The calls of messages. `chat` is a `chat_id` or `key:` and the chat's key; `message` a `message_id` or a `seq`."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict, TypeVar, Unpack, overload

from chatkeep.calls.chats import names_one
from chatkeep.calls.chats import place as chat_place
from chatkeep.models.messages import Message, MessageIn, Order, Place, Role
from chatkeep.models.model import Item, Page, items, nothing, one, some
from chatkeep.models.model import page as read_page
from chatkeep.request import UNSET, Answer, Call, Json, Unset, headers, json_body, path, post, set_
from chatkeep.request import get as reading

T = TypeVar("T")

Format = str
"""What the items of another API or library are called, such as `responses`: see `docs/messages.md`."""
Messages = list[Message]
Items = list[Item]


class Window(TypedDict, total=False):
    """What to read of a chat: see `docs/messages.md`. `limit` is how many come with one request, 1 to 200."""

    last: int | None
    max_turns: int | None
    around_seq: int | None
    after_seq: int | None
    before_seq: int | None
    role: Role | None
    head: Place | None
    tree: bool | None
    order: Order | None
    limit: int | None
    cursor: str | None


def place(chat: str, message: Place | None = None) -> str:
    """The path of a chat's messages, or of one of them."""
    return f"{chat_place(chat)}/messages" + ("" if message is None else path(message))


@overload
def append(
    chat: str,
    messages: MessageIn | Json,
    *,
    format: Format | None = None,
    parent: Place | Unset | None = UNSET,
    turn: int | None = None,
    if_match: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Message]: ...
@overload
def append(
    chat: str,
    messages: Sequence[MessageIn | Json],
    *,
    format: Format | None = None,
    parent: Place | Unset | None = UNSET,
    turn: int | None = None,
    if_match: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Messages]: ...
def append(
    chat: str,
    messages: MessageIn | Json | Sequence[MessageIn | Json],
    *,
    format: Format | None = None,
    parent: Place | Unset | None = UNSET,
    turn: int | None = None,
    if_match: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Message] | Call[Messages]:
    """Appends one message and answers it, or several, next to each other or not at all, and answers a list.

    With `key:` a chat that is not there is created. `parent` is what they follow, if not the head; None is nothing.
    With `format` they are items of another API or library. `turn` is the token of a turn that was taken, `if_match` the
    `etag` of what was seen: when the chat has changed since, PreconditionFailed is raised.
    """
    parents = set_(parent=parent)

    def write(read: Callable[[Answer], T], body: Json) -> Call[T]:
        return post(
            place(chat), read, body, turn=turn, if_match=if_match, idempotency_key=idempotency_key, format=format
        )

    if not isinstance(messages, Mapping):
        return write(some(Message, "messages"), {"messages": messages, **parents})
    if format is not None and parents:
        # An item of another API has no room for a parent of ours.
        return write(_the_only, {"messages": [messages], **parents})
    return write(one(Message), {**messages, **parents})


def _the_only(answer: Answer) -> Message:
    [message] = some(Message, "messages")(answer)
    return message


@overload
def page(chat: str, *, format: None = None, **window: Unpack[Window]) -> Call[Page[Message]]: ...
@overload
def page(chat: str, *, format: Format, **window: Unpack[Window]) -> Call[Page[Item]]: ...
def page(
    chat: str, *, format: Format | None = None, **window: Unpack[Window]
) -> Call[Page[Message]] | Call[Page[Item]]:
    """A page of a chat's active branch, or what the window says; with `format` as items of another API or library."""
    if format is None:
        return reading(place(chat), read_page(Message), **window)
    return reading(place(chat), items, format=format, **window)


@overload
def pop(
    chat: str, *, format: None = None, turn: int | None = None, idempotency_key: str | None = None
) -> Call[Message | None]: ...
@overload
def pop(
    chat: str, *, format: Format, turn: int | None = None, idempotency_key: str | None = None
) -> Call[Items | None]: ...
def pop(
    chat: str, *, format: Format | None = None, turn: int | None = None, idempotency_key: str | None = None
) -> Call[Message | None] | Call[Items | None]:
    """Takes the last message off and answers it; None where there is none. No two callers ever get the same one.

    With `format` it is answered as the items that it is in another API or library.
    """
    address = f"{place(chat)}/pop"
    if format is None:
        return post(address, _message_or_none, turn=turn, idempotency_key=idempotency_key)
    return post(address, _items_or_none, turn=turn, idempotency_key=idempotency_key, format=format)


def _message_or_none(answer: Answer) -> Message | None:
    return None if answer.status == 204 else Message.model_validate_json(answer.body)


def _items_or_none(answer: Answer) -> Items | None:
    return None if answer.status == 204 else items(answer).items


def get(chat: str, message: Place) -> Call[Message]:
    """One message."""
    return reading(place(chat, message), one(Message))


def edit(
    chat: str,
    message: Place,
    *,
    content: str | Sequence[Json] | Unset | None = UNSET,
    tool_calls: Sequence[Json] | Unset | None = UNSET,
    tool_call_id: str | Unset | None = UNSET,
    name: str | Unset | None = UNSET,
    model: str | Unset | None = UNSET,
    tokens: int | Unset | None = UNSET,
    input_tokens: int | Unset | None = UNSET,
    output_tokens: int | Unset | None = UNSET,
    metadata: Json | Unset | None = UNSET,
    turn: int | None = None,
) -> Call[Message]:
    """Changes what is given, in place; None takes away, `metadata` is merged. What the message was is a revision."""
    body = set_(
        content=content,
        tool_calls=tool_calls,
        tool_call_id=tool_call_id,
        name=name,
        model=model,
        tokens=tokens,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        metadata=metadata,
    )
    return Call(
        method="PATCH",
        path=place(chat, message),
        read=one(Message),
        headers=headers(turn=turn, json=True),
        body=json_body(body),
        # Sent a second time, it would take back what others have edited since the first.
        repeatable=False,
    )


def delete(chat: str, message: Place, *, turn: int | None = None) -> Call[None]:
    """Deletes a message for good."""
    said = headers(turn=turn)
    return Call(method="DELETE", path=place(chat, message), read=nothing, headers=said, repeatable=names_one(chat))


def clear(chat: str, *, turn: int | None = None) -> Call[None]:
    """Deletes every message of a chat. The chat stays."""
    # Sent a second time, it would delete what others have written since the first.
    return Call(method="DELETE", path=place(chat), read=nothing, headers=headers(turn=turn), repeatable=False)
