"""The routes of a chat's messages."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query, Request
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response

from app.auth.caller import User
from app.auth.dependencies import Reader, Writer, authenticated_router
from app.chats.dependencies import chat_store, locked_chat
from app.chats.lease import IDEMPOTENT_LEASE_HEADER, LEASE_HEADER, check_lease, check_own_lease, lease_token_of
from app.chats.store import check_version
from app.http.conditional import IF_MATCH, not_modified
from app.http.errors import Conflict, InvalidCursor, NotFound, PreconditionFailed, Unprocessable, responses
from app.http.idempotency import StoredResponse, idempotent_request, write_once
from app.http.openapi import BODY_ERRORS, ETAG_HEADER, LINK_HEADER, READ_ERRORS, WRITE_ERRORS, documented
from app.http.paging import Page, page_response
from app.http.query import QueryReader
from app.http.references import KEY_PREFIX, ChatPath, ChatRef, MessagePath, parse_key
from app.messages.append.contract import RepeatedAppend
from app.messages.append.new_message import new_messages_of
from app.messages.append.response import append_response, parent_of
from app.messages.dependencies import message_store
from app.messages.edits import EditStore, message_as_json
from app.messages.items import APPEND_QUERY, ItemHotRoute, encode_items
from app.messages.queries import find_message, parse_message_ref
from app.messages.schemas import (
    AppendBody,
    BatchOut,
    FormatQuery,
    HistoryQuery,
    Item,
    ItemsOut,
    MessageBatch,
    MessageIn,
    MessageOut,
    MessagePatch,
    MessagePut,
    OnConflict,
)
from app.messages.store import KeyConflict
from app.messages.upserts import UpsertStore, check_parent

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
        **documented(MessageOut | BatchOut, 200, description="With `on_conflict`: they were all there."),
        **responses(NotFound, Conflict, PreconditionFailed, *BODY_ERRORS),
    },
    openapi_extra={"parameters": _APPEND_PARAMETERS},
)
async def append(request: Request, user: Writer, chat: ChatPath, body: AppendBody) -> Response:
    """Appends at the head of the chat. `{"messages": […]}` is stored whole and next to each other, or not at all.

    With `parent` they follow that message: where it is not the head they begin a branch, and are the head then.
    Answered once it is on disk. With `key:` a chat that is not there yet is created. With `format` the body is an item
    of another API or library, or `{"messages": […]}` with several; the answer is as ever. `If-Match` guards it (412).
    A message whose `key` the chat has already is refused (409), or as `on_conflict` says.
    """
    on_conflict, parent = APPEND_QUERY.read(request).on_conflict, parent_of(body)
    if isinstance(body, MessageBatch):
        return await _append(request, user, ChatRef.parse(chat), body.messages, parent, on_conflict, batch=True)
    return await _append(request, user, ChatRef.parse(chat), [body], parent, on_conflict)


async def _append(
    request: Request,
    user: User,
    ref: ChatRef,
    messages: Sequence[MessageIn],
    parent: str | None,
    on_conflict: OnConflict | None,
    *,
    batch: bool = False,
) -> Response:
    """Appends messages, those with keys of messages that are there as `on_conflict` says."""
    idempotency, store = await idempotent_request(request), message_store(request, user)
    lease_token, if_match = lease_token_of(request), request.headers.get("If-Match")
    try:
        result, new_messages = await store.append(
            ref, messages, idempotency=idempotency, parent=parent, lease_token=lease_token, if_match=if_match
        )
    except KeyConflict:
        if on_conflict is None:
            raise
    else:
        if not isinstance(result, RepeatedAppend) or result.appended is not None:
            return append_response(result, new_messages, idempotency, batch=batch)

    async def upsert(session: AsyncSession) -> StoredResponse:
        row = await chat_store(request, user).find(session, ref)
        check_version(row, if_match)
        check_lease(row, lease_token)
        upserted = await UpsertStore(store).upsert(session, row, new_messages_of(messages), on_conflict, parent)
        found = b",".join(upserted.messages)
        body = b'{"messages":[%b]}' % found if batch else found
        return StoredResponse(201 if upserted.appended else 200, body, chat_id=row.chat_id)

    return await write_once(request, user.user_id, upsert)


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
async def pop(request: Request, user: Writer, chat: ChatPath, query: Annotated[FormatQuery, Query()]) -> Response:
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
    """One message, by `message_id`, `seq` or `key:` and its key."""
    body = await message_store(request, user).history.message(ChatRef.parse(chat), message)
    return Response(body, media_type="application/json")


@router.put(
    "/{message}",
    summary="Put a message",
    responses={
        **documented(MessageOut, 200, description="It was there."),
        **documented(MessageOut, 201, description="It was appended."),
        **responses(NotFound, Conflict, PreconditionFailed, *BODY_ERRORS),
    },
    openapi_extra={"parameters": [*IDEMPOTENT_LEASE_HEADER["parameters"], IF_MATCH]},
)
async def put_message(
    request: Request, user: Writer, chat: ChatPath, message: MessagePath, body: MessagePut
) -> Response:
    """Replaces what a message says, in full; what it was is kept as a revision. By `key:` one that is not there is new.

    It keeps its `message_id`, `seq` and `created_at`. One that says the same already is not changed. A new one is
    appended at the head or, with `parent`, after that; one that is there must follow that `parent`.
    """
    ref, parent = ChatRef.parse(chat), parent_of(body)
    if message.startswith(KEY_PREFIX):
        key = _key_to_put(message)
        if body.key not in (None, key):
            raise Unprocessable("The key in the body is another than in the path.")
        body.key = key
        return await _append(request, user, ref, [body], parent, "replace")
    # No Idempotency-Key is stored for a path that can name nothing, since Postgres could not store some of them.
    parse_message_ref(message)

    async def replace(session: AsyncSession) -> StoredResponse:
        row = await chat_store(request, user).find(session, ref)
        found = await find_message(session, row, message)
        check_version(row, request.headers.get("If-Match"))
        check_lease(row, lease_token_of(request))
        if body.key not in (None, found.key):
            raise Unprocessable("The key in the body is another than the message has.")
        await check_parent(session, row, found, parent)
        await EditStore().replace(session, row, [(found, new_messages_of([body])[0])])
        return StoredResponse(200, await message_as_json(session, row, found.seq), chat_id=row.chat_id)

    return await write_once(request, user.user_id, replace)


def _key_to_put(message: str) -> str:
    try:
        return parse_key(message)
    except NotFound:
        raise Unprocessable("A key has 1 to 255 characters, none of them a control character.") from None


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
