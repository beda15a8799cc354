"""The routes of turns: the lease that one writer of a chat holds at a time."""

from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from app.auth.dependencies import AuthenticatedRoute, Reader, Writer
from app.chats.dependencies import chat_store
from app.chats.lease import HEADER, REQUIRED_LEASE_HEADER, is_held, lease_token_of, release, renew, take
from app.db.database import Database
from app.db.timestamps import to_iso
from app.http.errors import Conflict, NotFound, Unprocessable, responses
from app.http.idempotency import IDEMPOTENT, StoredResponse, idempotent_request, run_idempotent
from app.http.openapi import BODY_ERRORS, READ_ERRORS, WRITE_ERRORS, documented
from app.http.references import ChatPath, ChatRef
from app.http.services import service
from app.models import Chat

Seconds = Annotated[int, Field(ge=1, le=600, description="For how long, from now on.")]
DEFAULT_SECONDS = 60
_UNTIL = "2026-01-31T12:01:00.000000Z"

router = APIRouter(prefix="/chats/{chat}/turn", tags=["chats"], route_class=AuthenticatedRoute)


class TurnIn(BaseModel):
    """Who takes a turn, and for how long."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"holder": "worker-1", "seconds": 60}]}
    )

    holder: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None, description="Whom others are told of while they wait. Unsaid: the caller."
    )
    seconds: Seconds = DEFAULT_SECONDS


class TurnRenewal(BaseModel):
    """For how long a turn is held from now on."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{"seconds": 60}]})

    seconds: Seconds = DEFAULT_SECONDS


class TurnTaken(BaseModel):
    """A turn, as its holder sees it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"token": 1769860800000000, "holder": "worker-1", "until": _UNTIL}]}
    )

    token: int = Field(description="What to send as `Turn-Token`. Each turn of a chat has a higher one.")
    holder: str
    until: datetime


class TurnOut(BaseModel):
    """Who holds a chat's turn; nulls where nobody does."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"holder": "worker-1", "until": _UNTIL}]})

    holder: str | None
    until: datetime | None


def _taken(chat: Chat) -> bytes:
    assert chat.lease_until is not None
    turn: dict[str, Any] = {"token": chat.lease_token, "holder": chat.lease_holder, "until": to_iso(chat.lease_until)}
    return orjson.dumps(turn)


def _token(request: Request) -> int:
    turn = lease_token_of(request)
    if turn is None:
        raise Unprocessable(f"The header {HEADER} is missing.")
    return turn


@router.post(
    "",
    summary="Take a chat's turn",
    status_code=201,
    response_class=Response,
    responses={**documented(TurnTaken, 201), **responses(NotFound, Conflict, *BODY_ERRORS)},
    openapi_extra=IDEMPOTENT,
)
async def take_turn(request: Request, user: Writer, chat: ChatPath, body: TurnIn | None = None) -> Response:
    """Until it ends, only writes with its token in `Turn-Token` are taken. While another holds it, 409 says with
    `holder` and `until` who and how long.
    """
    ref, idempotency, asked = ChatRef.parse(chat), await idempotent_request(request), body or TurnIn()
    async with service(request, Database).write() as session:

        async def effect() -> StoredResponse:
            found = await chat_store(request, user).find(session, ref)
            take(found, asked.holder or user.principal, asked.seconds)
            await session.flush()
            return StoredResponse(201, _taken(found), chat_id=found.chat_id)

        answer = await run_idempotent(session, user.user_id, idempotency, effect)
    return answer.response()


@router.patch(
    "",
    summary="Hold a turn for longer",
    response_class=Response,
    responses={**documented(TurnTaken), **responses(NotFound, Conflict, *BODY_ERRORS)},
    openapi_extra=REQUIRED_LEASE_HEADER,
)
async def renew_turn(request: Request, user: Writer, chat: ChatPath, body: TurnRenewal | None = None) -> Response:
    """Until `seconds` from now. A turn that is over stays so: 409."""
    ref, seconds = ChatRef.parse(chat), (body or TurnRenewal()).seconds
    async with service(request, Database).write() as session:
        found = await chat_store(request, user).find(session, ref)
        renew(found, _token(request), seconds)
    return Response(_taken(found), media_type="application/json")


@router.delete(
    "",
    summary="End a turn",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "It is over."}, **responses(NotFound, *WRITE_ERRORS)},
    openapi_extra=REQUIRED_LEASE_HEADER,
)
async def release_turn(request: Request, user: Writer, chat: ChatPath) -> Response:
    """Others need not wait for its end. One that is over already stays so, whoever has the turn now."""
    ref = ChatRef.parse(chat)
    async with service(request, Database).write() as session:
        found = await chat_store(request, user).find(session, ref)
        release(found, _token(request))
    return Response(status_code=204)


@router.get(
    "",
    summary="Read who holds a chat's turn",
    response_class=Response,
    responses={**documented(TurnOut), **responses(NotFound, *READ_ERRORS)},
)
async def read_turn(request: Request, user: Reader, chat: ChatPath) -> Response:
    """Whom to wait for, and until when at the latest. The token is its holder's alone."""
    ref = ChatRef.parse(chat)
    async with service(request, Database).read() as session:
        found = await chat_store(request, user).find(session, ref, lock=False)
    held = is_held(found) and found.lease_until
    turn = {"holder": found.lease_holder, "until": to_iso(held)} if held else {"holder": None, "until": None}
    return Response(orjson.dumps(turn), media_type="application/json")
