"""The tables of messages and what hangs on them: the segments of their tree, their revisions, feedback."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, PrimaryKeyConstraint, Text, text
from sqlmodel import Field

from app.db.types import Id, Json, UtcDateTime, partial_index
from app.models.chat import InChat, belongs_to
from app.models.registry import owned, owned_table

MAX_SEQ = 2**31 - 1
"""The highest seq that its column holds."""

# Most chats have one segment, and cost nothing here.
NOT_FIRST_SEGMENT = text("segment > 0")
IS_INSTRUCTION = text("role IN ('system', 'developer')")
# What follows a message is the one with the next seq, or in this index.
FOLLOWS_ANOTHER = text("parent_seq IS NULL OR parent_seq < seq - 1")
HAS_KEY = text("key IS NOT NULL")


class _MessageFields(InChat):
    """The columns that a message and a revision of it have in common.

    `content` is NULL where there is none, and the JSON text `null` where it is a null. `status` is NULL where the
    message was never anything but complete.
    """

    seq: int = Field(sa_type=Integer)
    role: str = Field(sa_type=Text)
    type: str = Field(default="message", sa_type=Text)
    content: Any = Field(default=None, sa_type=Json, nullable=True)
    tool_calls: list[Any] | None = Field(default=None, sa_type=Json)
    tool_call_id: str | None = Field(default=None, sa_type=Text)
    name: str | None = Field(default=None, sa_type=Text)
    model: str | None = Field(default=None, sa_type=Text)
    tokens: int | None = Field(default=None, sa_type=BigInteger)
    input_tokens: int | None = Field(default=None, sa_type=BigInteger)
    output_tokens: int | None = Field(default=None, sa_type=BigInteger)
    metadata_: dict[str, Any] | None = Field(default=None, sa_type=Json, sa_column_kwargs={"name": "metadata"})
    status: str | None = Field(default=None, sa_type=Text)


@owned("messages")
class Message(_MessageFields, table=True):
    """A message. Its `seq` is its number in the chat: 1, 2, 3 … as written, never used again.

    `key` is the client's own id for it. It names the message and is not what that says: a revision has none.

    Its position in the tree: `parent_seq` is the message it follows (none for a root), and `segment` the run of
    messages that it is in, so that a branch is read as a few ranges of seqs rather than by walking parents.
    """

    __tablename__ = "messages"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", "seq", name="pk_messages"),
        belongs_to("chats", "fk_messages_chat", "user_id", "chat_id"),
        # Without the chat: message ids grow with time, so that new ones of all chats go to one page of the index.
        Index("uq_messages_message_id", "user_id", "message_id", unique=True),
        partial_index("uq_messages_key", "user_id", "chat_id", "key", where=HAS_KEY, unique=True),
        partial_index("ix_messages_segment", "user_id", "chat_id", "segment", "seq", where=NOT_FIRST_SEGMENT),
        partial_index("ix_messages_parent", "user_id", "chat_id", "parent_seq", "seq", where=FOLLOWS_ANOTHER),
        partial_index("ix_messages_instructions", "user_id", "chat_id", "seq", where=IS_INSTRUCTION),
    )

    message_id: str = Field(sa_type=Id)
    key: str | None = Field(default=None, sa_type=Text)
    parent_seq: int | None = Field(default=None, sa_type=Integer)
    segment: int = Field(default=0, sa_type=Integer)
    payload: Any = Field(default=None, sa_type=Json, nullable=True)
    created_at: datetime = Field(sa_type=UtcDateTime)
    edited_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


@owned("messages")
class Segment(InChat, table=True):
    """A run of messages that leaves another one: after the message `fork_seq` of the segment `parent_segment`.

    A branch is the messages of its last segment, those of that one's parent up to the fork, and so on: one range of
    rising seqs per fork. A row never changes. The first segment, 0, has none; `parent_segment` is NULL for one that
    begins at a root, and its `fork_seq` 0. Once a chat has another segment, nothing is added to segment 0, so that its
    messages stay together.
    """

    __tablename__ = "segments"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", "segment", name="pk_segments"),
        belongs_to("chats", "fk_segments_chat", "user_id", "chat_id"),
    )

    segment: int = Field(sa_type=Integer)
    parent_segment: int | None = Field(default=None, sa_type=Integer)
    fork_seq: int = Field(sa_type=Integer)


@owned("message", record="revision")
class Revision(_MessageFields, table=True):
    """What a message was before an edit: `revision` 1 is what was written first, replaced at `replaced_at`."""

    __tablename__ = "revisions"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", "seq", "revision", name="pk_revisions"),
        belongs_to("messages", "fk_revisions_message", "user_id", "chat_id", "seq"),
    )

    revision: int = Field(sa_type=Integer)
    replaced_at: datetime = Field(sa_type=UtcDateTime)


@owned("message", record="feedback")
class Feedback(InChat, table=True):
    """What a caller thinks of a message: `rating` is -1 or 1. One for each caller, the last one they gave."""

    __tablename__ = "feedback"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", "seq", "caller", name="pk_feedback"),
        belongs_to("messages", "fk_feedback_message", "user_id", "chat_id", "seq"),
    )

    seq: int = Field(sa_type=Integer)
    caller: str = Field(sa_type=Text)
    rating: int = Field(sa_type=Integer)
    reason: str | None = Field(default=None, sa_type=Text)
    text: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


REVISED_FIELDS = tuple(
    name for name in owned_table("revisions").fields if name not in ("seq", "revision", "replaced_at")
)
"""The columns that say what a message is, and what a revision keeps of it: role, type, content, what only some have."""
