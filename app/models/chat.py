"""The table of chats: what others call sessions, conversations or threads."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKeyConstraint, Integer, PrimaryKeyConstraint, Text, text
from sqlmodel import Field, SQLModel

from app.db.types import Id, Json, Key, UtcDateTime, partial_index
from app.models.registry import owned

# Each chat is in one of these states.
ACTIVE = "deleted_at IS NULL AND archived_at IS NULL"
ARCHIVED = "deleted_at IS NULL AND archived_at IS NOT NULL"
DELETED = "deleted_at IS NOT NULL"


@owned("user")
class Chat(SQLModel, table=True):
    """A chat. Its counters are kept in the transaction of the message they count; no list counts rows.

    A chat is a tree of messages. Its active branch ends at the head: the message `head_id` with the seq `head_seq`, in
    `segment` (see Segment). What is appended goes there. `last_segment` is the highest number a segment ever had.
    `tree_version` is 0 for a chat that never had more than one segment, and grows by one whenever its segments, its
    head by choice or its siblings change, so that what was read of the tree can be kept.

    `source` says where an imported chat came from: its format and its id there.

    `listed_at` is where the indexes have it in the list by last activity. An append moves `last_activity_at` on and
    leaves the indexes alone: until housekeeping tells them, the chat is in `moved_chats`.

    `version` grows by one with every change to the chat or its messages. Its lease is held by `lease_holder`
    until `lease_until`; `lease_token`, the fencing token, grows with each lease.
    """

    __tablename__ = "chats"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", name="pk_chats"),
        # A key is free again once its chat is in the trash.
        partial_index(
            "uq_chats_key", "user_id", "key", unique=True, where=text("key IS NOT NULL AND deleted_at IS NULL")
        ),
        # What was imported once is known again.
        partial_index("uq_chats_source", "user_id", "source", unique=True, where=text("source IS NOT NULL")),
        # One index for each order of the list, for each state: every page is a range of one, however many chats are
        # archived or in the trash.
        *(
            partial_index(f"ix_chats_{name}_{order}", "user_id", order, "chat_id", where=text(condition))
            for name, condition in (("active", ACTIVE), ("archived", ARCHIVED), ("trash", DELETED))
            for order in ("listed_at", "created_at", "updated_at")
        ),
        partial_index("ix_chats_expires_at", "expires_at", where=text("expires_at IS NOT NULL AND deleted_at IS NULL")),
    )

    user_id: str = Field(sa_type=Text)
    chat_id: str = Field(sa_type=Id)
    key: str | None = Field(default=None, sa_type=Key)
    title: str | None = Field(default=None, sa_type=Text)
    summary: str | None = Field(default=None, sa_type=Text)
    summary_until_seq: int | None = Field(default=None, sa_type=Integer)
    platform: str | None = Field(default=None, sa_type=Text)
    tags: list[str] = Field(default_factory=list, sa_type=Json)
    is_pinned: bool = Field(default=False, sa_type=Boolean)
    metadata_: dict[str, Any] = Field(default_factory=dict, sa_type=Json, sa_column_kwargs={"name": "metadata"})
    forked_from: str | None = Field(default=None, sa_type=Id)
    forked_at: str | None = Field(default=None, sa_type=Id)
    source: str | None = Field(default=None, sa_type=Text)
    lease_token: int | None = Field(default=None, sa_type=BigInteger)
    lease_holder: str | None = Field(default=None, sa_type=Text)
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    listed_at: datetime = Field(sa_type=UtcDateTime)
    archived_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    # What an append changes stands together: Postgres logs of a row what is between the first and the last change.
    segment: int = Field(default=0, sa_type=Integer)
    tree_version: int = Field(default=0, sa_type=Integer)
    last_segment: int = Field(default=0, sa_type=Integer)
    input_tokens: int = Field(default=0, sa_type=BigInteger)
    output_tokens: int = Field(default=0, sa_type=BigInteger)
    total_tokens: int = Field(default=0, sa_type=BigInteger)
    message_count: int = Field(default=0, sa_type=Integer)
    last_seq: int = Field(default=0, sa_type=Integer)
    head_seq: int | None = Field(default=None, sa_type=Integer)
    head_id: str | None = Field(default=None, sa_type=Id)
    version: int = Field(default=1, sa_type=BigInteger)
    last_activity_at: datetime = Field(sa_type=UtcDateTime)


def belongs_to(table: str, name: str, *columns: str) -> ForeignKeyConstraint:
    """A foreign key to the columns of another table that are called alike; what belongs to a row goes with it."""
    return ForeignKeyConstraint(columns, [f"{table}.{column}" for column in columns], name=name, ondelete="CASCADE")


class InChat(SQLModel):
    """The columns that every table of what belongs to a chat begins with."""

    user_id: str = Field(sa_type=Text)
    chat_id: str = Field(sa_type=Id)


@owned("chat")
class MovedChat(InChat, table=True):
    """A chat whose `last_activity_at` is later than its `listed_at`."""

    __tablename__ = "moved_chats"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "chat_id", name="pk_moved_chats"),
        belongs_to("chats", "fk_moved_chats_chat", "user_id", "chat_id"),
    )
