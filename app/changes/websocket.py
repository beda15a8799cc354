"""The feed of changes by WebSocket. Errors are told by the close code, since a browser sees no HTTP status there."""

import asyncio
import time
import traceback
from contextlib import aclosing, suppress
from functools import partial

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.auth.authenticator import Authenticator
from app.auth.caller import CHATS_READ, Caller, User
from app.auth.dependencies import authorization_check
from app.changes.change_stream import ChangeStream
from app.changes.schemas import SocketQuery
from app.changes.tickets import TicketStore
from app.db.database import Database
from app.events.stream_authorizer import AuthorizationCheck, StreamAuthorizer
from app.events.streams import SEND_TIMEOUT_SECONDS, first_completed, wait_for_disconnect
from app.http.database_errors import problem_of
from app.http.errors import BadRequest, Forbidden, Overloaded, Unauthorized, Unprocessable
from app.http.query import QueryReader
from app.http.services import service

# The base of our codes, to which the HTTP status is added (RFC 6455, 7.4.2 leaves 4000 to 4999 to applications).
_STATUS_BASE = 4000
_DEFECT, _RESTARTING, _TRY_AGAIN = 1011, 1012, 1013
_REASON_BYTES = 123

_log = structlog.get_logger("chatkeep.events")
_query = QueryReader(SocketQuery)


async def serve(socket: WebSocket) -> None:
    """Sends changes until the client disconnects, loses its rights or is too slow, or the service stops."""
    began = time.perf_counter()
    caller: Caller | None = None
    code, reason = _DEFECT, ""
    await socket.accept()
    try:
        query = _query.read(socket)
        caller, check = await _caller(socket, query.ticket)
        stream = await ChangeStream.open(socket, caller.user_id, query.since, query.chat)
        code, reason = await _follow(socket, stream, check)
    except Exception as error:  # noqa: BLE001 - whatever it was, the client is told by the code
        code, reason = _close_code(error)
        if code == _DEFECT:
            # As for requests: the error's type and where it was raised, never its message.
            location = "".join(traceback.format_tb(error.__traceback__))
            _log.error("defect", error=type(error).__name__, traceback=location)
    finally:
        if code:
            await _close(socket, code, reason)
        milliseconds = round((time.perf_counter() - began) * 1000, 2)
        principal = caller.principal if caller else None
        _log.info("websocket", route="/ws", code=code or None, milliseconds=milliseconds, caller=principal)


async def _caller(socket: WebSocket, ticket: str | None) -> tuple[User, AuthorizationCheck]:
    """The caller of a socket, and the check whether it may go on. Raises what `authenticate` raises."""
    authenticator = service(socket, Authenticator)
    if ticket is None:
        caller = await authenticator.authenticate(socket)
        if not isinstance(caller, User):
            raise BadRequest("A service key acts for a user: name one in the header X-User-Id.")
        check = authorization_check(socket)
    else:
        caller, until = await TicketStore(service(socket, Database)).redeem(ticket)
        check = partial(authenticator.check_still_valid, caller.principal, until)
        await check()
    if CHATS_READ not in caller.scopes:
        raise Forbidden(f"This needs the scope {CHATS_READ}.")
    return caller, check


async def _follow(socket: WebSocket, stream: ChangeStream, check: AuthorizationCheck) -> tuple[int, str]:
    """Sends changes to the end; gives the code and the reason to close with, 0 where no client is left to tell."""
    async with service(socket, StreamAuthorizer).watch(check) as must_end:
        sending, disconnect = _send_changes(socket, stream), wait_for_disconnect(socket.receive)
        outcome = await first_completed(sending, disconnect, must_end.wait())
    if outcome == 1:
        return 0, ""
    if stream.pubsub.closing:
        return _RESTARTING, "The service restarts: come back with the last cursor."
    return (_STATUS_BASE + Unauthorized.status, "The key or token is no longer good.") if outcome == 2 else (0, "")


async def _send_changes(socket: WebSocket, stream: ChangeStream) -> None:
    try:
        async with aclosing(stream.batches()) as batches:
            async for batch in batches:
                if batch.cursor is not None:
                    await _send(socket, orjson.dumps({"type": "cursor", "cursor": batch.cursor}).decode())
                for change in batch.changes:
                    await _send(socket, change.text)
    except TimeoutError:
        _log.info("a reader of a WebSocket was too slow, and was disconnected", seconds=SEND_TIMEOUT_SECONDS)
    except WebSocketDisconnect:
        pass


async def _send(socket: WebSocket, text: str) -> None:
    async with asyncio.timeout(SEND_TIMEOUT_SECONDS):
        await socket.send_text(text)


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    cut_reason = reason.encode()[:_REASON_BYTES].decode(errors="ignore")
    # The client may have gone, or read nothing more: then the server closes the socket when we return.
    with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
        async with asyncio.timeout(1):
            await socket.close(code, cut_reason)


def _close_code(error: Exception) -> tuple[int, str]:
    """The close code and the reason for an error."""
    if isinstance(error, RequestValidationError):
        return _STATUS_BASE + Unprocessable.status, Unprocessable.default_detail
    problem = error if isinstance(error, HTTPException) else problem_of(error)
    if isinstance(problem, Overloaded):
        return _TRY_AGAIN, problem.detail
    return (_STATUS_BASE + problem.status_code, problem.detail) if problem is not None else (_DEFECT, "")
