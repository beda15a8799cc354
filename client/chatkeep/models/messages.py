"""Messages, as they are sent and as they come back."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Required, TypedDict

from pydantic import AwareDatetime

from chatkeep.models.model import Model

Role = Literal["user", "assistant", "system", "developer", "tool"]
Order = Literal["asc", "desc"]
MessageRef = str | int
"""A reference to a message: its `message_id`, its `seq`, or `key:` and its key."""


class MessageChanges(TypedDict, total=False):
    """What a message says, as far as it is given."""

    content: str | Sequence[Mapping[str, Any]] | None
    tool_calls: Sequence[Mapping[str, Any]] | None
    tool_call_id: str | None
    name: str | None
    model: str | None
    tokens: int | None
    input_tokens: int | None
    output_tokens: int | None
    metadata: Mapping[str, Any] | None


class MessageIn(MessageChanges, total=False):
    """A message to append. `content` may be left out where `tool_calls` or a `type` of its own says what it is."""

    role: Required[Role]
    type: str
    key: str | None
    created_at: datetime | str | None


class MessageFields(Model):
    """The fields that a message and its revisions have."""

    role: str
    type: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    model: str | None = None
    tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    status: str | None = None
    metadata: dict[str, Any] | None = None


class Message(MessageFields):
    """A message as it is stored. `model_fields_set` tells what is null from what it does not have."""

    message_id: str
    key: str | None = None
    chat_id: str
    seq: int
    parent_id: str | None = None
    siblings: list[str] | None = None
    created_at: AwareDatetime
    edited_at: AwareDatetime | None = None


class Revision(MessageFields):
    """What a message was before an edit."""

    revision: int
    replaced_at: AwareDatetime


class Feedback(Model):
    """A caller's feedback on a message: `rating` is 1 for good, -1 for bad."""

    caller: str
    rating: int
    reason: str | None = None
    text: str | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class Progress(Model):
    """The progress of an answer, in characters: what the service has received, and what is on its disk."""

    received: int
    stored: int
