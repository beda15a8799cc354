"""A feed by WebSocket. What went wrong is said by the code with which it closes: a browser sees no status there."""

import asyncio
import time
import traceback
from contextlib import aclosing, suppress

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.auth.authenticator import Authenticator
from app.auth.caller import CHATS_READ, Caller, User
from app.changes.following import Following
from app.changes.schemas import SocketQuery
from app.changes.tickets import TicketStore
from app.db.database import Database
from app.events.stream_authorizer import Check, Guard
from app.events.streams import PATIENCE_SECONDS, first_of
from app.http.database_errors import problem_of
from app.http.errors import BadRequest, Forbidden, Overloaded, Unauthorized, Unprocessable
from app.http.query import QueryReader
from app.http.services import service

# 4000 and the status that HTTP has for it (RFC 6455, 7.4.2 leaves 4000 to 4999 to applications).
_OWN = 4000
_RESTARTING = 1012
_TRY_AGAIN = 1013
_DEFECT = 1011
_REASON_BYTES = 123

_log = structlog.get_logger("chatkeep.live")
_query = QueryReader(SocketQuery)


async def serve(socket: WebSocket) -> None:
    """Follows a feed until the client goes, may not listen any more, is too slow, or the service stops."""
    began = time.perf_counter()
    caller: Caller | None = None
    code, reason = _DEFECT, ""
    await socket.accept()
    try:
        query = _query.read(socket)
        caller, check = await _caller(socket, query.ticket)
        following = await Following.open(socket, caller.user_id, query.since, query.chat)
        code, reason = await _follow(socket, following, check)
    except Exception as error:  # noqa: BLE001 - whatever it was, the client is told by the code
        code, reason = _said_of(error)
        if code == _DEFECT:
            # As for requests: its type and its place, never its message.
            where = "".join(traceback.format_tb(error.__traceback__))
            _log.error("defect", error=type(error).__name__, traceback=where)
    finally:
        if code:
            await _close(socket, code, reason)
        _log.info(
            "websocket",
            route="/ws",
            code=code or None,
            milliseconds=round((time.perf_counter() - began) * 1000, 2),
            caller=caller.principal if caller else None,
        )


async def _caller(socket: WebSocket, ticket: str | None) -> tuple[User, Check]:
    """Who opens a socket, and how to find out later whether he still may. Raises what `authenticate` raises."""
    authenticator = service(socket, Authenticator)
    if ticket is None:
        caller = await authenticator.authenticate(socket)
        if not isinstance(caller, User):
            raise BadRequest("A service key acts for a user: name one in the header X-User-Id.")

        async def check() -> None:
            await authenticator.authenticate(socket)
    else:
        caller, until = await TicketStore(service(socket, Database)).redeem(ticket)

        async def check() -> None:
            await authenticator.check_still_valid(caller.principal, until)

        await check()
    if CHATS_READ not in caller.scopes:
        raise Forbidden(f"This needs the scope {CHATS_READ}.")
    return caller, check


async def _follow(socket: WebSocket, following: Following, check: Check) -> tuple[int, str]:
    """Sends what is new; gives the code and the reason to close with, 0 where there is nobody to tell."""
    guard = service(socket, Guard)
    async with guard.over(check) as ended:
        outcome = await first_of(_send_news(socket, following), _gone(socket), ended.wait())
    if outcome == 1:
        return 0, ""
    if following.hub.closing:
        return _RESTARTING, "The service restarts: come back with the last cursor."
    return (_OWN + Unauthorized.status, "The key or token is no longer good.") if outcome == 2 else (0, "")


async def _send_news(socket: WebSocket, following: Following) -> None:
    try:
        async with aclosing(following.news()) as stream:
            async for news in stream:
                if news.cursor is not None:
                    await _send(socket, orjson.dumps({"type": "cursor", "cursor": news.cursor}).decode())
                for change in news.changes:
                    await _send(socket, change.text)
    except TimeoutError:
        _log.info("a reader of a WebSocket was too slow", seconds=PATIENCE_SECONDS)
    except WebSocketDisconnect:
        pass


async def _send(socket: WebSocket, text: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await socket.send_text(text)


async def _gone(socket: WebSocket) -> None:
    """Until the client closes. It has nothing to say, so what it says is not looked at."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    short = reason.encode()[:_REASON_BYTES].decode(errors="ignore")
    # The client may be gone, or take nothing more: then the server closes the socket when we return.
    with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
        async with asyncio.timeout(1):
            await socket.close(code, short)


def _said_of(error: Exception) -> tuple[int, str]:
    """The code and the reason for what went wrong."""
    if isinstance(error, RequestValidationError):
        return _OWN + Unprocessable.status, Unprocessable.default_detail
    problem = error if isinstance(error, HTTPException) else problem_of(error)
    if isinstance(problem, Overloaded):
        return _TRY_AGAIN, problem.detail
    return (_OWN + problem.status_code, problem.detail) if problem is not None else (_DEFECT, "")
