"""The tables of streaming messages: those `in_progress`, whose text comes in chunks."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer, PrimaryKeyConstraint, Text
from sqlmodel import Field

from app.db.types import UtcDateTime
from app.models.chat import InChat, belongs_to
from app.models.registry import owned


@owned("message")
class StreamingMessage(InChat, table=True):
    """A message in progress: there is a row as long as its status is `in_progress`.

    Attributes:
        stored: how many characters of its text are on disk.
        lease_token: the lease it was opened under, if any; without that lease nobody adds to it.
        touched_at: when its writer was last heard of.
    """

    __tablename__ = "streaming_messages"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", "seq", name="pk_streaming_messages"),
        belongs_to("messages", "fk_streaming_messages_message", "user_id", "chat_id", "seq"),
        Index("ix_streaming_messages_touched_at", "touched_at"),
    )

    seq: int = Field(sa_type=Integer)
    stored: int = Field(default=0, sa_type=Integer)
    lease_token: int | None = Field(default=None, sa_type=BigInteger)
    touched_at: datetime = Field(sa_type=UtcDateTime)


@owned("message")
class Chunk(InChat, table=True):
    """A part of the text of a message in progress, from the character `start` on. Chunks go when it is complete."""

    __tablename__ = "chunks"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", "seq", "start", name="pk_chunks"),
        belongs_to("streaming_messages", "fk_chunks_streaming_message", "user_id", "chat_id", "seq"),
    )

    seq: int = Field(sa_type=Integer)
    start: int = Field(sa_type=Integer)
    text: str = Field(sa_type=Text)
