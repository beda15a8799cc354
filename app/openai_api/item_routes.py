"""The routes of a conversation's items."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from app.auth.caller import User
from app.auth.dependencies import AuthenticatedHotRoute, AuthenticatedRoute, Reader, Writer
from app.chats.dependencies import chat_store
from app.chats.lease import IDEMPOTENT_LEASE_HEADER, LEASE_HEADER, check_lease, check_own_lease, lease_token_of
from app.db.database import Database
from app.db.types import now
from app.http.errors import Conflict, NotFound
from app.http.idempotency import REPLAYED_HEADER, IdempotentRequest, StoredResponse, idempotent_request, replayed
from app.http.openapi import BODY_ERRORS, READ_ERRORS, WRITE_ERRORS, documented
from app.http.query import QueryOf
from app.http.references import ChatRef
from app.http.services import service
from app.messages.append.new_message import new_message
from app.messages.append.session_append import branch_off
from app.messages.append.writer import NeedsBranch, RepeatedAppend
from app.messages.branching.store import BranchStore
from app.messages.dependencies import message_store
from app.messages.edits import EditStore
from app.messages.schemas import TranslatedMessage
from app.openai_api.conversations import conversation_of
from app.openai_api.deleting import delete_item
from app.openai_api.errors import refused
from app.openai_api.ids import chat_of, message_of
from app.openai_api.items import shown
from app.openai_api.retries import SOONEST, FirstAttempts, Marks, is_retry
from app.openai_api.routes import ConversationPath, answered_with, messages_of
from app.openai_api.routes import router as conversations
from app.openai_api.schemas import INCLUDE, ConversationOut, ItemList, ItemOut, ItemQuery, ItemsIn
from app.openai_api.store import ItemStore, list_json

router = APIRouter(
    prefix=f"{conversations.prefix}/{{conversation}}/items", tags=["openai"], route_class=AuthenticatedRoute
)
hot_router = APIRouter(prefix=router.prefix, tags=router.tags, route_class=AuthenticatedHotRoute)
_list_query = QueryOf(ItemQuery)

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
    response_class=Response,
    responses={**documented(ItemList), **refused(NotFound, Conflict, *BODY_ERRORS)},
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
            if idempotency is None and now() - began > SOONEST and await request.is_disconnected():
                await _withdraw_if_overtaken(request, user, ref, ids, began)
    items = [
        shown(item, message_id, came=message.payload is not None)
        for item, message_id, message in zip(body.items, ids, messages, strict=True)
    ]
    return Response(list_json(items, False), headers=headers, media_type="application/json")


async def _append(
    request: Request,
    user: User,
    ref: ChatRef,
    messages: Sequence[TranslatedMessage],
    idempotency: IdempotentRequest | None,
    lease_token: int | None,
) -> tuple[list[str], dict[str, str]]:
    """Appends messages; gives their ids, and the headers to answer with."""
    outcome, new_messages = await message_store(request, user).append(ref, messages, idempotency, None, lease_token)
    if isinstance(outcome, NeedsBranch):
        response = await branch_off(request, user, ref, messages, idempotency, None, lease_token, True)
        replay = {REPLAYED_HEADER: "true"} if REPLAYED_HEADER in response.headers else {}
        return _ids(bytes(response.body)), replay
    if isinstance(outcome, RepeatedAppend):
        assert idempotency is not None
        first = replayed(idempotency, outcome.request_sha256, StoredResponse(outcome.status, outcome.body.encode()))
        return _ids(first.body), first.headers
    return [one.message_id for one in new_messages], {}


def _ids(answer: bytes) -> list[str]:
    """The ids in what an append was answered, or in what is kept of that."""
    said = orjson.loads(answer)
    return [one["message_id"] for one in (said["messages"] if isinstance(said, dict) else said)]


async def _append_unless_there(
    request: Request, user: User, ref: ChatRef, messages: Sequence[TranslatedMessage], lease_token: int | None
) -> Sequence[str]:
    """Appends messages unless the chat ends with them already, by the first attempt at this; gives their ids."""
    store = message_store(request, user)
    async with service(request, Database).write() as session:
        chat = await chat_store(request, user).find(session, ref)
        at = now()
        new_messages = [new_message(message, at) for message in messages]
        if (there := await ItemStore(store).tail(session, chat, new_messages)) is not None:
            return there
        check_lease(chat, lease_token)
        await BranchStore(store).append(session, chat, None, new_messages)
        await Marks(session, chat).retried(await request.body())
        return [one.message_id for one in new_messages]


async def _withdraw_if_overtaken(
    request: Request, user: User, ref: ChatRef, ids: Sequence[str], began: datetime
) -> None:
    """Deletes what a first attempt stored, where its client had gone and another process stored it by a retry first."""
    async with service(request, Database).write() as session:
        chat = await chat_store(request, user).find(session, ref)
        if await Marks(session, chat).was_retried(await request.body(), began):
            for message_id in ids:
                await EditStore().delete(session, chat, message_id)


@hot_router.get(
    "",
    summary="List items",
    response_class=Response,
    responses={**documented(ItemList), **refused(NotFound, *READ_ERRORS)},
    openapi_extra={"parameters": [*_list_query.parameters(), INCLUDE]},
)
async def list_items(request: Request, user: Reader, conversation: ConversationPath) -> Response:
    """Those of the active branch, by pages: the next one is `after` the `last_id` of this one while `has_more`."""
    query = _list_query.read(request)
    return answered_with(
        await _item_store(request, user).page(chat_of(conversation), query, request.scope["query_string"])
    )


@hot_router.get(
    "/{item}",
    summary="Read an item",
    response_class=Response,
    responses={**documented(ItemOut), **refused(NotFound, *READ_ERRORS)},
    openapi_extra={"parameters": [INCLUDE]},
)
async def read_item(request: Request, user: Reader, conversation: ConversationPath, item: ItemPath) -> Response:
    """One item, of whichever branch."""
    return answered_with(await _item_store(request, user).item(chat_of(conversation), item))


@router.delete(
    "/{item}",
    summary="Delete an item",
    response_class=Response,
    responses={**documented(ConversationOut), **refused(NotFound, Conflict, *WRITE_ERRORS)},
    openapi_extra=LEASE_HEADER,
)
async def remove_item(request: Request, user: Writer, conversation: ConversationPath, item: ItemPath) -> Response:
    """For good, and answers the conversation. Of a message that gives several items the others stay."""
    ref, (message_id, place) = chat_of(conversation), message_of(item)
    async with service(request, Database).write() as session:
        chat = await chat_store(request, user).find(session, ref)
        marks = Marks(session, chat)
        if not (is_retry(request) and await marks.was_deleted(message_id, place)):
            check_own_lease(chat, lease_token_of(request))
            await delete_item(session, chat, message_id, place)
            await marks.deleted(message_id, place)
        return answered_with(conversation_of(chat))
