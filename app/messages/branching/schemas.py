"""Schemas of branches."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.chats.schemas import ChatDetails
from app.http.openapi import example
from app.http.paging import DEFAULT_LIMIT, Limit
from app.messages.schemas import MessageName, MessageOut

_MESSAGE_A = "01932c07-209d-7000-8000-fedcba987654"
_MESSAGE_B = "01932c07-20ff-7000-8000-0123456789ab"
_SHARED = "01932c07-209c-7000-8000-1234567890ab"


class ForkIn(ChatDetails):
    """Where to copy a chat to, and up to which message. Details that are left out are those of the chat."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"at": 1, "title": "Eggs, another way"}]})

    at: str | int | None = Field(
        default=None,
        description="The last message to copy, by `message_id`, `seq` or `key:` and its key. Unsaid: the head of the "
        "chat.",
    )

    def details(self) -> ChatDetails:
        """The details that are given for the copy."""
        return ChatDetails.model_construct(**{name: getattr(self, name) for name in self.model_fields_set - {"at"}})


class BranchOut(BaseModel):
    """A branch: the way from a root to its head, and what lies on it."""

    model_config = example(
        head_id=_MESSAGE_A,
        head_seq=4,
        is_active=True,
        message_count=3,
        input_tokens=0,
        output_tokens=21,
        total_tokens=21,
        forked_at=_SHARED,
        created_at="2026-01-31T12:00:04.000000Z",
    )

    head_id: str = Field(description="The message it ends with.")
    head_seq: int
    is_active: bool = Field(description="Whether its head is the head of the chat.")
    message_count: int = Field(description="How many messages there are on the way to its head, that included.")
    input_tokens: int
    output_tokens: int
    total_tokens: int
    forked_at: str | None = Field(
        description="The last message on the way, before its head, that others follow as well."
    )
    created_at: datetime = Field(description="When its head was written.")


class DiffQuery(BaseModel):
    """Which two branches to compare."""

    a: MessageName | None = Field(
        default=None,
        description="The branch that ends at this message, by `message_id`, `seq` or `key:` and its key. Unsaid: the "
        "active one.",
    )
    b: MessageName | None = Field(default=None, description="The other branch, named alike.")
    limit: Limit = DEFAULT_LIMIT


class SharedOut(BaseModel):
    """What two branches share; the last message of that, if there is any."""

    head_id: str | None
    head_seq: int | None
    message_count: int


class SideOut(SharedOut):
    """What one of two branches has after what they share."""

    head_id: str | None = Field(description="The message that the branch ends with.")
    message_count: int = Field(description="How many messages there are after what they share.")
    items: list[MessageOut] = Field(description="The first of them, in order.")


def _side(seq: int, message_id: str, content: str) -> dict[str, Any]:
    message = {
        "message_id": message_id,
        "chat_id": "01932c07-1f3e-7000-8000-abcdef012345",
        "seq": seq,
        "parent_id": _SHARED,
        "role": "assistant",
        "type": "message",
        "siblings": [_MESSAGE_A, _MESSAGE_B],
        "content": content,
        "created_at": "2026-01-31T12:00:04.000000Z",
    }
    return {"head_id": message_id, "head_seq": seq, "message_count": 1, "items": [message]}


class DiffOut(BaseModel):
    """What two branches share, and where they part."""

    model_config = example(
        shared={"head_id": _SHARED, "head_seq": 1, "message_count": 1},
        a=_side(2, _MESSAGE_A, "Eight minutes in boiling water."),
        b=_side(3, _MESSAGE_B, "Ten minutes, from cold water."),
    )

    shared: SharedOut
    a: SideOut
    b: SideOut
