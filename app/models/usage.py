"""The tables of counters: what a user has, kept with the writes, so that no statistic ever counts messages.

A write says in its change what it adds (`changes.counts`, see `app.events.counter_deltas`). That is added up here,
behind the writers and before anything here is read.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Integer, PrimaryKeyConstraint, Text
from sqlmodel import Field, SQLModel

from app.db.types import UtcDateTime


class Usage(SQLModel, table=True):
    """What a user has in all, the trash included.

    Attributes:
        position: up to which position of the user's feed this is added up.
        longest: the messages of the longest chat; None where that must be found anew.
        first_at, last_at: when the user was first and last seen to change something.
    """

    __tablename__ = "usage"
    __table_args__ = (PrimaryKeyConstraint("user_id", name="pk_usage"),)

    user_id: str = Field(sa_type=Text)
    position: int = Field(default=0, sa_type=BigInteger)
    active_chats: int = Field(default=0, sa_type=BigInteger)
    deleted_chats: int = Field(default=0, sa_type=BigInteger)
    messages: int = Field(default=0, sa_type=BigInteger)
    input_tokens: int = Field(default=0, sa_type=BigInteger)
    output_tokens: int = Field(default=0, sa_type=BigInteger)
    total_tokens: int = Field(default=0, sa_type=BigInteger)
    longest: int | None = Field(default=0, sa_type=Integer)
    first_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class UsageBy(SQLModel, table=True):
    """The same by kinds: `kind` is role, model or platform, `name` the value as JSON text (`null` for none)."""

    __tablename__ = "usage_by"
    __table_args__ = (PrimaryKeyConstraint("user_id", "kind", "name", name="pk_usage_by"),)

    user_id: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    active_chats: int = Field(default=0, sa_type=BigInteger)
    deleted_chats: int = Field(default=0, sa_type=BigInteger)
    messages: int = Field(default=0, sa_type=BigInteger)
    input_tokens: int = Field(default=0, sa_type=BigInteger)
    output_tokens: int = Field(default=0, sa_type=BigInteger)
    total_tokens: int = Field(default=0, sa_type=BigInteger)


class UsageSlot(SQLModel, table=True):
    """What came to be in a quarter of an hour: `slot` is the number of it since 1970, of `created_at`, in UTC.

    A quarter, since time zones differ by quarters of an hour (https://www.iana.org/time-zones).
    """

    __tablename__ = "usage_slots"
    __table_args__ = (PrimaryKeyConstraint("user_id", "slot", name="pk_usage_slots"),)

    user_id: str = Field(sa_type=Text)
    slot: int = Field(sa_type=BigInteger)
    chats: int = Field(default=0, sa_type=BigInteger)
    messages: int = Field(default=0, sa_type=BigInteger)
    input_tokens: int = Field(default=0, sa_type=BigInteger)
    output_tokens: int = Field(default=0, sa_type=BigInteger)
    total_tokens: int = Field(default=0, sa_type=BigInteger)
