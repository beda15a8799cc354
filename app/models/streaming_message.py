"""The tables of streaming messages: those `in_progress`, whose text comes in chunks."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, Integer, PrimaryKeyConstraint, Text
from sqlmodel import Field, SQLModel

from app.db.types import Id, UtcDateTime


class StreamingMessage(SQLModel, table=True):
    """A message in progress: there is a row as long as its status is `in_progress`.

    Attributes:
        stored: how many characters of its text are on disk.
        lease_token: the lease it was opened under, if any; without that lease nobody adds to it.
        touched_at: when its writer was last heard of.
    """

    __tablename__ = "streaming_messages"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", "seq", name="pk_streaming_messages"),
        ForeignKeyConstraint(
            ["user_id", "chat_id", "seq"],
            ["messages.user_id", "messages.chat_id", "messages.seq"],
            name="fk_streaming_messages_message",
            ondelete="CASCADE",
        ),
        Index("ix_streaming_messages_touched_at", "touched_at"),
    )

    user_id: str = Field(sa_type=Text)
    chat_id: str = Field(sa_type=Id)
    seq: int = Field(sa_type=Integer)
    stored: int = Field(default=0, sa_type=Integer)
    lease_token: int | None = Field(default=None, sa_type=BigInteger)
    touched_at: datetime = Field(sa_type=UtcDateTime)


class Chunk(SQLModel, table=True):
    """A part of the text of a message in progress, from the character `start` on. Chunks go when it is complete."""

    __tablename__ = "chunks"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", "seq", "start", name="pk_chunks"),
        ForeignKeyConstraint(
            ["user_id", "chat_id", "seq"],
            ["streaming_messages.user_id", "streaming_messages.chat_id", "streaming_messages.seq"],
            name="fk_chunks_streaming_message",
            ondelete="CASCADE",
        ),
    )

    user_id: str = Field(sa_type=Text)
    chat_id: str = Field(sa_type=Id)
    seq: int = Field(sa_type=Integer)
    start: int = Field(sa_type=Integer)
    text: str = Field(sa_type=Text)
