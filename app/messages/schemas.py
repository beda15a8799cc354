"""Schemas of messages: the bodies of requests and responses, and the queries of lists."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, model_validator

from app.chats.schemas import Key
from app.codecs import CODECS
from app.http.paging import DEFAULT_LIMIT, MAX_LIMIT, Cursor, Limit
from app.http.timestamps import Timestamp

MAX_BATCH = 1000
MAX_TOKENS = 10**12

Status = Literal["in_progress", "completed", "failed", "incomplete"]
Role = Literal["user", "assistant", "system", "developer", "tool"]
ShortText = Annotated[str, Field(max_length=512)]
Tokens = Annotated[int, Field(ge=0, le=MAX_TOKENS)]
Content = str | list[dict[str, Any]] | None

HELLO: dict[str, JsonValue] = {"role": "user", "content": "How do I boil an egg?"}
ANSWER: dict[str, JsonValue] = {
    "role": "assistant",
    "content": "Eight minutes in boiling water.",
    "model": "gpt-5",
    "tokens": 21,
}
EXAMPLE_OUT: dict[str, JsonValue] = {
    "message_id": "01932c07-209c-7000-8000-1234567890ab",
    "chat_id": "01932c07-1f3e-7000-8000-abcdef012345",
    "seq": 1,
    "parent_id": None,
    "role": "user",
    "type": "message",
    "content": "How do I boil an egg?",
    "created_at": "2026-01-31T12:00:00.000000Z",
}


class MessageFields(BaseModel):
    """What a message says: the fields that it is sent with, that an edit changes, and that are read back."""

    content: Content = Field(default=None, description="A text, or a list of parts such as `{type, text}`.")
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: ShortText | None = None
    name: ShortText | None = None
    model: ShortText | None = None
    tokens: Tokens | None = Field(
        default=None, description="Of the whole message; input and output together if unsaid."
    )
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    metadata: dict[str, Any] | None = None


class _StrictFields(MessageFields):
    # Strict: "5" is not 5 and 1 is not true, so that what comes back is what went in.
    model_config = ConfigDict(extra="forbid", strict=True)


class MessageIn(_StrictFields):
    """A message to append. `content` may be left out or null where `tool_calls` or another `type` says what it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                HELLO,
                ANSWER,
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
            ]
        }
    )

    role: Role
    type: Annotated[str, Field(min_length=1, max_length=64)] = "message"
    key: Key | None = Field(default=None, description="Your own id for it: unique within its chat.")
    created_at: Timestamp | None = Field(
        default=None, description="When it was said, if not now. It never decides the order."
    )

    @model_validator(mode="after")
    def _has_content(self) -> "MessageIn":
        if self.content is None and not self.may_be_empty():
            raise ValueError("a message needs content, or tool_calls, or a type of its own")
        return self

    def may_be_empty(self) -> bool:
        """Whether it says something without content."""
        return bool(self.tool_calls) or self.type != "message"


def _distinct_keys(messages: Sequence[MessageIn]) -> Sequence[MessageIn]:
    keys = [message.key for message in messages if message.key is not None]
    if len(set(keys)) < len(keys):
        raise ValueError("two of the messages have the same key")
    return messages


DISTINCT_KEYS = AfterValidator(_distinct_keys)
"""Says of messages that are stored together that no two have the same key."""

Parent = Annotated[
    Annotated[str, Field(min_length=1)] | int | None,
    Field(
        description="The message it follows, by `message_id`, `seq` or `key:` and its key; null for none. Unsaid: the "
        "head of the chat."
    ),
]


class PlacedMessage(MessageIn):
    """A message, and where it goes: at the head of its chat or, with `parent`, elsewhere, where it begins a branch."""

    parent: Parent = None


class MessagePut(PlacedMessage):
    """A message to put: what it says from now on, in full. A field that is left out is one that it does not have."""

    model_config = ConfigDict(json_schema_extra={"examples": [ANSWER]})


class MessageToAppend(PlacedMessage):
    """A message to append."""

    status: Literal["in_progress"] | None = Field(
        default=None, description="`in_progress` opens an answer whose text is still to come, in chunks."
    )

    @model_validator(mode="after")
    def _text_that_can_grow(self) -> "MessageToAppend":
        if self.status == "in_progress" and isinstance(self.content, list):
            raise ValueError("a message in progress has a text, to which its chunks are added")
        return self

    def may_be_empty(self) -> bool:
        return super().may_be_empty() or self.status == "in_progress"


class DecodedMessage(MessageToAppend):
    """A message that was decoded from an item by a codec; never what a client sends.

    `payload` is what gives the item back, see `app.codecs.decode_item`.
    """

    payload: dict[str, Any] | None = None

    def may_be_empty(self) -> bool:
        return super().may_be_empty() or self.payload is not None


class MessageBatch(BaseModel):
    """Messages to append together: all of them, next to each other, or none."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"messages": [HELLO, ANSWER]}]}
    )

    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=MAX_BATCH), DISTINCT_KEYS]
    parent: Parent = None


def _one_or_many(value: object) -> str:
    return "batch" if isinstance(value, MessageBatch) or (isinstance(value, dict) and "messages" in value) else "one"


AppendBody = Annotated[
    Annotated[MessageToAppend, Tag("one")] | Annotated[MessageBatch, Tag("batch")], Discriminator(_one_or_many)
]


class MessagePatch(_StrictFields):
    """What to change of a message. `metadata` is merged (RFC 7396); null takes a field away."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"content": "How do I poach an egg?"}]})


class OptionalFields(MessageFields):
    """The fields of a message that are left out where it does not have them."""

    status: Status | None = None


class MessageOut(OptionalFields):
    """A message. Fields that it does not have are left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_OUT]})

    message_id: str
    key: str | None = Field(default=None, description="Your own id for it, if it has one.")
    chat_id: str
    seq: int = Field(description="Its place in the chat: 1, 2, 3 … A seq is never used again.")
    parent_id: str | None = Field(
        description="The message it follows; null for the first one of a branch from the root."
    )
    role: Role
    type: str
    siblings: list[str] | None = Field(
        default=None, description="Where other messages follow the same one: the ids of them all, itself too, in order."
    )
    created_at: datetime
    edited_at: datetime | None = None


class BatchOut(BaseModel):
    """The messages of a batch, as they were stored."""

    messages: list[MessageOut]


Item = dict[str, Any]


class ItemsOut(BaseModel):
    """A message as items of another API or library."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [HELLO]}]})

    items: list[Item]


Seq = Annotated[int, Field(ge=0, le=2**31 - 1)]


MessageName = Annotated[
    str,
    Field(
        pattern=r"^(\d{1,10}|[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|key:[^\x00-\x1f\x7f]{1,255})$",
        description="A `message_id` or `seq`, or `key:` and a key.",
    ),
]


def _checked_format(value: str) -> str:
    if value not in CODECS:
        raise ValueError(f"one of {', '.join(sorted(CODECS))}")
    return value


Format = Annotated[
    Annotated[str, AfterValidator(_checked_format), Field(json_schema_extra={"enum": sorted(CODECS)})] | None,
    Field(description="The API or library in whose items the messages are written."),
]


class PageQuery(BaseModel):
    """Which page of a list."""

    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor = None


class FormatQuery(BaseModel):
    """How messages are written."""

    format: Format = None


OnConflict = Literal["skip", "replace"]


class AppendQuery(FormatQuery):
    """How the body of an append is written, and what becomes of messages whose keys are taken."""

    on_conflict: OnConflict | None = Field(
        default=None,
        description="What to do where the chat has a message with the key already: leave it (`skip`), or replace what "
        "it says (`replace`). Unsaid: 409, and nothing is stored.",
    )


class HistoryQuery(BaseModel):
    """Which messages of a chat to read. At most one of `last`, `max_turns` and `around_seq`."""

    head: MessageName | None = Field(
        default=None, description="The branch that ends at this message, rather than the active one."
    )
    tree: bool = Field(default=False, description="The messages of every branch.")

    format: Format = None
    order: Literal["asc", "desc"] = Field(default="asc", description="By `seq`.")
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor = None
    role: Role | None = Field(default=None, description="Only messages of this role.")
    after_seq: Seq | None = Field(default=None, description="Only messages after this `seq`.")
    before_seq: Seq | None = Field(default=None, description="Only messages before this `seq`.")
    around_seq: Seq | None = Field(default=None, description="A page with this `seq` in its middle.")
    last: Annotated[int, Field(ge=1, le=MAX_LIMIT)] | None = Field(
        default=None, description="The newest N messages, in the order they were written."
    )
    max_turns: Annotated[int, Field(ge=1, le=MAX_BATCH)] | None = Field(
        default=None, description="The last N messages of the user with all that answers them."
    )

    @model_validator(mode="after")
    def _one_window(self) -> "HistoryQuery":
        windows = [n for n in ("last", "max_turns", "around_seq") if getattr(self, n) is not None]
        if self.tree and (self.head is not None or self.max_turns is not None):
            raise ValueError("head and max_turns are of one branch, and cannot be asked for together with tree")
        if len(windows) > 1:
            raise ValueError(f"{' and '.join(windows)} cannot be asked for together")
        if windows and (self.after_seq is not None or self.before_seq is not None):
            raise ValueError(f"{windows[0]} cannot be asked for together with after_seq or before_seq")
        if windows and self.role is not None and windows[0] != "last":
            raise ValueError(f"{windows[0]} cannot be asked for together with role")
        if windows and self.cursor is not None and windows[0] != "max_turns":
            raise ValueError(f"{windows[0]} has no further pages")
        if windows and self.order == "desc":
            raise ValueError(f"{windows[0]} is in the order the messages were written")
        return self
