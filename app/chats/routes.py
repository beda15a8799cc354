"""The routes of chats: their list, their details, the trash.

Creating, reading and changing a chat can reach into its messages: those are in `app.messages.conversation`.
"""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from app.auth.caller import User
from app.auth.dependencies import AuthenticatedRoute, Reader, Writer
from app.chats.listing import Listing
from app.chats.ref import ChatRef
from app.chats.rows import chat_json, etag_of, row_of
from app.chats.schemas import ChatList, ChatOut, ChatQuery
from app.chats.store import ChatStore, check_version
from app.db.database import Database
from app.errors import (
    BadRequest,
    BodyTooLarge,
    Conflict,
    Forbidden,
    InvalidCursor,
    NotFound,
    Overloaded,
    PreconditionFailed,
    StorageFull,
    Unauthorized,
    Unprocessable,
    UnsupportedMediaType,
    responses,
)
from app.idempotency import MAY_BE_RETRIED, Answer, once_only, run_once
from app.paging import page_body, page_response

READ_ERRORS = (BadRequest, Unauthorized, Forbidden, Unprocessable, Overloaded)
WRITE_ERRORS = (*READ_ERRORS, StorageFull)
BODY_ERRORS = (*WRITE_ERRORS, BodyTooLarge, UnsupportedMediaType)

_METADATA_NAME = re.compile(r"[^\"\\\x00-\x1f\ud800-\udfff]{1,128}")

router = APIRouter(prefix="/chats", tags=["chats"], route_class=AuthenticatedRoute)

ChatPath = Annotated[
    str,
    Path(
        alias="chat",
        description="A chat's UUID, or `key:` and its key, percent-encoded.",
        examples=["01932c07-1f3e-7000-8000-abcdef012345", "key:feishu:group:user123"],
    ),
]
IfMatch = Annotated[str | None, Header(alias="If-Match", description="Only if the chat still has this ETag; else 412.")]
ETAG_HEADER = {"ETag": {"schema": {"type": "string"}, "description": "The chat's version."}}
LINK_HEADER = {"Link": {"schema": {"type": "string"}, "description": '`rel="next"`: the page after this one.'}}

METADATA_PARAMETER: dict[str, Any] = {
    "name": "metadata.<name>",
    "in": "query",
    "schema": {"type": "string"},
    "description": "Only chats whose metadata has this value under this name. For several names, several.",
}


def chat_store(request: Request, user: User) -> ChatStore:
    """The store of the user's chats."""
    db: Database = request.app.state.db
    return ChatStore(db, user.user_id)


def documented(model: Any, status: int = 200, *headers: dict[str, Any], description: str = "") -> dict[int | str, Any]:
    """The OpenAPI entry of a route's good answer, which it writes itself as bytes."""
    entry = {"model": model, "headers": {name: value for group in headers for name, value in group.items()}}
    return {status: {**entry, "description": description} if description else entry}


def chat_response(row: Any, status: int = 200) -> Response:
    """A chat as a response, with its ETag."""
    headers = {"ETag": etag_of(row), "Cache-Control": "private, no-cache"}
    return Response(chat_json(row), status, headers, "application/json")


def metadata_filters(request: Request) -> dict[str, str]:
    """The `metadata.<name>=<value>` filters of a request. Raises BadRequest (400) for one that finds nothing."""
    found: dict[str, str] = {}
    for parameter, value in request.query_params.multi_items():
        if parameter.startswith("metadata."):
            name = parameter.removeprefix("metadata.")
            if not _METADATA_NAME.fullmatch(name) or name in found or "\0" in value:
                raise BadRequest("A metadata filter is metadata.<name>=<value>, each name once.")
            found[name] = value
    return found


@router.get(
    "",
    summary="List chats",
    response_class=Response,
    responses={**documented(ChatList, 200, LINK_HEADER), **responses(InvalidCursor, *READ_ERRORS)},
    openapi_extra={"parameters": [METADATA_PARAMETER]},
)
async def list_chats(request: Request, user: Reader, query: Annotated[ChatQuery, Query()]) -> Response:
    """The caller's chats, those with the latest activity first."""
    store = chat_store(request, user)
    listing = Listing(user.user_id, query, metadata_filters(request), store.json)
    rows, next_cursor = await store.page(listing, query.limit)
    extra = {"total": await store.total(listing)} if query.include_total else {}
    return page_response(request, page_body(map(chat_json, rows), next_cursor, **extra), next_cursor, {})


@router.delete(
    "/{chat}",
    summary="Delete a chat",
    status_code=204,
    response_class=Response,
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
    async with request.app.state.db.write() as session:
        found = await store.find(session, ref, deleted=None if hard else False)
        check_version(found, if_match)
        await (store.erase if hard else store.delete)(session, found)
    return Response(status_code=204)


@router.post(
    "/{chat}/restore",
    summary="Restore a chat from the trash",
    response_class=Response,
    responses={**documented(ChatOut, 200, ETAG_HEADER), **responses(NotFound, Conflict, *BODY_ERRORS)},
    openapi_extra=MAY_BE_RETRIED,
)
async def restore_chat(request: Request, user: Writer, chat: ChatPath) -> Response:
    """Out of the trash, as it was. A chat that is not in the trash stays as it is."""
    store, ref, once = chat_store(request, user), ChatRef.parse(chat), await once_only(request)

    async with request.app.state.db.write() as session:

        async def restore() -> Answer:
            try:
                found = await store.find(session, ref)
            except NotFound:
                found = await store.find(session, ref, deleted=True)
                await store.restore(session, found)
            row = row_of(found)
            return Answer(200, chat_json(row), {"ETag": etag_of(row)}, found.chat_id)

        answer = await run_once(session, user.user_id, once, restore)
    return answer.response()
