"""Schemas of imported records: the same fields, lengths and values that the API takes."""

from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model
from sqlalchemy import BigInteger, Boolean, Integer, Text
from sqlalchemy.types import TypeEngine

from app.archive_formats.records import Record
from app.auth.caller import is_user_id
from app.chats.schemas import ChatDetails
from app.codecs import check_payload
from app.db.types import Id, Json, UtcDateTime
from app.http import strict_json
from app.http.errors import Unprocessable
from app.http.references import is_uuid
from app.http.timestamps import Timestamp
from app.messages.feedback import FeedbackIn
from app.messages.schemas import MessageFields, MessageIn, Role, Status
from app.models.message import MAX_SEQ
from app.models.registry import OwnedTable

MAX_SOURCE = 512
T = TypeVar("T", bound=BaseModel)


class InvalidRecord(Exception):
    """A record cannot be imported; the message says why, and repeats nothing of what people wrote."""


def _uuid(value: str) -> str:
    if not is_uuid(value):
        raise ValueError("not a UUID")
    return value.lower()


def _user_id(value: str) -> str:
    if not is_user_id(value):
        raise ValueError("not the id of a user")
    return value


Uuid = Annotated[str, AfterValidator(_uuid)]
Seq = Annotated[int, Field(ge=1, le=MAX_SEQ)]


class ChatRecord(ChatDetails):
    """A `chat` record. What a foreign format does not have is left out.

    An archived chat has `archived_at`, or only `is_archived` where its format does not say since when.
    """

    chat_id: Uuid | None = None
    user_id: Annotated[str, AfterValidator(_user_id)] | None = None
    source: Annotated[str, Field(min_length=1, max_length=MAX_SOURCE)] | None = None
    forked_from: Uuid | None = None
    forked_at: Uuid | None = None
    message_count: Annotated[int, Field(ge=0, le=MAX_SEQ)] | None = None
    last_seq: Annotated[int, Field(ge=0, le=MAX_SEQ)] = 0
    head_seq: Seq | None = None
    version: Annotated[int, Field(ge=1, le=strict_json.MAX_INTEGER)] = 1
    created_at: Timestamp
    updated_at: Timestamp
    last_activity_at: Timestamp
    archived_at: Timestamp | None = None
    deleted_at: Timestamp | None = None


def _checked_payload(payload: Any) -> Any:
    """A payload as it is. Raises UndecodableItem, a ValueError, for one that could not be given back."""
    check_payload(payload)
    return payload


class MessageRecord(MessageIn):
    """A `message` record; one with a status may be empty."""

    message_id: Uuid | None = None
    seq: Seq
    parent_seq: Seq | None = None
    payload: Annotated[Any, AfterValidator(_checked_payload)] = None
    status: Literal["completed", "failed", "incomplete"] | None = None
    created_at: Timestamp
    edited_at: Timestamp | None = None

    def may_be_empty(self) -> bool:
        return super().may_be_empty() or self.status is not None


class RevisionRecord(MessageFields):
    """A `revision` record: what a message was before an edit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    seq: Seq
    revision: Seq
    role: Role
    type: Annotated[str, Field(min_length=1, max_length=64)]
    status: Status | None = None
    replaced_at: Timestamp


class FeedbackRecord(FeedbackIn):
    """A `feedback` record: what a caller thinks of a message."""

    seq: Seq
    caller: Annotated[str, Field(min_length=1, max_length=300)]
    created_at: Timestamp
    updated_at: Timestamp


_SCHEMAS: dict[str, type[BaseModel]] = {"revision": RevisionRecord, "feedback": FeedbackRecord}
_TYPES: dict[type[TypeEngine[Any]], Any] = {
    Id: Uuid,
    Json: Any,
    UtcDateTime: Timestamp,
    Text: str,
    Boolean: bool,
    Integer: int,
    BigInteger: int,
}


@cache
def schema_of(table: OwnedTable) -> type[BaseModel]:
    """The schema of the records of a table: its own, or by the types of its columns."""
    assert table.record is not None
    if table.record in _SCHEMAS:
        return _SCHEMAS[table.record]
    fields: dict[str, Any] = {}
    for name in table.fields:
        column = table.table.columns[name]
        kind = _TYPES[type(column.type)]
        fields[name] = (kind | None, None) if column.nullable else (kind, ...)
    return create_model(table.record, __config__=ConfigDict(extra="forbid", strict=True), **fields)


def check_value(value: Any) -> None:
    """Raises InvalidRecord for a value that Chatkeep does not keep, see `app.http.strict_json`."""
    try:
        strict_json.check(value)
    except Unprocessable as error:
        raise InvalidRecord(error_message(error)) from None


def error_message(error: Unprocessable) -> str:
    """The message of a problem: that of its first error, if it lists any."""
    return str(error.errors[0]["msg"]) if error.errors else error.detail


def parse(schema: type[T], record: Record) -> T:
    """A record, validated by one of the schemas above. Raises InvalidRecord."""
    fields = {name: value for name, value in record.items() if name != "record"}
    check_value(fields)
    try:
        return schema.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        # The name of an unknown field may be anything, of any length.
        location = ".".join(str(part)[:64] for part in first["loc"])
        raise InvalidRecord(f"{location}: {first['msg']}" if location else first["msg"]) from None
