"""Statistics schemas: query parameters and responses."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from app.auth.owner_scope import OwnerQuery
from app.http.openapi import example

# A day or a timestamp: parsed later, with a 400 that shows how to write it.
When = Annotated[str, StringConstraints(min_length=1, max_length=40)]


class SeriesQuery(OwnerQuery):
    """A series: of which time, and in which steps."""

    from_: When | None = Field(
        default=None,
        alias="from",
        description="The day or the moment with which it begins; without it, 29 days before `to`.",
        examples=["2026-01-01", "2026-01-01T12:00:00Z"],
    )
    to: When | None = Field(default=None, description="The last day, or a moment in the last step; without it, now.")
    by: Literal["hour", "day", "week"] = Field(default="day", description="A step. Weeks begin on Monday (ISO 8601).")
    tz: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        default="UTC", description="The time zone whose days these are, by its IANA name.", examples=["Europe/Berlin"]
    )


class TopQuery(BaseModel):
    """Which users."""

    by: Literal["messages", "tokens", "chats"] = Field(default="messages", description="What they have most of.")
    limit: Annotated[int, Field(ge=1, le=200, description="How many users at most.")] = 10


class Counted(BaseModel):
    """Messages and their tokens."""

    messages: int
    input_tokens: int
    output_tokens: int
    total_tokens: int


class ByRole(Counted):
    """Those of one role."""

    role: str | None


class ByModel(Counted):
    """Those of one model; null for those that name none."""

    model: str | None


class ByPlatform(Counted):
    """Those of one platform; null for chats that name none."""

    platform: str | None
    conversations: int


_COUNTED = {"messages": 2, "input_tokens": 12, "output_tokens": 9, "total_tokens": 21}
_TOTALS_EXAMPLE = {
    "total_conversations": 1,
    "active_conversations": 1,
    "deleted_conversations": 0,
    "total_messages": 2,
    "total_tokens": 21,
    "total_input_tokens": 12,
    "total_output_tokens": 9,
}
_ACTIVITY_EXAMPLE = {
    "first_activity_at": "2026-01-31T12:00:00.000000Z",
    "last_activity_at": "2026-01-31T12:00:04.000000Z",
}


class StatsOut(BaseModel):
    """Totals, chats in the trash included."""

    model_config = example(
        **_TOTALS_EXAMPLE,
        average_messages_per_conversation=2.0,
        average_tokens_per_conversation=21.0,
        longest_conversation_messages=2,
        longest_conversation_user="ann",
        **_ACTIVITY_EXAMPLE,
        by_role=[
            {"role": "assistant", **_COUNTED, "messages": 1},
            {"role": "user", **dict.fromkeys(_COUNTED, 0), "messages": 1},
        ],
        by_model=[{"model": "gpt-5", **_COUNTED}],
        by_platform=[{"platform": None, "conversations": 1, **_COUNTED}],
    )

    total_conversations: int
    active_conversations: int = Field(description="Those that are not in the trash.")
    deleted_conversations: int = Field(description="Those in the trash.")
    total_messages: int
    total_tokens: int
    total_input_tokens: int
    total_output_tokens: int
    average_messages_per_conversation: float = Field(description="0 where there are no conversations.")
    average_tokens_per_conversation: float = Field(description="0 where there are no conversations.")
    longest_conversation_messages: int = Field(description="How many messages the longest one has, all branches of it.")
    longest_conversation_user: str | None = Field(description="Whose that is; null where nobody has a message.")
    first_activity_at: datetime | None = Field(description="When the first change of a chat or message was written.")
    last_activity_at: datetime | None = Field(description="When the last one was.")
    by_role: list[ByRole] = Field(description="Most messages first, at most 1,000 of each.")
    by_model: list[ByModel]
    by_platform: list[ByPlatform]
    total_users: int | None = Field(default=None, description="Users with a conversation; only over all users.")


class Step(BaseModel):
    """One step of a series."""

    start: datetime = Field(description="When it begins, with the time zone's offset then.")
    conversations: int = Field(description="Those that were created in it.")
    messages: int = Field(description="Those whose `created_at` is in it, of chats in the trash too.")
    input_tokens: int
    output_tokens: int
    total_tokens: int


class SeriesOut(BaseModel):
    """A series without holes: a step where nothing was has zeros."""

    model_config = example(
        by="day",
        tz="Europe/Berlin",
        items=[{"start": "2026-01-31T00:00:00+01:00", "conversations": 1, **_COUNTED}],
    )

    by: str
    tz: str
    items: list[Step]


class TopUser(BaseModel):
    """A user and what they have, chats in the trash included."""

    user_id: str
    total_conversations: int
    active_conversations: int
    deleted_conversations: int
    total_messages: int
    total_tokens: int
    total_input_tokens: int
    total_output_tokens: int
    longest_conversation_messages: int
    first_activity_at: datetime | None
    last_activity_at: datetime | None


class TopOut(BaseModel):
    """The most active users."""

    model_config = example(
        items=[{"user_id": "ann", **_TOTALS_EXAMPLE, "longest_conversation_messages": 2, **_ACTIVITY_EXAMPLE}]
    )

    items: list[TopUser]


class IndexSize(BaseModel):
    """An index."""

    name: str
    bytes: int | None


class TableSize(BaseModel):
    """A table."""

    name: str
    bytes: int | None = Field(description="Without its indexes.")
    index_bytes: int | None = Field(description="All of its indexes.")
    rows: int | None = Field(
        description="Of `chats` and `messages` as counted a moment ago; of others what Postgres estimates, else null."
    )
    indexes: list[IndexSize]


class StorageOut(BaseModel):
    """What the database takes, in bytes; null for what it does not tell."""

    model_config = example(
        database="sqlite",
        total_bytes=258048,
        free_bytes=0,
        wal_bytes=185432,
        tables=[
            {
                "name": "chats",
                "bytes": 4096,
                "index_bytes": 4096,
                "rows": 1,
                "indexes": [{"name": "uq_chats_key", "bytes": 4096}],
            }
        ],
    )

    database: Literal["sqlite", "postgres"]
    total_bytes: int = Field(description="All of the database; on SQLite without its write-ahead log.")
    free_bytes: int | None = Field(description="Of that on SQLite, what is free for what comes next.")
    wal_bytes: int | None = Field(description="SQLite's write-ahead log; on Postgres it is the server's.")
    tables: list[TableSize]
