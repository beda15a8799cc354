"""The tables of messages and what hangs on them: the lines of their tree, their earlier forms, what people think."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, Integer, PrimaryKeyConstraint, Text, text
from sqlmodel import Field, SQLModel

from app.db.types import Id, Json, UtcDateTime

# Most chats are one line, and cost nothing here.
NOT_FIRST_SEGMENT = text("segment > 0")
IS_INSTRUCTION = text("role IN ('system', 'developer')")


def _of_message(name: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["user_id", "chat_id", "seq"],
        ["messages.user_id", "messages.chat_id", "messages.seq"],
        name=name,
        ondelete="CASCADE",
    )


class Message(SQLModel, table=True):
    """A message. `seq` is its place in the chat: 1, 2, 3 … as written, never used again.

    Where it hangs in the tree: `parent_seq` is the message it answers (none for a root), and `branch` the line of
    messages it stands in, so that a branch is read as a few ranges of seqs rather than by walking parents.

    `content` is NULL where a message has none, and the JSON text `null` where it has a null. `status` is NULL where it
    was never anything but complete.
    """

    __tablename__ = "messages"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", "seq", name="pk_messages"),
        ForeignKeyConstraint(
            ["user_id", "chat_id"], ["chats.user_id", "chats.chat_id"], name="fk_messages_chat", ondelete="CASCADE"
        ),
        # Without the chat: message ids grow with time, so that new ones of all chats go to one page of the index.
        Index("uq_messages_message_id", "user_id", "message_id", unique=True),
        Index(
            "ix_messages_segment",
            "user_id",
            "chat_id",
            "segment",
            "seq",
            sqlite_where=NOT_FIRST_SEGMENT,
            postgresql_where=NOT_FIRST_SEGMENT,
        ),
        Index(
            "ix_messages_instructions",
            "user_id",
            "chat_id",
            "seq",
            sqlite_where=IS_INSTRUCTION,
            postgresql_where=IS_INSTRUCTION,
        ),
    )

    user_id: str = Field(sa_type=Text)
    chat_id: str = Field(sa_type=Id)
    seq: int = Field(sa_type=Integer)
    message_id: str = Field(sa_type=Id)
    parent_seq: int | None = Field(default=None, sa_type=Integer)
    segment: int = Field(default=0, sa_type=Integer)
    role: str = Field(sa_type=Text)
    type: str = Field(default="message", sa_type=Text)
    content: Any = Field(default=None, sa_type=Json, nullable=True)
    text: str = Field(default="", sa_type=Text)
    tool_calls: list[Any] | None = Field(default=None, sa_type=Json)
    tool_call_id: str | None = Field(default=None, sa_type=Text)
    name: str | None = Field(default=None, sa_type=Text)
    model: str | None = Field(default=None, sa_type=Text)
    tokens: int | None = Field(default=None, sa_type=BigInteger)
    input_tokens: int | None = Field(default=None, sa_type=BigInteger)
    output_tokens: int | None = Field(default=None, sa_type=BigInteger)
    status: str | None = Field(default=None, sa_type=Text)
    metadata_: dict[str, Any] | None = Field(default=None, sa_type=Json, sa_column_kwargs={"name": "metadata"})
    payload: Any = Field(default=None, sa_type=Json, nullable=True)
    created_at: datetime = Field(sa_type=UtcDateTime)
    edited_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Segment(SQLModel, table=True):
    """A line of messages that leaves another one: after the message `fork_seq` of the line `parent_branch`.

    A branch of the tree is its last line's messages, those of the line before it up to the fork, and so on: one range
    of rising seqs per fork. A row never changes. The first line, 0, has none; `parent_branch` is NULL for one that
    begins at a root, and its `fork_seq` 0. Once a chat has another line, nothing is added to line 0, so that its
    messages stay together.
    """

    __tablename__ = "segments"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", "segment", name="pk_segments"),
        ForeignKeyConstraint(
            ["user_id", "chat_id"], ["chats.user_id", "chats.chat_id"], name="fk_segments_chat", ondelete="CASCADE"
        ),
    )

    user_id: str = Field(sa_type=Text)
    chat_id: str = Field(sa_type=Id)
    segment: int = Field(sa_type=Integer)
    parent_segment: int | None = Field(default=None, sa_type=Integer)
    fork_seq: int = Field(sa_type=Integer)


class Revision(SQLModel, table=True):
    """What a message was before an edit: `revision` 1 is what was written first, replaced at `replaced_at`."""

    __tablename__ = "revisions"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", "seq", "revision", name="pk_revisions"),
        _of_message("fk_revisions_message"),
    )

    user_id: str = Field(sa_type=Text)
    chat_id: str = Field(sa_type=Id)
    seq: int = Field(sa_type=Integer)
    revision: int = Field(sa_type=Integer)
    role: str = Field(sa_type=Text)
    type: str = Field(sa_type=Text)
    content: Any = Field(default=None, sa_type=Json, nullable=True)
    tool_calls: list[Any] | None = Field(default=None, sa_type=Json)
    tool_call_id: str | None = Field(default=None, sa_type=Text)
    name: str | None = Field(default=None, sa_type=Text)
    model: str | None = Field(default=None, sa_type=Text)
    tokens: int | None = Field(default=None, sa_type=BigInteger)
    input_tokens: int | None = Field(default=None, sa_type=BigInteger)
    output_tokens: int | None = Field(default=None, sa_type=BigInteger)
    status: str | None = Field(default=None, sa_type=Text)
    metadata_: dict[str, Any] | None = Field(default=None, sa_type=Json, sa_column_kwargs={"name": "metadata"})
    replaced_at: datetime = Field(sa_type=UtcDateTime)


class Feedback(SQLModel, table=True):
    """What a caller thinks of a message: `rating` is -1 or 1. One for each caller, the last one they gave."""

    __tablename__ = "feedback"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", "seq", "caller", name="pk_feedback"),
        _of_message("fk_feedback_message"),
    )

    user_id: str = Field(sa_type=Text)
    chat_id: str = Field(sa_type=Id)
    seq: int = Field(sa_type=Integer)
    caller: str = Field(sa_type=Text)
    rating: int = Field(sa_type=Integer)
    reason: str | None = Field(default=None, sa_type=Text)
    text: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
