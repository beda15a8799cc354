"""The tables of the event log: what changed for a user, in the order in which it was committed."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, PrimaryKeyConstraint, Text
from sqlmodel import Field, SQLModel

from app.db.types import Json, UtcDateTime
from app.models.registry import owned


@owned("user")
class Feed(SQLModel, table=True):
    """A user's position in the event log: that of the last change. Those up to `pruned` are no longer kept.

    It is raised in the transaction of the change, and its row stays locked until that is committed: positions are
    committed in their order, so that nobody who read up to one ever misses an earlier one.
    """

    __tablename__ = "feeds"
    __table_args__ = (PrimaryKeyConstraint("user_id", name="pk_feeds"),)

    user_id: str = Field(sa_type=Text)
    position: int = Field(sa_type=BigInteger)
    pruned: int = Field(default=0, sa_type=BigInteger)


@owned("user")
class Change(SQLModel, table=True):
    """What one transaction changed for a user.

    Attributes:
        position: that of its last change.
        events: what changed, see `app.events.events`.
        deltas: what that adds to the user's counters, see `app.events.counter_deltas`; NULL where it adds nothing.
    """

    __tablename__ = "changes"
    __table_args__ = (PrimaryKeyConstraint("user_id", "position", name="pk_changes"),)

    user_id: str = Field(sa_type=Text)
    position: int = Field(sa_type=BigInteger)
    at: datetime = Field(sa_type=UtcDateTime)
    events: list[Any] = Field(sa_type=Json)
    deltas: list[Any] | None = Field(default=None, sa_type=Json)
