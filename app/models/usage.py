"""Usage counters: what each user has, so that no statistic ever counts messages.

A write records in its change what it adds (`changes.counts`, see `app.events.counter_deltas`). `app.stats.counters`
aggregates that into these tables, behind the writers and before they are read.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Integer, PrimaryKeyConstraint, Text
from sqlmodel import Field, SQLModel

from app.db.types import UtcDateTime
from app.models.registry import owned


class _Totals(SQLModel):
    """Counters of messages and their tokens."""

    user_id: str = Field(sa_type=Text)
    messages: int = Field(default=0, sa_type=BigInteger)
    input_tokens: int = Field(default=0, sa_type=BigInteger)
    output_tokens: int = Field(default=0, sa_type=BigInteger)
    total_tokens: int = Field(default=0, sa_type=BigInteger)


class _ChatTotals(_Totals):
    """The same, with those of chats."""

    active_chats: int = Field(default=0, sa_type=BigInteger)
    deleted_chats: int = Field(default=0, sa_type=BigInteger)


@owned("user")
class Usage(_ChatTotals, table=True):
    """Totals of a user, the trash included.

    Attributes:
        position: the position in the user's feed up to which changes are counted.
        longest: the messages of the longest chat; None where that must be determined again.
        first_at, last_at: when the user was first and last seen to change something.
    """

    __tablename__ = "usage"
    __table_args__ = (PrimaryKeyConstraint("user_id", name="pk_usage"),)

    position: int = Field(default=0, sa_type=BigInteger)
    longest: int | None = Field(default=0, sa_type=Integer)
    first_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


@owned("user")
class UsageBy(_ChatTotals, table=True):
    """Totals of a user by role, model or platform (`kind`); `name` is its value as JSON text (`null` for none)."""

    __tablename__ = "usage_by"
    __table_args__ = (PrimaryKeyConstraint("user_id", "kind", "name", name="pk_usage_by"),)

    kind: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)


@owned("user")
class UsageTimeBucket(_Totals, table=True):
    """Counters of a time bucket, a quarter of an hour: `time_bucket` is its number since 1970 in UTC, of `created_at`.

    A quarter, since time zones differ by quarters of an hour (https://www.iana.org/time-zones).
    """

    __tablename__ = "usage_time_buckets"
    __table_args__ = (PrimaryKeyConstraint("user_id", "time_bucket", name="pk_usage_time_buckets"),)

    time_bucket: int = Field(sa_type=BigInteger)
    chats: int = Field(default=0, sa_type=BigInteger)
