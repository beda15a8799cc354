"""The table of API keys, by their SHA-256: the keys themselves are not kept."""

from datetime import datetime

from sqlalchemy import Index, PrimaryKeyConstraint, Text
from sqlmodel import Field, SQLModel

from app.db.types import Id, Json, UtcDateTime
from app.models.registry import owned


@owned("user")
class ApiKey(SQLModel, table=True):
    """An API key. One with a `user_id` acts for that user; one without is a service key, for the user it names.

    It is looked up before its owner is known, so the owner cannot be first in its primary key.
    """

    __tablename__ = "api_keys"
    __table_args__ = (
        PrimaryKeyConstraint("key_id", name="pk_api_keys"),
        Index("uq_api_keys_sha256", "sha256", unique=True),
    )

    key_id: str = Field(sa_type=Id)
    name: str = Field(sa_type=Text)
    user_id: str | None = Field(default=None, sa_type=Text)
    sha256: str = Field(sa_type=Text)
    hint: str = Field(sa_type=Text)
    scopes: list[str] = Field(sa_type=Json)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
