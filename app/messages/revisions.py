"""Revisions of messages: what each was before an edit. Schemas, store and routes."""

from datetime import datetime
from typing import Annotated

import orjson
from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from app.auth.dependencies import Reader, authenticated_router
from app.db.database import Database
from app.db.driver import Row
from app.db.timestamps import to_iso
from app.http.errors import InvalidCursor, NotFound, responses
from app.http.openapi import LINK_HEADER, READ_ERRORS, documented, example
from app.http.paging import Page, decode_integer_cursor, encode_cursor, page_body, page_response
from app.http.references import ChatPath, ChatRef, MessagePath
from app.http.services import service
from app.messages.queries import parse_message_ref
from app.messages.schemas import OptionalFields, PageQuery, Role
from app.messages.serialize import dumps
from app.models.message import MAX_SEQ, REVISED_FIELDS
from app.models.registry import owned_table

_JSON = owned_table("revisions").json_columns
# One row with nulls where a message has no such revisions, none where there is no such message.
_PAGE = (
    f"SELECT r.revision, r.replaced_at, {', '.join(f'r.{name}' for name in REVISED_FIELDS)} FROM chats c "
    "JOIN messages m ON m.user_id = $1 AND m.chat_id = c.chat_id "
    "LEFT JOIN revisions r ON r.user_id = $1 AND r.chat_id = m.chat_id AND r.seq = m.seq AND r.revision > $4 "
    "WHERE c.user_id = $1 AND c.{} = $2 AND c.deleted_at IS NULL AND m.{} = $3 ORDER BY r.revision LIMIT {}"
)

router = authenticated_router("/chats/{chat}/messages/{message}", "messages")


class RevisionOut(OptionalFields):
    """What a message was before an edit. Fields that it did not have are left out."""

    model_config = example(
        revision=1,
        role="user",
        type="message",
        content="How do I boil an egg?",
        replaced_at="2026-01-31T12:00:00.000000Z",
    )

    revision: int = Field(description="1 is what was written first; each edit adds one.")
    role: Role
    type: str
    replaced_at: datetime = Field(description="When an edit put the next form in its place.")


class RevisionStore:
    """The revisions of the messages in one user's chats."""

    def __init__(self, db: Database, user_id: str) -> None:
        self._db = db
        self._user_id = user_id

    async def page(self, ref: ChatRef, message: str, query: PageQuery) -> tuple[list[bytes], str | None]:
        """A page of a message's revisions as JSON, the oldest first, and the cursor for what follows.

        Raises NotFound and InvalidCursor (400).
        """
        column, value = parse_message_ref(message)
        by, chat = ref.column
        binding = ["revisions", self._user_id, by, chat, message]
        after = 0 if query.cursor is None else decode_integer_cursor(query.cursor, binding, 0, MAX_SEQ)
        statement = _PAGE.format(by, column, query.limit + 1)
        rows = await self._db.driver.fetch(statement, self._user_id, chat, value, after)
        if not rows:
            raise NotFound
        page = [row for row in rows[: query.limit] if row[0] is not None]
        more = len(rows) > query.limit
        return [_serialize(row) for row in page], encode_cursor(binding, [page[-1][0]]) if more else None


def _serialize(row: Row) -> bytes:
    fields = dict(zip(("revision", "replaced_at", *REVISED_FIELDS), row, strict=True))
    revision = {name: fields[name] for name in ("revision", *REVISED_FIELDS) if fields[name] is not None}
    revision |= {name: orjson.Fragment(revision[name]) for name in _JSON & revision.keys()}
    return dumps({**revision, "replaced_at": to_iso(fields["replaced_at"])})


@router.get(
    "/revisions",
    summary="Read what a message was before",
    responses={**documented(Page[RevisionOut], 200, LINK_HEADER), **responses(InvalidCursor, NotFound, *READ_ERRORS)},
)
async def read_revisions(
    request: Request, user: Reader, chat: ChatPath, message: MessagePath, query: Annotated[PageQuery, Query()]
) -> Response:
    """Its earlier forms, the oldest first; what it is now is not among them. None for one that was never edited."""
    store = RevisionStore(service(request, Database), user.user_id)
    items, next_cursor = await store.page(ChatRef.parse(chat), message, query)
    return page_response(request, page_body(items, next_cursor), next_cursor, {})
