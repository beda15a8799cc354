"""The calls of chats: each function makes one request. `chat` is a `chat_id`, or `key:` and the chat's key."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from chatkeep.models.chats import Chat
from chatkeep.models.chats import chat as read_chat
from chatkeep.models.messages import MessageIn, Order, Place
from chatkeep.models.model import Page, nothing
from chatkeep.models.model import page as read_page
from chatkeep.request import (
    UNSET,
    Call,
    Json,
    Unset,
    given,
    headers,
    json_body,
    path,
    post,
    query,
    set_,
)
from chatkeep.request import (
    get as reading,
)

State = Literal["active", "deleted", "all"]
OrderBy = Literal["last_activity_at", "created_at", "updated_at"]
Moment = datetime | str
Conversation = Sequence[MessageIn | Json]


def place(chat: str) -> str:
    """The path of a chat."""
    return path("chats", chat)


def names_one(chat: str) -> bool:
    """Whether it names the same chat later on too: a key may be another one's by then."""
    return not chat.startswith("key:")


def create(
    *,
    key: str | None = None,
    title: str | None = None,
    summary: str | None = None,
    platform: str | None = None,
    tags: Sequence[str] | None = None,
    is_pinned: bool | None = None,
    metadata: Mapping[str, Any] | None = None,
    expires_at: Moment | None = None,
    conversation: Conversation | None = None,
    idempotency_key: str | None = None,
) -> Call[Chat]:
    """Creates a chat with the messages of `conversation`. Raises Conflict where another chat has the key."""
    body = given(
        key=key,
        title=title,
        summary=summary,
        platform=platform,
        tags=tags,
        is_pinned=is_pinned,
        metadata=metadata,
        expires_at=expires_at,
        conversation=conversation,
    )
    return post("/chats", read_chat, body, idempotency_key=idempotency_key)


def page(
    *,
    state: State | None = None,
    platform: str | None = None,
    tag: str | Sequence[str] | None = None,
    pinned: bool | None = None,
    created_after: Moment | None = None,
    created_before: Moment | None = None,
    active_after: Moment | None = None,
    active_before: Moment | None = None,
    metadata: Mapping[str, object] | None = None,
    order_by: OrderBy | None = None,
    order: Order | None = None,
    include_total: bool | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page[Chat]]:
    """The caller's chats that the filters leave, by last activity unless said; of several tags, with all of them."""
    return reading(
        "/chats",
        read_page(Chat),
        state=state,
        platform=platform,
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
    return reading(place(chat), read_chat, include=include)


def get_or_create(key: str) -> Call[Chat]:
    """The chat that has this key (without `key:` before it); an empty one is made where there is none."""
    return Call(method="PUT", path=place(f"key:{key}"), read=read_chat)


def replace(
    chat: str,
    *,
    key: str | None = None,
    title: str | None = None,
    summary: str | None = None,
    platform: str | None = None,
    tags: Sequence[str] | None = None,
    is_pinned: bool | None = None,
    metadata: Mapping[str, Any] | None = None,
    expires_at: Moment | None = None,
    conversation: Conversation | None = None,
    if_match: str | None = None,
    turn: int | None = None,
) -> Call[Chat]:
    """Replaces a chat: details that are not given are emptied, but for the key. A `conversation` replaces its messages.

    By key, a chat that is not there is created. `if_match` is the `etag` of what was seen: else PreconditionFailed.
    """
    body = given(
        key=key,
        title=title,
        summary=summary,
        platform=platform,
        tags=tags,
        is_pinned=is_pinned,
        metadata=metadata,
        expires_at=expires_at,
        conversation=conversation,
    )
    return _write("PUT", chat, body, if_match, turn)


def patch(
    chat: str,
    *,
    key: str | Unset | None = UNSET,
    title: str | Unset | None = UNSET,
    summary: str | Unset | None = UNSET,
    platform: str | Unset | None = UNSET,
    tags: Sequence[str] | Unset | None = UNSET,
    is_pinned: bool | Unset | None = UNSET,
    metadata: Mapping[str, Any] | Unset | None = UNSET,
    expires_at: Moment | Unset | None = UNSET,
    head: Place | Unset | None = UNSET,
    if_match: str | None = None,
    turn: int | None = None,
) -> Call[Chat]:
    """Changes what is given and leaves the rest; None takes away, `metadata` is merged. `head` switches the branch."""
    body = set_(
        key=key,
        title=title,
        summary=summary,
        platform=platform,
        tags=tags,
        is_pinned=is_pinned,
        metadata=metadata,
        expires_at=expires_at,
        head=head,
    )
    return _write("PATCH", chat, body, if_match, turn)


def _write(
    method: Literal["PUT", "PATCH"], chat: str, body: object, if_match: str | None, turn: int | None
) -> Call[Chat]:
    # Sent a second time, it would take back what others have written since the first.
    return Call(
        method=method,
        path=place(chat),
        read=read_chat,
        headers=headers(turn=turn, if_match=if_match, json=True),
        body=json_body(body),
        repeatable=False,
    )


def delete(chat: str, *, hard: bool | None = None, if_match: str | None = None) -> Call[None]:
    """Puts a chat into the trash; with `hard`, deletes it for good with all its messages."""
    return Call(
        method="DELETE",
        path=place(chat),
        read=nothing,
        query=query(hard=hard),
        headers=headers(if_match=if_match),
        # The second time, the version is another one.
        repeatable=names_one(chat) and if_match is None,
    )


def restore(chat: str, *, idempotency_key: str | None = None) -> Call[Chat]:
    """Takes a chat out of the trash."""
    return post(f"{place(chat)}/restore", read_chat, idempotency_key=idempotency_key)


def fork(
    chat: str,
    *,
    at: Place | None = None,
    key: str | None = None,
    title: str | Unset | None = UNSET,
    summary: str | Unset | None = UNSET,
    platform: str | Unset | None = UNSET,
    tags: Sequence[str] | Unset = UNSET,
    is_pinned: bool | Unset = UNSET,
    metadata: Mapping[str, Any] | Unset = UNSET,
    expires_at: Moment | None = None,
    idempotency_key: str | None = None,
) -> Call[Chat]:
    """Copies the branch that ends at `at`, or the active one, into a new chat, with its details unless given."""
    details = set_(title=title, summary=summary, platform=platform, tags=tags, is_pinned=is_pinned, metadata=metadata)
    body = given(at=at, key=key, expires_at=expires_at) | details
    return post(f"{place(chat)}/fork", read_chat, body, idempotency_key=idempotency_key)
