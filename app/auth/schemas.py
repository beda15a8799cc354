"""The schemas of API keys."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.auth.caller import MAX_USER_ID, SCOPES, Scope, is_user_id
from app.db.timestamps import now, to_iso
from app.http.openapi import example
from app.http.paging import DEFAULT_LIMIT, Cursor, Limit
from app.http.timestamps import Timestamp
from app.models import ApiKey

_EXAMPLE_OUT: dict[str, Any] = {
    "key_id": "01932c07-209c-7000-8000-1234567890ab",
    "name": "agent backend",
    "user_id": None,
    "scopes": ["chats:read", "chats:write"],
    "hint": "ck_Zk3v…",
    "created_at": "2026-01-31T12:00:00.000000Z",
    "expires_at": None,
    "revoked_at": None,
}


def _printable(value: str) -> str:
    if not is_user_id(value):
        raise ValueError("no control characters are taken here")
    return value


def _in_order(value: list[Scope]) -> list[Scope]:
    return sorted(set(value), key=SCOPES.index)


def _future(value: datetime) -> datetime:
    if value <= now():
        raise ValueError("this moment is over: a key must expire later")
    return value


class ApiKeyIn(BaseModel):
    """An API key to make. With a `user_id` it acts for that user; without, it is a service key."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"name": "agent backend", "scopes": ["chats:read", "chats:write"]},
                {"name": "laptop", "user_id": "ann", "scopes": ["chats:read"], "expires_at": "2099-01-01T00:00:00Z"},
            ]
        },
    )

    name: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable)] = Field(
        description="What it is for, to know it again in the list."
    )
    user_id: Annotated[str, Field(min_length=1, max_length=MAX_USER_ID), AfterValidator(_printable)] | None = Field(
        default=None, description="The user it acts for. Without one, it acts for the user that `X-User-Id` names."
    )
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=20), AfterValidator(_in_order)] = Field(
        description="What it may do."
    )
    expires_at: Annotated[Timestamp, AfterValidator(_future)] | None = Field(
        default=None, description="When it stops working; never, if not said."
    )


class ApiKeyOut(BaseModel):
    """An API key, without its secret."""

    model_config = example(**_EXAMPLE_OUT)

    key_id: str
    name: str
    user_id: str | None = Field(description="The user it acts for; null for a service key.")
    scopes: list[Scope]
    hint: str = Field(description="How the key begins.")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None = Field(description="When it was revoked; null while it works.")


class ApiKeyMade(ApiKeyOut):
    """A new API key. `key` is its secret: shown this once, and stored nowhere."""

    model_config = example(key="ck_Zk3vYxJ0b8r1m2nQw4t6uS9pLhGfDaEcXv7BzKi5OyU", **_EXAMPLE_OUT)

    key: str


class ApiKeyQuery(BaseModel):
    """Which page of the keys to read."""

    model_config = ConfigDict(extra="forbid")

    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor = None


def key_fields(row: ApiKey) -> dict[str, Any]:
    """The fields of ApiKeyOut of a stored key, ready for JSON."""
    fields = {name: getattr(row, name) for name in ApiKeyOut.model_fields}
    return fields | {name: to_iso(fields[name]) for name in ("created_at", "expires_at", "revoked_at")}
