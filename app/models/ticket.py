"""The table of tickets: each opens one WebSocket, for a caller who was authenticated elsewhere."""

from datetime import datetime
from typing import Any

from sqlalchemy import PrimaryKeyConstraint, Text
from sqlmodel import Field, SQLModel

from app.db.types import Json, UtcDateTime
from app.models.registry import owned


@owned("user")
class Ticket(SQLModel, table=True):
    """A ticket that was not used yet, by its SHA-256.

    Attributes:
        principal, scopes: those of the caller who asked for it.
        caller_until: when the token of that caller runs out, if it does by itself.
        expires_at: until when the ticket can be used.
    """

    __tablename__ = "tickets"
    __table_args__ = (PrimaryKeyConstraint("user_id", "sha256", name="pk_tickets"),)

    user_id: str = Field(sa_type=Text)
    sha256: str = Field(sa_type=Text)
    principal: str = Field(sa_type=Text)
    scopes: list[Any] = Field(sa_type=Json)
    caller_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
