"""The routes of a chat's turn: its lease."""

import orjson
from fastapi import Request
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response

from app.auth.dependencies import Reader, Writer, authenticated_router
from app.chats.dependencies import chat_store, locked_chat
from app.chats.lease import REQUIRED_LEASE_HEADER, is_held, release_lease, renew_lease, required_lease_token, take_lease
from app.chats.schemas import TurnIn, TurnOut, TurnRenewal, TurnTaken
from app.db.database import Database
from app.db.timestamps import to_iso
from app.http.errors import Conflict, NotFound, responses
from app.http.idempotency import IDEMPOTENT, StoredResponse, write_once
from app.http.openapi import BODY_ERRORS, READ_ERRORS, WRITE_ERRORS, documented
from app.http.references import ChatPath, ChatRef
from app.http.services import service
from app.models import Chat

router = authenticated_router("/chats/{chat}/turn", "chats")


def _serialize(chat: Chat) -> bytes:
    """A lease, as its holder is told of it."""
    return orjson.dumps({"token": chat.lease_token, "holder": chat.lease_holder, "until": to_iso(chat.lease_until)})


@router.post(
    "",
    summary="Take a chat's turn",
    status_code=201,
    responses={**documented(TurnTaken, 201), **responses(NotFound, Conflict, *BODY_ERRORS)},
    openapi_extra=IDEMPOTENT,
)
async def take_turn(request: Request, user: Writer, chat: ChatPath, body: TurnIn | None = None) -> Response:
    """Until it ends, only writes with its token in `Turn-Token` are taken. While another holds it, 409 says with
    `holder` and `until` who and how long.
    """
    ref, turn = ChatRef.parse(chat), body or TurnIn()

    async def take(session: AsyncSession) -> StoredResponse:
        row = await chat_store(request, user).find(session, ref)
        take_lease(row, turn.holder or user.principal, turn.seconds)
        await session.flush()
        return StoredResponse(201, _serialize(row), chat_id=row.chat_id)

    return await write_once(request, user.user_id, take)


@router.patch(
    "",
    summary="Hold a turn for longer",
    responses={**documented(TurnTaken), **responses(NotFound, Conflict, *BODY_ERRORS)},
    openapi_extra=REQUIRED_LEASE_HEADER,
)
async def renew_turn(request: Request, user: Writer, chat: ChatPath, body: TurnRenewal | None = None) -> Response:
    """Until `seconds` from now. A turn that is over stays so: 409."""
    async with locked_chat(request, user, ChatRef.parse(chat)) as (_, row):
        renew_lease(row, required_lease_token(request), (body or TurnRenewal()).seconds)
    return Response(_serialize(row), media_type="application/json")


@router.delete(
    "",
    summary="End a turn",
    status_code=204,
    responses={204: {"description": "It is over."}, **responses(NotFound, *WRITE_ERRORS)},
    openapi_extra=REQUIRED_LEASE_HEADER,
)
async def release_turn(request: Request, user: Writer, chat: ChatPath) -> Response:
    """Others need not wait for its end. One that is over already stays so, whoever has the turn now."""
    async with locked_chat(request, user, ChatRef.parse(chat)) as (_, row):
        release_lease(row, required_lease_token(request))
    return Response(status_code=204)


@router.get(
    "",
    summary="Read who holds a chat's turn",
    responses={**documented(TurnOut), **responses(NotFound, *READ_ERRORS)},
)
async def read_turn(request: Request, user: Reader, chat: ChatPath) -> Response:
    """Whom to wait for, and until when at the latest. The token is its holder's alone."""
    ref = ChatRef.parse(chat)
    async with service(request, Database).read() as session:
        row = await chat_store(request, user).find(session, ref, lock=False)
    holder, until = (row.lease_holder, to_iso(row.lease_until)) if is_held(row) else (None, None)
    return Response(orjson.dumps({"holder": holder, "until": until}), media_type="application/json")
