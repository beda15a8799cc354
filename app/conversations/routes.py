"""The routes of a chat as a whole: creates, reads, replaces and changes it together with its messages."""

from typing import Annotated, Literal

from fastapi import Query, Request
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response
from uuid_utils import uuid7

from app.auth.caller import User
from app.auth.dependencies import Reader, Writer, authenticated_router
from app.chats.dependencies import chat_store
from app.chats.lease import LEASE_HEADER, check_lease, check_own_lease, lease_token_of
from app.chats.schemas import ChatOut
from app.chats.serialize import chat_created, chat_response, etag_of, row_of
from app.chats.store import check_version
from app.conversations.schemas import ChatChange, ChatIn, ChatWithConversation
from app.db.database import Database
from app.db.driver import Row
from app.http.conditional import IfMatch, not_modified
from app.http.errors import Conflict, NotFound, PreconditionFailed, Unprocessable, responses
from app.http.idempotency import IDEMPOTENT, StoredResponse, write_once
from app.http.openapi import BODY_ERRORS, ETAG_HEADER, LOCATION_HEADER, READ_ERRORS, documented
from app.http.references import ChatPath, ChatRef, is_key
from app.http.services import service
from app.messages.branching.store import BranchStore
from app.messages.dependencies import message_store
from app.messages.edits import EditStore
from app.models import Chat

router = authenticated_router("/chats", "chats")


async def _create(session: AsyncSession, request: Request, user: User, body: ChatIn) -> Chat:
    chat = await chat_store(request, user).create(session, str(uuid7()), body.details())
    await message_store(request, user).append_in(session, chat, body.conversation or [])
    return chat


@router.post(
    "",
    summary="Create a chat",
    status_code=201,
    responses={**documented(ChatOut, 201, ETAG_HEADER, LOCATION_HEADER), **responses(Conflict, *BODY_ERRORS)},
    openapi_extra=IDEMPOTENT,
)
async def create_chat(request: Request, user: Writer, body: ChatIn) -> Response:
    """A new chat, with its first messages if they are given, stored together or not at all."""

    async def create(session: AsyncSession) -> StoredResponse:
        chat = await _create(session, request, user, body)
        await session.flush()
        return chat_created(chat, request.scope.get("root_path", ""))

    return await write_once(request, user.user_id, create)


@router.get(
    "/{chat}",
    summary="Read a chat",
    responses={
        **documented(ChatWithConversation, 200, ETAG_HEADER),
        304: {"description": "It is still at the version in If-None-Match."},
        **responses(NotFound, *READ_ERRORS),
    },
)
async def read_chat(
    request: Request,
    user: Reader,
    chat: ChatPath,
    include: Annotated[Literal["conversation"] | None, Query(description="Its messages as well, all of them.")] = None,
) -> Response:
    """A chat's details. A long chat's messages are better read by pages, under `/messages`."""
    store, ref = chat_store(request, user), ChatRef.parse(chat)
    if include is None:
        row = await store.get(ref)
        return not_modified(request, etag_of(row)) or chat_response(row)
    async with service(request, Database).snapshot() as session:
        chat_row = await store.find(session, ref, lock=False)
        row = row_of(chat_row)
        if (unchanged := not_modified(request, etag_of(row))) is not None:
            return unchanged
        messages = await message_store(request, user).branch_json(session, chat_row)
    response = chat_response(row)
    body = b'%b,"conversation":[%b]}' % (bytes(response.body)[:-1], b",".join(messages))
    headers = {"ETag": etag_of(row), "Cache-Control": "private, no-cache"}
    return Response(body, headers=headers, media_type="application/json")


@router.patch(
    "/{chat}",
    summary="Change a chat's details",
    responses={
        **documented(ChatOut, 200, ETAG_HEADER),
        **responses(NotFound, Conflict, PreconditionFailed, *BODY_ERRORS),
    },
    openapi_extra=LEASE_HEADER,
)
async def patch_chat(
    request: Request, user: Writer, chat: ChatPath, patch: ChatChange, if_match: IfMatch = None
) -> Response:
    """A JSON merge patch: what is left out stays, null takes away. `head` switches to another branch."""
    store, ref, lease_token = chat_store(request, user), ChatRef.parse(chat), lease_token_of(request)
    async with service(request, Database).write() as session:
        chat_row = await store.find(session, ref)
        check_version(chat_row, if_match)
        check_own_lease(chat_row, lease_token)
        if "head" in patch.model_fields_set:
            check_lease(chat_row, lease_token)
            await _switch(request, user, session, chat_row, "" if patch.head is None else str(patch.head))
        if patch.model_fields_set - {"head"}:
            await store.patch(session, chat_row, patch.details())
    return chat_response(row_of(chat_row))


@router.put(
    "/{chat}",
    summary="Get or create a chat, or replace it",
    responses={
        **documented(ChatOut, 200, ETAG_HEADER, description="It was there."),
        **documented(ChatOut, 201, ETAG_HEADER, LOCATION_HEADER, description="It was created."),
        **responses(NotFound, Conflict, PreconditionFailed, *BODY_ERRORS),
    },
    openapi_extra=LEASE_HEADER,
)
async def put_chat(
    request: Request, user: Writer, chat: ChatPath, body: ChatIn | None = None, if_match: IfMatch = None
) -> Response:
    """Replaces a chat's details and, if `conversation` is given, all its messages; both or neither.

    By `key:<key>` it creates the chat when it is not there; without a body (or with `{}`) it then changes nothing
    of one that is: get or create.
    """
    ref = _ref_to_put(chat)
    if body is None and ref.key is None:
        raise Unprocessable("To replace a chat takes a body.")
    if body is not None and ref.key is not None and body.key not in (None, ref.key):
        raise Unprocessable("The key in the body is another than in the path.")
    get_only = ref.key is not None and (body is None or not body.model_fields_set)
    if get_only and (row := await _existing(request, user, ref)) is not None:
        return chat_response(row)
    body = body or ChatIn()
    try:
        chat_row, created = await _put(request, user, ref, body, if_match, get_only)
    except Conflict:
        if ref.key is None:
            raise
        # Somebody else created it at the same moment: now it is there.
        chat_row, created = await _put(request, user, ref, body, if_match, get_only)
    if created:
        return chat_created(chat_row, request.scope.get("root_path", "")).response()
    return chat_response(row_of(chat_row))


async def _switch(request: Request, user: User, session: AsyncSession, chat: Chat, head: str) -> None:
    try:
        await BranchStore().switch(session, chat, head)
    except NotFound:
        raise Unprocessable("The head is no message of this chat.") from None


async def _put(
    request: Request, user: User, ref: ChatRef, body: ChatIn, if_match: str | None, get_only: bool
) -> tuple[Chat, bool]:
    """The chat as it was put, and whether it was created."""
    store, lease_token = chat_store(request, user), lease_token_of(request)
    async with service(request, Database).write() as session:
        try:
            chat_row = await store.find(session, ref)
        except NotFound:
            if ref.key is None or if_match is not None or lease_token is not None:
                raise
            body.key = ref.key
            return await _create(session, request, user, body), True
        check_version(chat_row, if_match)
        check_own_lease(chat_row, lease_token)
        if not get_only:
            if body.conversation is not None:
                check_lease(chat_row, lease_token)
                await EditStore().clear(session, chat_row)
                await message_store(request, user).append_in(session, chat_row, body.conversation)
            await store.replace(session, chat_row, body.details())
        return chat_row, False


async def _existing(request: Request, user: User, ref: ChatRef) -> Row | None:
    try:
        return await chat_store(request, user).get(ref)
    except NotFound:
        return None


def _ref_to_put(chat: str) -> ChatRef:
    try:
        return ChatRef.parse(chat)
    except NotFound:
        if chat.startswith("key:") and not is_key(chat.removeprefix("key:")):
            raise Unprocessable("A key has 1 to 255 characters, none of them a control character.") from None
        raise
