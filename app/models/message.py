"""The table of messages."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, Integer, PrimaryKeyConstraint, Text
from sqlmodel import Field, SQLModel

from app.db.types import Id, Json, UtcDateTime


class Message(SQLModel, table=True):
    """A message. `seq` is its place in the chat: 1, 2, 3 … as written, never used again.

    Where it hangs in the tree: `parent_seq` is the message it answers (none for a root), and `branch` the line of
    messages it stands in, so that a branch is read as a few ranges of seqs rather than by walking parents.

    `content` is NULL where a message has none, and the JSON text `null` where it has a null.
    """

    __tablename__ = "messages"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", "seq", name="pk_messages"),
        ForeignKeyConstraint(
            ["user_id", "chat_id"], ["chats.user_id", "chats.chat_id"], name="fk_messages_chat", ondelete="CASCADE"
        ),
        # Without the chat: message ids grow with time, so that new ones of all chats go to one page of the index.
        Index("uq_messages_message_id", "user_id", "message_id", unique=True),
    )

    user_id: str = Field(sa_type=Text)
    chat_id: str = Field(sa_type=Id)
    seq: int = Field(sa_type=Integer)
    message_id: str = Field(sa_type=Id)
    parent_seq: int | None = Field(default=None, sa_type=Integer)
    branch: int = Field(default=0, sa_type=Integer)
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
