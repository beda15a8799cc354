"""The routes of a conversation's items."""

from collections.abc import Sequence
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
from app.http.idempotency import REPLAYED_HEADER, check_same_request, idempotent_request, oldest_kept
from app.http.openapi import BODY_ERRORS, READ_ERRORS, WRITE_ERRORS, documented
from app.http.query import QueryReader
from app.http.references import ChatRef
from app.messages.append.contract import RepeatedAppend, StoredAppend
from app.messages.append.new_message import new_messages_of, to_json
from app.messages.dependencies import message_store
from app.messages.schemas import DecodedMessage
from app.openai_api.conversations import conversation_of
from app.openai_api.deleting import delete_item
from app.openai_api.errors import openai_errors
from app.openai_api.ids import chat_of, message_of
from app.openai_api.items import to_openai_item
from app.openai_api.retries import RetryMarkers, is_retry, retried_request
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
    began = now()
    ref, idempotency, lease_token = chat_of(conversation), await idempotent_request(request), lease_token_of(request)
    messages, headers = messages_of(body.items), {}
    if idempotency is None and is_retry(request):
        ids = await _append_unless_there(request, user, ref, messages, lease_token)
    else:
        new_messages = new_messages_of(messages)
        ids = [message.message_id for message in new_messages]
        if idempotency is None:
            stored = StoredAppend(retried_request(ref, await request.body()), None, began)
        else:
            stored = StoredAppend(idempotency, to_json(ids), oldest_kept())
        store = message_store(request, user)
        result = await store.append_new(ref, new_messages, stored=stored, lease_token=lease_token)
        if isinstance(result, RepeatedAppend):
            if idempotency is not None:
                check_same_request(idempotency, result.request_sha256)
                ids, headers = orjson.loads(result.body), {REPLAYED_HEADER: "true"}
            elif not await request.is_disconnected():
                # Who waits for an answer has not sent the retry.
                await store.append_new(ref, new_messages, lease_token=lease_token)
    items = [
        to_openai_item(item, message_id, was_sent=message.payload is not None)
        for item, message_id, message in zip(body.items, ids, messages, strict=True)
    ]
    return Response(list_json(items, False), headers=headers, media_type="application/json")


async def _append_unless_there(
    request: Request, user: User, ref: ChatRef, messages: Sequence[DecodedMessage], lease_token: int | None
) -> Sequence[str]:
    """Appends messages unless the chat ends with them already, by the first attempt at this; gives their ids.

    A first attempt that comes later finds the marker, and stores nothing.
    """
    store = message_store(request, user)
    async with locked_chat(request, user, ref) as (session, chat):
        new_messages = new_messages_of(messages)
        if (stored_ids := await ItemStore(store).tail(session, chat, new_messages)) is not None:
            return stored_ids
        check_lease(chat, lease_token)
        await store.append_new_in(session, chat, new_messages)
        await RetryMarkers(session, chat).mark_retried(await request.body())
        return [message.message_id for message in new_messages]


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
