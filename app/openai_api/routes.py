"""The routes of conversations."""

from typing import Annotated

import orjson
from fastapi import Path, Request
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response
from uuid_utils import uuid7

from app.auth.dependencies import Reader, Writer, authenticated_router
from app.chats.dependencies import chat_store
from app.chats.lease import IDEMPOTENT_LEASE_HEADER, check_own_lease, lease_token_of
from app.chats.schemas import ChatDetails, ChatPatch
from app.db.database import Database
from app.http.errors import Conflict, NotFound, Unprocessable
from app.http.idempotency import IDEMPOTENT, StoredResponse, write_once
from app.http.openapi import BODY_ERRORS, READ_ERRORS, WRITE_ERRORS, documented
from app.http.services import service
from app.messages.dependencies import message_store
from app.messages.items import decode_message
from app.messages.schemas import DecodedMessage
from app.openai_api.conversations import conversation_of, conversation_of_row, shared_metadata
from app.openai_api.errors import SEGMENT, openai_errors
from app.openai_api.ids import chat_of, conversation_id
from app.openai_api.retries import is_retry
from app.openai_api.schemas import ConversationDeleted, ConversationIn, ConversationOut, Item, MetadataIn
from app.openai_api.store import responses

router = authenticated_router(f"/{SEGMENT}/conversations", "openai")

ConversationPath = Annotated[
    str,
    Path(
        alias="conversation",
        description="A conversation's id: `conv_` and the 32 digits of its chat's `chat_id`.",
        examples=["conv_01932c071f3e70008000abcdef012345"],
    ),
]


def messages_of(items: list[Item]) -> list[DecodedMessage]:
    """Decodes items as messages. Raises RequestValidationError or Unprocessable (422) for what are no items."""
    messages = [decode_message(responses(), item, ("body", "items", number)) for number, item in enumerate(items)]
    for number, message in enumerate(messages):
        if message.type == "item_reference":
            # It holds nothing but an id, and here it would get another one.
            where = {"loc": ["body", "items", number], "msg": "a reference is no item: send the item itself"}
            raise Unprocessable(errors=[{**where, "type": "item_reference"}])
    return messages


def json_response(body: bytes) -> Response:
    """A response of JSON."""
    return Response(body, media_type="application/json")


@router.post(
    "",
    summary="Create a conversation",
    responses={**documented(ConversationOut), **openai_errors(*BODY_ERRORS)},
    openapi_extra=IDEMPOTENT,
)
async def create_conversation(request: Request, user: Writer, body: ConversationIn | None = None) -> Response:
    """A new chat, with its first items if they are given, stored together or not at all."""
    body = body or ConversationIn()
    messages = messages_of(body.items or [])

    async def create(session: AsyncSession) -> StoredResponse:
        details = ChatDetails(metadata=dict(body.metadata or {}))
        chat = await chat_store(request, user).create(session, str(uuid7()), details)
        await message_store(request, user).append_in(session, chat, messages)
        return StoredResponse(200, conversation_of(chat), chat_id=chat.chat_id)

    return await write_once(request, user.user_id, create)


@router.get(
    "/{conversation}",
    summary="Read a conversation",
    responses={**documented(ConversationOut), **openai_errors(NotFound, *READ_ERRORS)},
)
async def read_conversation(request: Request, user: Reader, conversation: ConversationPath) -> Response:
    """Its metadata, and when it was created. Its items are read by pages."""
    return json_response(conversation_of_row(await chat_store(request, user).get(chat_of(conversation))))


@router.post(
    "/{conversation}",
    summary="Replace a conversation's metadata",
    responses={**documented(ConversationOut), **openai_errors(NotFound, Conflict, *BODY_ERRORS)},
    openapi_extra=IDEMPOTENT_LEASE_HEADER,
)
async def update_conversation(
    request: Request, user: Writer, conversation: ConversationPath, body: MetadataIn
) -> Response:
    """Replaces what a conversation shows of its chat's metadata. What it does not show stays as it is."""
    ref, store, lease_token = chat_of(conversation), chat_store(request, user), lease_token_of(request)

    async def update(session: AsyncSession) -> StoredResponse:
        chat = await store.find(session, ref)
        check_own_lease(chat, lease_token)
        before, after = shared_metadata(chat.metadata_), body.metadata or {}
        # A retry changes nothing: what it asks for is there.
        if before != after:
            await store.patch(session, chat, ChatPatch(metadata={**dict.fromkeys(before), **after}))
        return StoredResponse(200, conversation_of(chat), chat_id=chat.chat_id)

    return await write_once(request, user.user_id, update)


@router.delete(
    "/{conversation}",
    summary="Delete a conversation",
    responses={**documented(ConversationDeleted), **openai_errors(NotFound, *WRITE_ERRORS)},
)
async def delete_conversation(request: Request, user: Writer, conversation: ConversationPath) -> Response:
    """Puts its chat into the trash, from which `POST /chats/{chat}/restore` brings it back."""
    ref, store = chat_of(conversation), chat_store(request, user)
    async with service(request, Database).write() as session:
        # That of a retry may be there by the first attempt.
        chat = await store.find(session, ref, deleted=None if is_retry(request) else False)
        if chat.deleted_at is None:
            await store.delete(session, chat)
    deleted = {"id": conversation_id(chat.chat_id), "object": "conversation.deleted", "deleted": True}
    return json_response(orjson.dumps(deleted))
