"""Chats, their branches, turns and contexts."""

from typing import Any

from pydantic import AwareDatetime, PrivateAttr

from chatkeep.call import Response
from chatkeep.models.messages import Message
from chatkeep.models.model import Model


class Chat(Model):
    """A chat. `conversation` is there where it was asked for."""

    chat_id: str
    user_id: str
    key: str | None
    title: str | None
    summary: str | None
    summary_until_seq: int | None
    platform: str | None
    tags: list[str]
    is_pinned: bool
    is_archived: bool
    metadata: dict[str, Any]
    message_count: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    last_seq: int
    version: int
    head_id: str | None
    forked_from: str | None
    forked_at: str | None
    source: str | None
    is_active: bool
    created_at: AwareDatetime
    updated_at: AwareDatetime
    last_activity_at: AwareDatetime
    archived_at: AwareDatetime | None
    deleted_at: AwareDatetime | None
    expires_at: AwareDatetime | None
    conversation: list[Message] | None = None

    _etag: str | None = PrivateAttr(default=None)

    @property
    def etag(self) -> str | None:
        """What `if_match` takes, to change only what was seen. None for one that came in a list."""
        return self._etag


def parse_chat(response: Response) -> Chat:
    """Parses a response that is a chat."""
    chat = Chat.model_validate_json(response.body)
    chat._etag = response.headers.get("etag")
    return chat


class Branch(Model):
    """A branch: the path from a root to its head, with the counts of its messages."""

    head_id: str
    head_seq: int
    is_active: bool
    message_count: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    forked_at: str | None
    created_at: AwareDatetime


class Shared(Model):
    """The messages that two branches share, and the last of these."""

    head_id: str | None
    head_seq: int | None
    message_count: int


class Side(Model):
    """The messages of one of two branches after those they share; `items` are the first of these."""

    head_id: str | None
    head_seq: int | None
    message_count: int
    items: list[Message]


class Diff(Model):
    """Two branches compared."""

    shared: Shared
    a: Side
    b: Side


class Turn(Model):
    """Who holds a chat's turn; None where nobody does."""

    holder: str | None
    until: AwareDatetime | None


class TurnTaken(Model):
    """A turn that is held until `until`. Writes pass its `token` as `turn`."""

    token: int
    holder: str
    until: AwareDatetime


class Finding(Model):
    """What a provider would refuse of a message."""

    rule: str
    message_id: str
    seq: int
    detail: str


class Lint(Model):
    """What a provider would refuse of a chat; `ok` where there is nothing."""

    ok: bool
    items: list[Finding]
    truncated: bool


class Context(Model):
    """What a model is sent of a chat: `messages`, `input` or `system` and `messages`, as its format has it."""

    format: str
    messages: list[dict[str, Any]] | None = None
    input: list[dict[str, Any]] | None = None
    system: list[dict[str, Any]] | None = None
    tokens: int
    message_count: int
    truncated: bool
    first_seq: int | None
    last_seq: int | None
