"""The routes of chats: their list and the trash.

Creating, reading and changing a chat can reach into its messages: those are in `app.conversations.routes`.
"""

from typing import Annotated

from fastapi import Query, Request
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response

from app.auth.dependencies import Reader, Writer, authenticated_router
from app.chats.dependencies import chat_store
from app.chats.listing import METADATA_PARAMETER, ChatListing, metadata_filters
from app.chats.schemas import ChatList, ChatOut, ChatQuery
from app.chats.serialize import chat_json, etag_of, row_of
from app.chats.store import check_version
from app.db.database import Database
from app.http.conditional import IfMatch
from app.http.errors import Conflict, InvalidCursor, NotFound, PreconditionFailed, responses
from app.http.idempotency import IDEMPOTENT, StoredResponse, write_once
from app.http.openapi import BODY_ERRORS, ETAG_HEADER, LINK_HEADER, READ_ERRORS, WRITE_ERRORS, documented
from app.http.paging import page_body, page_response
from app.http.references import ChatPath, ChatRef
from app.http.services import service

router = authenticated_router("/chats", "chats")


@router.get(
    "",
    summary="List chats",
    responses={**documented(ChatList, 200, LINK_HEADER), **responses(InvalidCursor, *READ_ERRORS)},
    openapi_extra={"parameters": [METADATA_PARAMETER]},
)
async def list_chats(request: Request, user: Reader, query: Annotated[ChatQuery, Query()]) -> Response:
    """The caller's chats, those with the latest activity first."""
    store = chat_store(request, user)
    listing = ChatListing(user.user_id, query, metadata_filters(request), store.list_sql)
    rows, next_cursor = await store.page(listing, query.limit)
    extra = {"total": await store.count(listing)} if query.include_total else {}
    return page_response(request, page_body(map(chat_json, rows), next_cursor, **extra), next_cursor, {})


@router.delete(
    "/{chat}",
    summary="Delete a chat",
    status_code=204,
    responses={204: {"description": "It is deleted."}, **responses(NotFound, PreconditionFailed, *WRITE_ERRORS)},
)
async def delete_chat(
    request: Request,
    user: Writer,
    chat: ChatPath,
    hard: Annotated[bool, Query(description="For good, messages and all, from the trash too.")] = False,
    if_match: IfMatch = None,
) -> Response:
    """Into the trash, from which `restore` brings it back; with `hard=true` for good."""
    store, ref = chat_store(request, user), ChatRef.parse(chat)
    async with service(request, Database).write() as session:
        row = await store.find(session, ref, deleted=None if hard else False)
        check_version(row, if_match)
        await (store.erase if hard else store.delete)(session, row)
    return Response(status_code=204)


@router.post(
    "/{chat}/restore",
    summary="Restore a chat from the trash",
    responses={**documented(ChatOut, 200, ETAG_HEADER), **responses(NotFound, Conflict, *BODY_ERRORS)},
    openapi_extra=IDEMPOTENT,
)
async def restore_chat(request: Request, user: Writer, chat: ChatPath) -> Response:
    """Out of the trash, as it was. A chat that is not in the trash stays as it is."""
    store, ref = chat_store(request, user), ChatRef.parse(chat)

    async def restore(session: AsyncSession) -> StoredResponse:
        try:
            restored = await store.find(session, ref)
        except NotFound:
            restored = await store.find(session, ref, deleted=True)
            await store.restore(session, restored)
        row = row_of(restored)
        return StoredResponse(200, chat_json(row), {"ETag": etag_of(row)}, restored.chat_id)

    return await write_once(request, user.user_id, restore)
