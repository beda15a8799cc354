"""Schemas of changes and tickets, and of the queries of the feed."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from app.chats.schemas import ChatOut
from app.http.paging import DEFAULT_LIMIT, Limit
from app.messages.schemas import EXAMPLE_OUT, MessageOut

ChatChangeType = Literal["chat.created", "chat.updated", "chat.deleted", "chat.restored", "chat.erased"]
MessageChangeType = Literal["head.moved", "message.appended", "message.edited", "message.deleted", "messages.cleared"]
ChangeType = Literal[ChatChangeType, MessageChangeType]

CHAT_ID = "01932c07-1f3e-7000-8000-abcdef012345"
CURSOR = "CzC0vQ_6tdGGqgKXWzEyXQ"
CHANGE: dict[str, JsonValue] = {
    "cursor": CURSOR,
    "type": "message.appended",
    "chat_id": CHAT_ID,
    "at": "2026-01-31T12:00:00.000000Z",
    "seq": 1,
    "message_id": "01932c07-209c-7000-8000-1234567890ab",
    "message": EXAMPLE_OUT,
}

PAGE: dict[str, JsonValue] = {"items": [CHANGE], "cursor": CURSOR, "has_more": False}

Since = Annotated[
    str | None,
    Field(
        max_length=1024,
        description="The `cursor` of the last change that was seen; or `now`, or `start` for all that is kept.",
    ),
]
OneChat = Annotated[
    str | None, Field(max_length=1024, description="Only changes of this chat: its UUID, or `key:` and its key.")
]


class ChangeOut(BaseModel):
    """A change. The message or the chat is shown as it is now, and left out where it is gone by now."""

    model_config = ConfigDict(json_schema_extra={"examples": [CHANGE]})

    cursor: str = Field(description="Its place in the feed: with it as `since`, the next one is what comes after.")
    type: ChangeType
    chat_id: str
    at: datetime = Field(description="When it was written.")
    seq: int | None = Field(default=None, description="Of the message.")
    message_id: str | None = None
    message: MessageOut | None = None
    chat: ChatOut | None = None
    head_seq: int | None = Field(default=None, description="`head.moved`: where the active branch ends now.")
    head_id: str | None = None
    last_seq: int | None = Field(default=None, description="`messages.cleared`: every message up to this one is gone.")


class ChangePage(BaseModel):
    """The next changes. `cursor` is the `since` for those after them."""

    model_config = ConfigDict(json_schema_extra={"examples": [PAGE]})

    items: list[ChangeOut]
    cursor: str
    has_more: bool = Field(description="Whether there is more to be read at once.")


class ChangesQuery(BaseModel):
    """Which changes to read."""

    since: Since = None
    limit: Limit = DEFAULT_LIMIT
    chat: OneChat = None


class EventsQuery(BaseModel):
    """Which changes to follow, and from where."""

    since: Since = None
    chat: OneChat = None


class SocketQuery(EventsQuery):
    """The same for a WebSocket, which may come with a ticket."""

    ticket: Annotated[str, Field(max_length=1024)] | None = None


class TicketOut(BaseModel):
    """A ticket: good for one WebSocket, and for a short time."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"ticket": "Zk3vYxJ0b8r1m2nQw4t6uS9pLhGfDaEcXv7BzKi5OyU", "expires_at": "2026-01-31T12:00:30.000000Z"}
            ]
        }
    )

    ticket: str
    expires_at: datetime
