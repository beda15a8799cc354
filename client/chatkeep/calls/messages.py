"""Calls of messages. `chat` is a `chat_id` or `key:` and the chat's key; `message` likewise, or a `seq`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypedDict, TypeVar, Unpack, overload

from chatkeep.call import (
    UNSET,
    Call,
    Json,
    Response,
    Unset,
    build_headers,
    build_path,
    get_call,
    json_body,
    post_call,
    without_unset,
)
from chatkeep.calls.chats import chat_path, is_stable_ref
from chatkeep.models.messages import Message, MessageChanges, MessageIn, MessageRef, Order, Role
from chatkeep.models.model import Item, Page, parse_items, parse_list, parse_model, parse_nothing, parse_page

T = TypeVar("T")

Format = str
"""The name of another API's or library's format, such as `responses`: see `docs/messages.md`."""
Messages = list[Message]
Items = list[Item]


OnConflict = Literal["skip", "replace"]


class AppendOptions(TypedDict, total=False):
    """The options of `append`."""

    format: Format | None
    key: str | None
    on_conflict: OnConflict | None
    parent: MessageRef | Unset | None
    turn: int | None
    if_match: str | None
    idempotency_key: str | None


class PopOptions(TypedDict, total=False):
    """The options of `pop` beside `format`."""

    turn: int | None
    idempotency_key: str | None


class Window(TypedDict, total=False):
    """What to read of a chat: see `docs/messages.md`. `limit` is how many come with one request, 1 to 200."""

    last: int | None
    max_turns: int | None
    around_seq: int | None
    after_seq: int | None
    before_seq: int | None
    role: Role | None
    head: MessageRef | None
    tree: bool | None
    order: Order | None
    limit: int | None
    cursor: str | None


def messages_path(chat: str) -> str:
    """The path of a chat's messages."""
    return f"{chat_path(chat)}/messages"


def message_path(chat: str, message: MessageRef) -> str:
    """The path of a message."""
    return messages_path(chat) + build_path(message)


@overload
def append(chat: str, messages: MessageIn | Json, **options: Unpack[AppendOptions]) -> Call[Message]: ...
@overload
def append(chat: str, messages: Sequence[MessageIn | Json], **options: Unpack[AppendOptions]) -> Call[Messages]: ...
def append(
    chat: str,
    messages: MessageIn | Json | Sequence[MessageIn | Json],
    *,
    format: Format | None = None,
    key: str | None = None,
    on_conflict: OnConflict | None = None,
    parent: MessageRef | Unset | None = UNSET,
    turn: int | None = None,
    if_match: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Message] | Call[Messages]:
    """Appends one message and returns it, or several, next to each other or not at all, and returns a list.

    By `key:`, a chat that is not there is created. `parent` is what they follow, by default the head; None begins at
    the root. With `format` they are items of another API or library. `turn` is the token of a turn that was taken,
    `if_match` the `etag` that was read; raises PreconditionFailed where the chat has changed since.

    `key` is your own id for a single message; each of several may have a `key` of its own. Raises Conflict where the
    chat has one already, unless `on_conflict` says what to do then: leave the message that is there, or replace it.
    """
    if key is not None:
        if not isinstance(messages, Mapping) or format is not None:
            raise ValueError("A key is that of one message, which is no item of another API.")
        messages = {**messages, "key": key}
    parents = without_unset(parent=parent)

    def call(parse: Callable[[Response], T], body: Json) -> Call[T]:
        return post_call(
            messages_path(chat),
            parse,
            body,
            turn=turn,
            if_match=if_match,
            idempotency_key=idempotency_key,
            format=format,
            on_conflict=on_conflict,
        )

    if not isinstance(messages, Mapping):
        return call(parse_list(Message, "messages"), {"messages": messages, **parents})
    if format is not None and parents:
        # An item of another API has no room for a parent of ours.
        return call(_parse_single, {"messages": [messages], **parents})
    return call(parse_model(Message), {**messages, **parents})


def _parse_single(response: Response) -> Message:
    [message] = parse_list(Message, "messages")(response)
    return message


@overload
def page(chat: str, *, format: None = None, **window: Unpack[Window]) -> Call[Page[Message]]: ...
@overload
def page(chat: str, *, format: Format, **window: Unpack[Window]) -> Call[Page[Item]]: ...
def page(
    chat: str, *, format: Format | None = None, **window: Unpack[Window]
) -> Call[Page[Message]] | Call[Page[Item]]:
    """A page of a chat's active branch, or of the window; with `format` as items of another API or library."""
    if format is None:
        return get_call(messages_path(chat), parse_page(Message), **window)
    return get_call(messages_path(chat), parse_items, format=format, **window)


@overload
def pop(chat: str, *, format: None = None, **options: Unpack[PopOptions]) -> Call[Message | None]: ...
@overload
def pop(chat: str, *, format: Format, **options: Unpack[PopOptions]) -> Call[Items | None]: ...
def pop(
    chat: str, *, format: Format | None = None, turn: int | None = None, idempotency_key: str | None = None
) -> Call[Message | None] | Call[Items | None]:
    """Takes the last message off and returns it; None where there is none. No two callers ever get the same one.

    With `format` it is returned as the items that it is in another API or library.
    """
    path = f"{messages_path(chat)}/pop"
    if format is None:
        return post_call(path, _parse_message_or_none, turn=turn, idempotency_key=idempotency_key)
    return post_call(path, _parse_items_or_none, turn=turn, idempotency_key=idempotency_key, format=format)


def _parse_message_or_none(response: Response) -> Message | None:
    return None if response.status == 204 else Message.model_validate_json(response.body)


def _parse_items_or_none(response: Response) -> Items | None:
    return None if response.status == 204 else parse_items(response).items


def get(chat: str, message: MessageRef) -> Call[Message]:
    """One message."""
    return get_call(message_path(chat, message), parse_model(Message))


def put(
    chat: str,
    message: MessageRef,
    body: MessageIn | Json,
    *,
    parent: MessageRef | Unset | None = UNSET,
    turn: int | None = None,
    if_match: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Message]:
    """Replaces what a message says, in full; what it was is a revision. By `key:` one that is not there is appended.

    It is appended at the head, or after `parent`; raises Conflict where a message that is there follows another one.
    """
    return post_call(
        message_path(chat, message),
        parse_model(Message),
        {**body, **without_unset(parent=parent)},
        method="PUT",
        turn=turn,
        if_match=if_match,
        idempotency_key=idempotency_key,
    )


def edit(
    chat: str, message: MessageRef, *, turn: int | None = None, **changes: Unpack[MessageChanges]
) -> Call[Message]:
    """Changes the fields that are given; None empties one, `metadata` is merged. What the message was is a revision."""
    return Call(
        method="PATCH",
        path=message_path(chat, message),
        parse=parse_model(Message),
        headers=build_headers(turn=turn, json=True),
        body=json_body(changes),
        # Sent a second time, it would undo what others have edited since the first.
        retryable=False,
    )


def delete(chat: str, message: MessageRef, *, turn: int | None = None) -> Call[None]:
    """Deletes a message for good."""
    return Call(
        method="DELETE",
        path=message_path(chat, message),
        parse=parse_nothing,
        headers=build_headers(turn=turn),
        retryable=is_stable_ref(chat) and is_stable_ref(str(message)),
    )


def clear(chat: str, *, turn: int | None = None) -> Call[None]:
    """Deletes every message of a chat. The chat stays."""
    # Sent a second time, it would delete what others have written since the first.
    return Call(
        method="DELETE",
        path=messages_path(chat),
        parse=parse_nothing,
        headers=build_headers(turn=turn),
        retryable=False,
    )
