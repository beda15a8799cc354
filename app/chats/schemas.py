"""Schemas of chats and their turns: the bodies of requests and responses, and the queries of lists."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from app.http.openapi import example
from app.http.paging import DEFAULT_LIMIT, Cursor, Limit
from app.http.references import MAX_KEY, is_key
from app.http.timestamps import Timestamp
from app.models.message import MAX_SEQ

MAX_TAGS = 64
DEFAULT_SECONDS = 60


def _checked_key(value: str) -> str:
    if not is_key(value):
        raise ValueError(f"a key has 1 to {MAX_KEY} characters and no control characters")
    return value


Key = Annotated[str, AfterValidator(_checked_key), Field(max_length=MAX_KEY, examples=["feishu:group:user123"])]
Title = Annotated[str, Field(max_length=1024)]
Summary = Annotated[str, Field(max_length=65536)]
# In a body strict JSON sees to it; in a query a NUL would only be noticed by Postgres.
_NO_NUL = r"^[^\x00]*$"
Platform = Annotated[str, Field(min_length=1, max_length=64, pattern=_NO_NUL)]
Tag = Annotated[str, Field(min_length=1, max_length=128, pattern=_NO_NUL)]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS)]

EXAMPLE_IN: dict[str, JsonValue] = {
    "key": "feishu:group:user123",
    "title": "Eggs",
    "platform": "web",
    "tags": ["kitchen"],
}
EXAMPLE_PATCH: dict[str, JsonValue] = {"title": "Boiled eggs", "metadata": {"done": True}}


class ChatPatch(BaseModel):
    """A JSON merge patch (RFC 7396) of a chat's details: what is left out stays, null takes away."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [EXAMPLE_PATCH]})

    key: Key | None = Field(default=None, description="The chat's name outside: unique among your chats.")
    title: Title | None = None
    summary: Summary | None = None
    summary_until_seq: Annotated[int, Field(ge=1, le=MAX_SEQ)] | None = Field(
        default=None, description="The `seq` of the last message that the summary covers."
    )
    platform: Platform | None = Field(default=None, description="Where it takes place: `web`, `slack`, `feishu` …")
    tags: Tags | None = None
    is_pinned: bool | None = None
    is_archived: bool | None = Field(
        default=None, description="Put away: it is left out of the list unless `state` asks for it. All else works."
    )
    metadata: dict[str, Any] | None = Field(default=None, description="Any JSON object of yours.")
    expires_at: Timestamp | None = Field(default=None, description="When it goes to the trash by itself.")


class ChatDetails(ChatPatch):
    """What a client says about a chat."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_IN]})

    # What a chat always has.
    tags: Tags = []
    is_pinned: bool = False
    is_archived: bool = Field(
        default=False, description="Put away: it is left out of the list unless `state` asks for it. All else works."
    )
    metadata: dict[str, Any] = Field(default={}, description="Any JSON object of yours.")


DETAIL_COLUMNS = tuple(name for name in ChatDetails.model_fields if name != "is_archived")
"""The details that are columns of `chats` by the same name. Whether it is archived stands in `archived_at`."""

EMPTY_DETAILS: dict[str, Any] = {
    name: field.default for name, field in ChatDetails.model_fields.items() if field.default is not None
}
"""What a detail that a chat always has is where it is taken away."""


class ChatOut(ChatDetails):
    """A chat."""

    model_config = example(
        chat_id="01932c07-1f3e-7000-8000-abcdef012345",
        user_id="user123",
        **EXAMPLE_IN,
        summary=None,
        summary_until_seq=None,
        is_pinned=False,
        is_archived=False,
        metadata={},
        message_count=2,
        input_tokens=0,
        output_tokens=21,
        total_tokens=21,
        last_seq=2,
        version=3,
        head_id="01932c07-209d-7000-8000-fedcba987654",
        forked_from=None,
        forked_at=None,
        source=None,
        is_active=True,
        created_at="2026-01-31T12:00:00.000000Z",
        updated_at="2026-01-31T12:00:00.000000Z",
        last_activity_at="2026-01-31T12:00:04.000000Z",
        archived_at=None,
        deleted_at=None,
        expires_at=None,
    ) | ConfigDict(extra="ignore", json_schema_serialization_defaults_required=True)

    chat_id: str
    user_id: str
    message_count: int = Field(description="How many messages it has.")
    input_tokens: int
    output_tokens: int
    total_tokens: int
    last_seq: int = Field(description="The highest `seq` that a message of it ever had.")
    version: int = Field(description="Grows with every change to the chat or its messages.")
    head_id: str | None = Field(description="The last message of the active branch: what is appended follows it.")
    forked_from: str | None = Field(description="The `chat_id` of the chat it is a copy of, if it is one.")
    forked_at: str | None = Field(description="The `message_id` there that the copy ends with.")
    source: str | None = Field(description="Of an imported chat: the format it came in, and its id there.")
    is_active: bool = Field(description="False in the trash. Of an archived chat it is true.")
    created_at: datetime
    updated_at: datetime = Field(description="When its details last changed.")
    last_activity_at: datetime = Field(description="When its messages last changed.")
    archived_at: datetime | None = Field(description="Since when it is archived.")
    deleted_at: datetime | None


class ChatList(BaseModel):
    """One page of chats. `next_cursor` is null on the last one."""

    items: list[ChatOut]
    next_cursor: str | None
    total: int | None = Field(default=None, description="With `include_total=true`: how many there are in all.")


State = Literal["active", "archived", "deleted", "all"]


class ChatFilters(BaseModel):
    """Which chats are meant, but for their state. `metadata.<name>=<value>` filters by metadata as well."""

    platform: Platform | None = None
    key_prefix: Annotated[str, Field(min_length=1, max_length=MAX_KEY, pattern=_NO_NUL)] | None = Field(
        default=None, description="Only chats whose key begins so."
    )
    tag: list[Tag] = Field(default=[], max_length=8, description="Only chats with this tag; with several, all of them.")
    pinned: bool | None = None
    created_after: Timestamp | None = None
    created_before: Timestamp | None = None
    active_after: Timestamp | None = None
    active_before: Timestamp | None = None


class ChatQuery(ChatFilters):
    """Which chats to list, and in which order. `metadata.<name>=<value>` filters by metadata as well."""

    state: State = Field(
        default="active",
        description="`active`: neither archived nor in the trash. `archived`: archived, and not in the trash. "
        "`deleted`: in the trash, archived or not. `all`: all of them.",
    )
    order_by: Literal["last_activity_at", "created_at", "updated_at"] = "last_activity_at"
    order: Literal["asc", "desc"] = "desc"
    include_total: bool = Field(default=False, description="Count them all as well, which costs more than a page.")
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor = None


Seconds = Annotated[int, Field(ge=1, le=600, description="For how long, from now on.")]
_UNTIL = "2026-01-31T12:01:00.000000Z"


class TurnIn(BaseModel):
    """Who takes a turn, and for how long."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"holder": "worker-1", "seconds": 60}]}
    )

    holder: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None, description="Whom others are told of while they wait. Unsaid: the caller."
    )
    seconds: Seconds = DEFAULT_SECONDS


class TurnRenewal(BaseModel):
    """For how long a turn is held from now on."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"seconds": 60}]})

    seconds: Seconds = DEFAULT_SECONDS


class TurnTaken(BaseModel):
    """A turn, as its holder sees it."""

    model_config = example(token=1769860800000000, holder="worker-1", until=_UNTIL)

    token: int = Field(description="What to send as `Turn-Token`. Each turn of a chat has a higher one.")
    holder: str
    until: datetime


class TurnOut(BaseModel):
    """Who holds a chat's turn; nulls where nobody does."""

    model_config = example(holder="worker-1", until=_UNTIL)

    holder: str | None
    until: datetime | None
