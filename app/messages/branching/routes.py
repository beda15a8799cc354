"""The routes of a chat's branches: their list, what two of them share, and a copy of one."""

from typing import Annotated, Any

from fastapi import Query, Request
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response

from app.auth.caller import User
from app.auth.dependencies import Reader, Writer, authenticated_router
from app.chats.dependencies import chat_store
from app.chats.schemas import ChatOut
from app.chats.serialize import chat_created, etag_of, row_of
from app.db.database import Database
from app.db.driver import SessionReader
from app.http.conditional import not_modified
from app.http.errors import Conflict, InvalidCursor, NotFound, responses
from app.http.idempotency import IDEMPOTENT, StoredResponse, write_once
from app.http.openapi import BODY_ERRORS, ETAG_HEADER, LINK_HEADER, LOCATION_HEADER, READ_ERRORS, documented
from app.http.paging import Page, page_response
from app.http.references import ChatPath, ChatRef
from app.http.services import service
from app.messages.branching import leaves
from app.messages.branching.diff import Diff
from app.messages.branching.fork import ForkStore
from app.messages.branching.schemas import BranchOut, DiffOut, DiffQuery, ForkIn
from app.messages.branching.tree_cache import tree_of
from app.messages.schemas import PageQuery
from app.models import Chat

router = authenticated_router("/chats/{chat}", "branches")
_UNCHANGED: dict[int | str, Any] = {304: {"description": "The chat is still at the version in If-None-Match."}}


@router.get(
    "/branches",
    summary="List a chat's branches",
    responses={
        **documented(Page[BranchOut], 200, ETAG_HEADER, LINK_HEADER),
        **_UNCHANGED,
        **responses(InvalidCursor, NotFound, *READ_ERRORS),
    },
)
async def list_branches(
    request: Request, user: Reader, chat: ChatPath, query: Annotated[PageQuery, Query()]
) -> Response:
    """The newest first: a branch for each message that none follows, and the active one wherever it ends."""
    ref = ChatRef.parse(chat)
    async with service(request, Database).snapshot() as session:
        row, headers, unchanged = await _find(request, user, session, ref)
        if unchanged is not None:
            return unchanged
        reader = SessionReader(session)
        tree = await tree_of(reader, row)
        body, next_cursor = await leaves.page(reader, row, tree, ref.name, query.limit, query.cursor)
    return page_response(request, body, next_cursor, headers)


@router.get(
    "/diff",
    summary="Compare two branches",
    responses={**documented(DiffOut, 200, ETAG_HEADER), **_UNCHANGED, **responses(NotFound, *READ_ERRORS)},
)
async def compare(request: Request, user: Reader, chat: ChatPath, query: Annotated[DiffQuery, Query()]) -> Response:
    """What the branches that end at `a` and at `b` share, and the first messages of each after that.

    The others are under `/messages`, with `head` and with the shared `head_seq` as `after_seq`.
    """
    async with service(request, Database).snapshot() as session:
        row, headers, unchanged = await _find(request, user, session, ChatRef.parse(chat))
        if unchanged is not None:
            return unchanged
        tree = await tree_of(SessionReader(session), row)
        body = await Diff(session, row, tree).json(query.a, query.b, query.limit)
    return Response(body, headers=headers, media_type="application/json")


async def _find(
    request: Request, user: User, session: AsyncSession, ref: ChatRef
) -> tuple[Chat, dict[str, str], Response | None]:
    """A chat, its caching headers, and the response where the caller has this version of it already."""
    row = await chat_store(request, user).find(session, ref, lock=False)
    etag = etag_of(row_of(row))
    return row, {"ETag": etag, "Cache-Control": "private, no-cache"}, not_modified(request, etag)


@router.post(
    "/fork",
    summary="Copy a branch into a new chat",
    status_code=201,
    responses={**documented(ChatOut, 201, ETAG_HEADER, LOCATION_HEADER), **responses(NotFound, Conflict, *BODY_ERRORS)},
    openapi_extra=IDEMPOTENT,
)
async def fork(request: Request, user: Writer, chat: ChatPath, body: ForkIn | None = None) -> Response:
    """A new chat of one line, with the messages of the branch that ends at `at`; this one stays as it is.

    The copies have ids of their own and `seq` 1, 2, 3 …; `forked_from` and `forked_at` say where they come from.
    """
    store, ref, body = chat_store(request, user), ChatRef.parse(chat), body or ForkIn()
    at = None if body.at is None else str(body.at)

    async def copy(session: AsyncSession) -> StoredResponse:
        created = await ForkStore(store).fork(session, await store.find(session, ref), at, body.details())
        return chat_created(created, request.scope.get("root_path", ""))

    return await write_once(request, user.user_id, copy)
