"""Search schemas: the parameters of a search, and its hits."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.chats.schemas import Platform, Tag
from app.http.openapi import example
from app.http.paging import DEFAULT_LIMIT, Cursor, Limit
from app.http.timestamps import Timestamp


class SearchQuery(BaseModel):
    """What to look for, and among what."""

    q: str = Field(description='Words, `"phrases"`, `-without`, `OR` and `prefix*`.', examples=["soft OR boiled eggs"])
    chat: str | None = Field(default=None, description="Only in this chat: its UUID, or `key:` and its key.")
    role: Literal["user", "assistant", "system", "developer", "tool"] | None = Field(
        default=None, description="Only messages with this role; no titles."
    )
    platform: Platform | None = Field(default=None, description="Only in chats on this platform.")
    tag: list[Tag] = Field(default=[], max_length=8, description="Only in chats with this tag; with several, all.")
    after: Timestamp | None = Field(default=None, description="Only what was created after this moment.")
    before: Timestamp | None = Field(default=None, description="Only what was created before this moment.")
    include_deleted: bool = Field(default=False, description="In the trash as well.")
    order: Literal["best", "newest"] = Field(
        default="best", description="Best first: among the newest 500 matches, then the 500 before. Or newest first."
    )
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor = None


SnippetHtml = Annotated[
    str, Field(description="Escaped for HTML; what matches stands in `<mark>`, and there is no other element in it.")
]


class MessageHit(BaseModel):
    """A message that was found."""

    model_config = example(
        kind="message",
        chat_id="01932c07-1f3e-7000-8000-abcdef012345",
        title="Eggs",
        seq=2,
        message_id="01932c07-209d-7000-8000-fedcba987654",
        role="assistant",
        created_at="2026-01-31T12:00:04.000000Z",
        snippet="Six minutes for a soft <mark>egg</mark>, nine for a hard one.",
    )

    kind: Literal["message"]
    chat_id: str
    title: str | None = Field(description="The chat's title.")
    seq: int
    message_id: str
    role: str
    created_at: datetime
    snippet: SnippetHtml


class ChatHit(BaseModel):
    """A chat that was found by its title or summary."""

    kind: Literal["chat"]
    chat_id: str
    title: str | None
    created_at: datetime
    snippet: SnippetHtml


Hit = Annotated[MessageHit | ChatHit, Field(discriminator="kind")]
