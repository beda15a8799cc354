"""Feedback on messages: a rating from each caller, with a reason and a text. Schemas, store and routes."""

from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import delete
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response

from app.auth.caller import User
from app.auth.dependencies import Reader, Writer, authenticated_router
from app.chats.dependencies import locked_chat
from app.db.database import Database
from app.db.timestamps import now, to_iso
from app.http.errors import InvalidCursor, NotFound, responses
from app.http.openapi import BODY_ERRORS, LINK_HEADER, READ_ERRORS, WRITE_ERRORS, documented, example
from app.http.paging import Page, decode_cursor, encode_cursor, page_body, page_response
from app.http.references import ChatPath, ChatRef, MessagePath
from app.http.services import service
from app.messages.queries import find_message, parse_message_ref
from app.messages.schemas import PageQuery
from app.models import Chat, Feedback, Message

_FIELDS = ("caller", "rating", "reason", "text", "created_at", "updated_at")
# One row with nulls where a message has no such feedback, none where there is no such message.
_PAGE = (
    f"SELECT {', '.join(f'f.{name}' for name in _FIELDS)} FROM chats c "
    "JOIN messages m ON m.user_id = $1 AND m.chat_id = c.chat_id "
    "LEFT JOIN feedback f ON f.user_id = $1 AND f.chat_id = m.chat_id AND f.seq = m.seq AND f.caller > $4 "
    "WHERE c.user_id = $1 AND c.{} = $2 AND c.deleted_at IS NULL AND m.{} = $3 ORDER BY f.caller LIMIT {}"
)
_MAX_CALLER_LENGTH = 300

router = authenticated_router("/chats/{chat}/messages/{message}/feedback", "messages")


def _only_int(value: object) -> object:
    # Python's 1 equals 1.0 and True, and so a Literal takes them.
    if type(value) is not int:
        raise ValueError("a rating is -1 or 1")
    return value


class FeedbackIn(BaseModel):
    """What the caller thinks of a message."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"rating": -1, "reason": "wrong", "text": "Ten minutes is too long."}]},
    )

    rating: Annotated[Literal[-1, 1], BeforeValidator(_only_int)] = Field(description="1 for good, -1 for bad.")
    reason: str | None = Field(default=None, max_length=512, description="One of your own kinds of reasons.")
    text: str | None = Field(default=None, max_length=8192)


class FeedbackOut(BaseModel):
    """What a caller thinks of a message."""

    model_config = example(
        caller="user:ann",
        rating=-1,
        reason="wrong",
        text="Ten minutes is too long.",
        created_at="2026-01-31T12:00:00.000000Z",
        updated_at="2026-01-31T12:00:00.000000Z",
    )

    caller: str = Field(description="Whose it is: `user:<user id>` by a token, `key:<key id>` by an API key.")
    rating: Literal[-1, 1]
    reason: str | None
    text: str | None
    created_at: datetime
    updated_at: datetime


class FeedbackStore:
    """The feedback on the messages in one user's chats."""

    def __init__(self, db: Database, user: User) -> None:
        self._db = db
        self._user = user

    async def page(self, ref: ChatRef, message: str, query: PageQuery) -> tuple[list[bytes], str | None]:
        """A page of a message's feedback as JSON, by caller, and the cursor for what follows.

        Raises NotFound and InvalidCursor (400).
        """
        column, value = parse_message_ref(message)
        by, chat = ref.column
        binding = ["feedback", self._user.user_id, by, chat, message]
        after = _caller_of(query.cursor, binding)
        statement = _PAGE.format(by, column, query.limit + 1)
        rows = await self._db.driver.fetch(statement, self._user.user_id, chat, value, after)
        if not rows:
            raise NotFound
        page = [row for row in rows[: query.limit] if row[0] is not None]
        more = len(rows) > query.limit
        return [_serialize(row) for row in page], encode_cursor(binding, [page[-1][0]]) if more else None

    async def put(self, session: AsyncSession, chat: Chat, message: Message, body: FeedbackIn) -> bytes:
        """Puts the caller's feedback in the place of what they gave before. Returns it as JSON."""
        at = now()
        key: dict[str, Any] = {"user_id": chat.user_id, "chat_id": chat.chat_id, "seq": message.seq}
        key["caller"] = self._user.principal
        row = await session.get(Feedback, tuple(key.values())) or Feedback(
            **key, rating=0, created_at=at, updated_at=at
        )
        session.add(row)
        row.rating, row.reason, row.text, row.updated_at = body.rating, body.reason, body.text, at
        await session.flush()
        return _serialize([getattr(row, name) for name in _FIELDS])

    async def delete(self, session: AsyncSession, chat: Chat, message: Message) -> None:
        """Deletes the caller's feedback, if there is any."""
        own = (
            (col(Feedback.user_id) == chat.user_id)
            & (col(Feedback.chat_id) == chat.chat_id)
            & (col(Feedback.seq) == message.seq)
            & (col(Feedback.caller) == self._user.principal)
        )
        await session.execute(delete(Feedback).where(own))


def _caller_of(cursor: str | None, binding: list[Any]) -> str:
    if cursor is None:
        return ""
    match decode_cursor(cursor, binding):
        case [str(caller)] if len(caller) <= _MAX_CALLER_LENGTH and "\0" not in caller:
            return caller
    raise InvalidCursor


def _serialize(row: Any) -> bytes:
    fields = dict(zip(_FIELDS, row, strict=True))
    return orjson.dumps({**fields, **{name: to_iso(fields[name]) for name in ("created_at", "updated_at")}})


@router.put(
    "",
    summary="Say what you think of a message",
    responses={**documented(FeedbackOut), **responses(NotFound, *BODY_ERRORS)},
)
async def put_feedback(
    request: Request, user: Writer, chat: ChatPath, message: MessagePath, body: FeedbackIn
) -> Response:
    """In the place of what this caller said before. The message and the chat's version stay as they are."""
    async with locked_chat(request, user, ChatRef.parse(chat)) as (session, chat_row):
        store = FeedbackStore(service(request, Database), user)
        content = await store.put(session, chat_row, await find_message(session, chat_row, message), body)
    return Response(content, media_type="application/json")


@router.get(
    "",
    summary="Read what callers think of a message",
    responses={**documented(Page[FeedbackOut], 200, LINK_HEADER), **responses(InvalidCursor, NotFound, *READ_ERRORS)},
)
async def read_feedback(
    request: Request, user: Reader, chat: ChatPath, message: MessagePath, query: Annotated[PageQuery, Query()]
) -> Response:
    """What each of them said last, by `caller`."""
    store = FeedbackStore(service(request, Database), user)
    items, next_cursor = await store.page(ChatRef.parse(chat), message, query)
    return page_response(request, page_body(items, next_cursor), next_cursor, {})


@router.delete(
    "",
    summary="Take back what you think of a message",
    status_code=204,
    responses={204: {"description": "This caller says nothing of it."}, **responses(NotFound, *WRITE_ERRORS)},
)
async def delete_feedback(request: Request, user: Writer, chat: ChatPath, message: MessagePath) -> Response:
    """The caller's own; that of others stays."""
    async with locked_chat(request, user, ChatRef.parse(chat)) as (session, chat_row):
        store = FeedbackStore(service(request, Database), user)
        await store.delete(session, chat_row, await find_message(session, chat_row, message))
    return Response(status_code=204)
