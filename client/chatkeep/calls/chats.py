"""Calls of chats. `chat` is a `chat_id`, or `key:` and the chat's key."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack

from chatkeep.call import (
    UNSET,
    Call,
    Json,
    Unset,
    build_headers,
    build_path,
    build_query,
    get_call,
    json_body,
    post_call,
    without_none,
    without_unset,
)
from chatkeep.models.chats import Chat, parse_chat
from chatkeep.models.messages import MessageIn, MessageRef, Order
from chatkeep.models.model import Page, parse_nothing, parse_page

State = Literal["active", "archived", "deleted", "all"]
OrderBy = Literal["last_activity_at", "created_at", "updated_at"]
Timestamp = datetime | str
Conversation = Sequence[MessageIn | Json]


class ChatFields(TypedDict, total=False):
    """The fields of a chat that callers set: see `docs/chats.md`."""

    key: str | None
    title: str | None
    summary: str | None
    summary_until_seq: int | None
    platform: str | None
    tags: Sequence[str] | None
    is_pinned: bool | None
    is_archived: bool | None
    metadata: Mapping[str, Any] | None
    expires_at: Timestamp | None


def chat_path(chat: str) -> str:
    """The path of a chat."""
    return build_path("chats", chat)


def is_stable_ref(ref: str) -> bool:
    """Whether it names the same chat or message later on too: a key may be another one's by then."""
    return not ref.startswith("key:")


def create(
    *, conversation: Conversation | None = None, idempotency_key: str | None = None, **fields: Unpack[ChatFields]
) -> Call[Chat]:
    """Creates a chat with the messages of `conversation`. Raises Conflict where another chat has the key."""
    return post_call("/chats", parse_chat, _chat_body(fields, conversation), idempotency_key=idempotency_key)


def _chat_body(fields: ChatFields, conversation: Conversation | None) -> Json:
    if unknown := fields.keys() - ChatFields.__annotations__.keys():
        raise TypeError(f"A chat has no field {', '.join(sorted(unknown))}.")
    return without_none(**fields, conversation=conversation)


def page(
    *,
    state: State | None = None,
    platform: str | None = None,
    key_prefix: str | None = None,
    tag: str | Sequence[str] | None = None,
    pinned: bool | None = None,
    created_after: Timestamp | None = None,
    created_before: Timestamp | None = None,
    active_after: Timestamp | None = None,
    active_before: Timestamp | None = None,
    metadata: Mapping[str, object] | None = None,
    order_by: OrderBy | None = None,
    order: Order | None = None,
    include_total: bool | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page[Chat]]:
    """The caller's chats that match the filters, by last activity by default. A chat must have each `tag` given.

    Archived chats are left out unless `state` asks for them.
    """
    return get_call(
        "/chats",
        parse_page(Chat),
        state=state,
        platform=platform,
        key_prefix=key_prefix,
        tag=tag,
        pinned=pinned,
        created_after=created_after,
        created_before=created_before,
        active_after=active_after,
        active_before=active_before,
        order_by=order_by,
        order=order,
        include_total=include_total,
        limit=limit,
        cursor=cursor,
        metadata=metadata,
    )


def get(chat: str, *, include: Literal["conversation"] | None = None) -> Call[Chat]:
    """One chat; with `include="conversation"` its messages too."""
    return get_call(chat_path(chat), parse_chat, include=include)


def get_or_create(key: str) -> Call[Chat]:
    """The chat that has this key (without `key:` before it); an empty one is created where there is none."""
    return Call(method="PUT", path=chat_path(f"key:{key}"), parse=parse_chat)


def replace(
    chat: str,
    *,
    conversation: Conversation | None = None,
    if_match: str | None = None,
    turn: int | None = None,
    **fields: Unpack[ChatFields],
) -> Call[Chat]:
    """Replaces a chat: fields that are not given are emptied, except the key. A `conversation` replaces its messages.

    By key, a chat that is not there is created. `if_match` is the `etag` that was read; raises PreconditionFailed where
    the chat has changed since.
    """
    return _write("PUT", chat, _chat_body(fields, conversation), if_match, turn)


def patch(
    chat: str,
    *,
    head: MessageRef | Unset | None = UNSET,
    if_match: str | None = None,
    turn: int | None = None,
    **fields: Unpack[ChatFields],
) -> Call[Chat]:
    """Changes the fields that are given; None empties one, `metadata` is merged. `head` switches the branch."""
    return _write("PATCH", chat, {**fields, **without_unset(head=head)}, if_match, turn)


def _write(
    method: Literal["PUT", "PATCH"], chat: str, body: object, if_match: str | None, turn: int | None
) -> Call[Chat]:
    # Sent a second time, it would undo what others have written since the first.
    return Call(
        method=method,
        path=chat_path(chat),
        parse=parse_chat,
        headers=build_headers(turn=turn, if_match=if_match, json=True),
        body=json_body(body),
        retryable=False,
    )


def delete(chat: str, *, hard: bool | None = None, if_match: str | None = None) -> Call[None]:
    """Puts a chat into the trash; with `hard`, deletes it for good with all its messages."""
    return Call(
        method="DELETE",
        path=chat_path(chat),
        parse=parse_nothing,
        query=build_query(hard=hard),
        headers=build_headers(if_match=if_match),
        # The second time, the version is another one.
        retryable=is_stable_ref(chat) and if_match is None,
    )


def restore(chat: str, *, idempotency_key: str | None = None) -> Call[Chat]:
    """Takes a chat out of the trash."""
    return post_call(f"{chat_path(chat)}/restore", parse_chat, idempotency_key=idempotency_key)


def fork(
    chat: str, *, at: MessageRef | None = None, idempotency_key: str | None = None, **fields: Unpack[ChatFields]
) -> Call[Chat]:
    """Copies the branch that ends at `at`, or the active one, into a new chat. Fields not given are those of `chat`."""
    body = {**fields, **without_none(at=at)}
    return post_call(f"{chat_path(chat)}/fork", parse_chat, body, idempotency_key=idempotency_key)
