"""The routes of a conversation's items."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import orjson
from fastapi import Path, Request
from starlette.responses import Response

from app.auth.caller import User
from app.auth.dependencies import AuthenticatedHotRoute, Reader, Writer, authenticated_router
from app.chats.dependencies import locked_chat
from app.chats.lease import IDEMPOTENT_LEASE_HEADER, LEASE_HEADER, check_lease, check_own_lease, lease_token_of
from app.db.timestamps import now
from app.http.errors import Conflict, NotFound
from app.http.idempotency import REPLAYED_HEADER, IdempotentRequest, StoredResponse, idempotent_request, replayed
from app.http.openapi import BODY_ERRORS, READ_ERRORS, WRITE_ERRORS, documented
from app.http.query import QueryReader
from app.http.references import ChatRef
from app.http.services import service
from app.messages.append.new_message import new_message
from app.messages.append.session_append import append_in_session
from app.messages.append.writer import NeedsBranch, RepeatedAppend
from app.messages.branching.store import BranchStore
from app.messages.dependencies import message_store
from app.messages.edits import EditStore
from app.messages.schemas import DecodedMessage
from app.openai_api.conversations import conversation_of
from app.openai_api.deleting import delete_item
from app.openai_api.errors import openai_errors
from app.openai_api.ids import chat_of, message_of
from app.openai_api.items import to_openai_item
from app.openai_api.retries import EARLIEST_RETRY, FirstAttempts, RetryMarkers, is_retry
from app.openai_api.routes import ConversationPath, json_response, messages_of
from app.openai_api.routes import router as conversations
from app.openai_api.schemas import INCLUDE, ConversationOut, ItemList, ItemOut, ItemQuery, ItemsIn
from app.openai_api.store import ItemStore, list_json

router = authenticated_router(f"{conversations.prefix}/{{conversation}}/items", "openai")
hot_router = authenticated_router(router.prefix, "openai", AuthenticatedHotRoute)
_list_query = QueryReader(ItemQuery)

ItemPath = Annotated[
    str,
    Path(
        alias="item",
        description="An item's id: the 32 digits of its message's `message_id` after any beginning.",
        examples=["msg_01932c07209c700080001234567890ab"],
    ),
]


def _item_store(request: Request, user: User) -> ItemStore:
    return ItemStore(message_store(request, user))


@hot_router.post(
    "",
    summary="Add items",
    responses={**documented(ItemList), **openai_errors(NotFound, Conflict, *BODY_ERRORS)},
    openapi_extra={"parameters": [*IDEMPOTENT_LEASE_HEADER["parameters"], INCLUDE]},
)
async def create_items(request: Request, user: Writer, conversation: ConversationPath, body: ItemsIn) -> Response:
    """Adds items at the end, next to each other, or none; answered once they are on disk."""
    ref, idempotency, lease_token = chat_of(conversation), await idempotent_request(request), lease_token_of(request)
    messages = messages_of(body.items)
    headers: dict[str, str] = {}
    call = (user.user_id, conversation, await request.body())
    if idempotency is None and is_retry(request):
        await service(request, FirstAttempts).ended(call)
        ids = await _append_unless_there(request, user, ref, messages, lease_token)
    else:
        began = now()
        with service(request, FirstAttempts).attempt(call):
            ids, headers = await _append(request, user, ref, messages, idempotency, lease_token)
            if idempotency is None and now() - began > EARLIEST_RETRY and await request.is_disconnected():
                await _withdraw_if_overtaken(request, user, ref, ids, began)
    items = [
        to_openai_item(item, message_id, was_sent=message.payload is not None)
        for item, message_id, message in zip(body.items, ids, messages, strict=True)
    ]
    return Response(list_json(items, False), headers=headers, media_type="application/json")


async def _append(
    request: Request,
    user: User,
    ref: ChatRef,
    messages: Sequence[DecodedMessage],
    idempotency: IdempotentRequest | None,
    lease_token: int | None,
) -> tuple[list[str], dict[str, str]]:
    """Appends messages; gives their ids, and the headers to answer with."""
    outcome, new_messages = await message_store(request, user).append(ref, messages, idempotency, None, lease_token)
    if isinstance(outcome, NeedsBranch):
        response = await append_in_session(request, user, ref, messages, idempotency, None, lease_token, True)
        replay = {REPLAYED_HEADER: "true"} if REPLAYED_HEADER in response.headers else {}
        return _ids(bytes(response.body)), replay
    if isinstance(outcome, RepeatedAppend):
        assert idempotency is not None
        first = replayed(idempotency, outcome.request_sha256, StoredResponse(outcome.status, outcome.body.encode()))
        return _ids(first.body), first.headers
    return [message.message_id for message in new_messages], {}


def _ids(response: bytes) -> list[str]:
    """The message ids in the response of an append, or in the part of it that is stored for retries."""
    body = orjson.loads(response)
    return [message["message_id"] for message in (body["messages"] if isinstance(body, dict) else body)]


async def _append_unless_there(
    request: Request, user: User, ref: ChatRef, messages: Sequence[DecodedMessage], lease_token: int | None
) -> Sequence[str]:
    """Appends messages unless the chat ends with them already, by the first attempt at this; gives their ids."""
    store = message_store(request, user)
    async with locked_chat(request, user, ref) as (session, chat):
        at = now()
        new_messages = [new_message(message, at) for message in messages]
        if (stored_ids := await ItemStore(store).tail(session, chat, new_messages)) is not None:
            return stored_ids
        check_lease(chat, lease_token)
        await BranchStore(store).append(session, chat, None, new_messages)
        await RetryMarkers(session, chat).mark_retried(await request.body())
        return [message.message_id for message in new_messages]


async def _withdraw_if_overtaken(
    request: Request, user: User, ref: ChatRef, ids: Sequence[str], began: datetime
) -> None:
    """Deletes what a first attempt stored, where its client had gone and another process stored it by a retry first."""
    async with locked_chat(request, user, ref) as (session, chat):
        if await RetryMarkers(session, chat).was_retried(await request.body(), began):
            for message_id in ids:
                await EditStore().delete(session, chat, message_id)


@hot_router.get(
    "",
    summary="List items",
    responses={**documented(ItemList), **openai_errors(NotFound, *READ_ERRORS)},
    openapi_extra={"parameters": [*_list_query.parameters(), INCLUDE]},
)
async def list_items(request: Request, user: Reader, conversation: ConversationPath) -> Response:
    """Those of the active branch, by pages: the next one is `after` the `last_id` of this one while `has_more`."""
    query = _list_query.read(request)
    store = _item_store(request, user)
    return json_response(await store.page(chat_of(conversation), query, request.scope["query_string"]))


@hot_router.get(
    "/{item}",
    summary="Read an item",
    responses={**documented(ItemOut), **openai_errors(NotFound, *READ_ERRORS)},
    openapi_extra={"parameters": [INCLUDE]},
)
async def read_item(request: Request, user: Reader, conversation: ConversationPath, item: ItemPath) -> Response:
    """One item, of whichever branch."""
    return json_response(await _item_store(request, user).item(chat_of(conversation), item))


@router.delete(
    "/{item}",
    summary="Delete an item",
    responses={**documented(ConversationOut), **openai_errors(NotFound, Conflict, *WRITE_ERRORS)},
    openapi_extra=LEASE_HEADER,
)
async def remove_item(request: Request, user: Writer, conversation: ConversationPath, item: ItemPath) -> Response:
    """For good, and answers the conversation. Of a message that gives several items the others stay."""
    ref, (message_id, index) = chat_of(conversation), message_of(item)
    async with locked_chat(request, user, ref) as (session, chat):
        markers = RetryMarkers(session, chat)
        if not (is_retry(request) and await markers.was_deleted(message_id, index)):
            check_own_lease(chat, lease_token_of(request))
            await delete_item(session, chat, message_id, index)
            await markers.mark_deleted(message_id, index)
        return json_response(conversation_of(chat))
