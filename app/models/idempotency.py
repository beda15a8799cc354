"""The table of stored responses: those to requests with an `Idempotency-Key`."""

from datetime import datetime

from sqlalchemy import Index, Integer, PrimaryKeyConstraint, Text
from sqlmodel import Field, SQLModel

from app.db.types import Id, Json, UtcDateTime
from app.models.registry import owned


@owned("chat")
class Idempotency(SQLModel, table=True):
    """A stored response, under the caller, the route (method and path) and the key; committed with its effect.

    `chat_id` is the chat it is about, if any. For an append `first_seq` is set too, and `body` is a JSON list of the
    messages without the chat, the seqs they got and the first one's parent, `parent_id`, and siblings, `siblings`:
    those are known only in the database, where the row is written.
    """

    __tablename__ = "idempotency"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "route", "key", name="pk_idempotency"),
        Index("ix_idempotency_created_at", "created_at"),
    )

    user_id: str = Field(sa_type=Text)
    route: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text)
    request_sha256: str = Field(sa_type=Text)
    status: int = Field(sa_type=Integer)
    body: str = Field(sa_type=Text)
    headers: str = Field(default="{}", sa_type=Text)
    chat_id: str | None = Field(default=None, sa_type=Id)
    first_seq: int | None = Field(default=None, sa_type=Integer)
    parent_id: str | None = Field(default=None, sa_type=Id)
    siblings: list[str] | None = Field(default=None, sa_type=Json)
    created_at: datetime = Field(sa_type=UtcDateTime)
