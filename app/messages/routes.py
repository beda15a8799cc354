"""The routes of a chat's messages."""

from typing import Annotated

from fastapi import Query, Request
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response

from app.auth.dependencies import Reader, Writer, authenticated_router
from app.chats.dependencies import chat_store, locked_chat
from app.chats.lease import IDEMPOTENT_LEASE_HEADER, LEASE_HEADER, check_lease, check_own_lease, lease_token_of
from app.http.conditional import IF_MATCH, not_modified
from app.http.errors import Conflict, InvalidCursor, NotFound, PreconditionFailed, responses
from app.http.idempotency import StoredResponse, idempotent_request, write_once
from app.http.openapi import BODY_ERRORS, ETAG_HEADER, LINK_HEADER, READ_ERRORS, WRITE_ERRORS, documented
from app.http.paging import Page, page_response
from app.http.query import QueryReader
from app.http.references import ChatPath, ChatRef, MessagePath
from app.messages.append.response import append_response, parent_of
from app.messages.dependencies import message_store
from app.messages.edits import EditStore
from app.messages.items import APPEND_QUERY, ItemHotRoute, encode_items
from app.messages.schemas import (
    AppendBody,
    AppendQuery,
    BatchOut,
    HistoryQuery,
    Item,
    ItemsOut,
    MessageBatch,
    MessageOut,
    MessagePatch,
)

router = authenticated_router("/chats/{chat}/messages", "messages")
hot_router = authenticated_router(router.prefix, "messages", ItemHotRoute)
_history_query = QueryReader(HistoryQuery)
_APPEND_PARAMETERS = [*IDEMPOTENT_LEASE_HEADER["parameters"], *APPEND_QUERY.parameters(), IF_MATCH]


@hot_router.post(
    "",
    summary="Append one message, or several together",
    status_code=201,
    responses={
        **documented(MessageOut | BatchOut, 201),
        **responses(NotFound, Conflict, PreconditionFailed, *BODY_ERRORS),
    },
    openapi_extra={"parameters": _APPEND_PARAMETERS},
)
async def append(request: Request, user: Writer, chat: ChatPath, body: AppendBody) -> Response:
    """Appends at the head of the chat. `{"messages": […]}` is stored whole and next to each other, or not at all.

    With `parent` they follow that message: where it is not the head they begin a branch, and are the head then.
    Answered once it is on disk. With `key:` a chat that is not there yet is created. With `format` the body is an item
    of another API or library, or `{"messages": […]}` with several; the answer is as ever. `If-Match` guards it (412).
    """
    idempotency = await idempotent_request(request)
    result, new_messages = await message_store(request, user).append(
        ChatRef.parse(chat),
        body.messages if isinstance(body, MessageBatch) else [body],
        idempotency=idempotency,
        parent=parent_of(body),
        lease_token=lease_token_of(request),
        if_match=request.headers.get("If-Match"),
    )
    return append_response(result, new_messages, idempotency, batch=isinstance(body, MessageBatch))


@hot_router.get(
    "",
    summary="Read a chat's messages",
    responses={
        **documented(Page[MessageOut] | Page[Item], 200, ETAG_HEADER, LINK_HEADER),
        304: {"description": "The chat is still at the version in If-None-Match."},
        **responses(InvalidCursor, NotFound, *READ_ERRORS),
    },
    openapi_extra={"parameters": _history_query.parameters()},
)
async def read_history(request: Request, user: Reader, chat: ChatPath) -> Response:
    """The active branch, in the order it was written; page on with `cursor`, or ask for a window of it.

    `head` reads the branch that ends at that message, `tree` those of every branch.
    """
    query = _history_query.read(request)
    page = await message_store(request, user).history.page(ChatRef.parse(chat), query, request.scope["query_string"])
    headers = {"ETag": page.etag, "Cache-Control": "private, no-cache"}
    return not_modified(request, page.etag) or page_response(request, page.body, page.next_cursor, headers)


@router.delete(
    "",
    summary="Clear a chat",
    status_code=204,
    responses={204: {"description": "It has no messages."}, **responses(NotFound, Conflict, *WRITE_ERRORS)},
    openapi_extra=LEASE_HEADER,
)
async def clear(request: Request, user: Writer, chat: ChatPath) -> Response:
    """The chat stays, its messages go. The next message's `seq` goes on from the last one's."""
    async with locked_chat(request, user, ChatRef.parse(chat)) as (session, row):
        check_lease(row, lease_token_of(request))
        await EditStore().clear(session, row)
    return Response(status_code=204)


@router.post(
    "/pop",
    summary="Take the last message off",
    responses={
        **documented(MessageOut | ItemsOut),
        204: {"description": "The chat has no message."},
        **responses(NotFound, Conflict, *BODY_ERRORS),
    },
    openapi_extra=IDEMPOTENT_LEASE_HEADER,
)
async def pop(request: Request, user: Writer, chat: ChatPath, query: Annotated[AppendQuery, Query()]) -> Response:
    """Deletes the last message of the active branch and answers it. Two callers never get the same one.

    With `format` it is answered as `{"items": […]}` of another API or library.
    """
    ref = ChatRef.parse(chat)

    async def pop_message(session: AsyncSession) -> StoredResponse:
        row = await chat_store(request, user).find(session, ref)
        check_lease(row, lease_token_of(request))
        if (popped := await EditStore().pop(session, row)) is None:
            return StoredResponse(204, b"", chat_id=row.chat_id)
        body, payload = popped
        if query.format is not None:
            body = encode_items(body, payload, query.format)
        return StoredResponse(200, body, chat_id=row.chat_id)

    return await write_once(request, user.user_id, pop_message)


@hot_router.get(
    "/{message}",
    summary="Read a message",
    responses={**documented(MessageOut), **responses(NotFound, *READ_ERRORS)},
)
async def read_message(request: Request, user: Reader, chat: ChatPath, message: MessagePath) -> Response:
    """One message, by `message_id` or `seq`."""
    body = await message_store(request, user).history.message(ChatRef.parse(chat), message)
    return Response(body, media_type="application/json")


@router.patch(
    "/{message}",
    summary="Edit a message",
    responses={**documented(MessageOut), **responses(NotFound, Conflict, *BODY_ERRORS)},
    openapi_extra=LEASE_HEADER,
)
async def edit(request: Request, user: Writer, chat: ChatPath, message: MessagePath, patch: MessagePatch) -> Response:
    """Changes what it says, in place: its `seq` stays, `edited_at` is set, and what it was is kept as a revision."""
    async with locked_chat(request, user, ChatRef.parse(chat)) as (session, row):
        check_own_lease(row, lease_token_of(request))
        body = await EditStore().edit(session, row, message, patch)
    return Response(body, media_type="application/json")


@router.delete(
    "/{message}",
    summary="Delete a message",
    status_code=204,
    responses={204: {"description": "It is deleted."}, **responses(NotFound, Conflict, *WRITE_ERRORS)},
    openapi_extra=LEASE_HEADER,
)
async def delete_message(request: Request, user: Writer, chat: ChatPath, message: MessagePath) -> Response:
    """For good. What answered it now answers what it had answered; no `seq` changes."""
    async with locked_chat(request, user, ChatRef.parse(chat)) as (session, row):
        check_own_lease(row, lease_token_of(request))
        await EditStore().delete(session, row, message)
    return Response(status_code=204)
