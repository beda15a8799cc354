"""The request middleware: a request id, a log line, and a response to what nobody handled.

Pure ASGI, and only this one: a `BaseHTTPMiddleware` alone cost more than half of the throughput.
"""

import re
import time
import traceback
from urllib.parse import unquote

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from app.http.errors import handle_http_exception

_log = structlog.get_logger("chatkeep.http")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~-]{1,128}")

# Stands in a decoded path for a slash that was percent-encoded. Decoding gives no lone surrogates: it is nothing else.
ENCODED_SLASH = "\udc2f"


class RequestMiddleware:
    """Gives each request an id, answers it in `X-Request-Id`, and logs one line when it is answered.

    The line has the route's template, not its path: a key in it may name a person. No token and no content is logged.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _given_id(scope) or str(uuid7()).encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        raw_path: bytes = scope.get("raw_path") or b""
        if b"%2F" in raw_path or b"%2f" in raw_path:
            # A key may have a slash; decoded, it would look like two segments of the path.
            # In a copy: the server logs the path of its own.
            scope = {**scope, "path": unquote(re.sub("%2[fF]", ENCODED_SLASH, raw_path.decode("ascii")))}
        status = 500
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            # The type and the place of a defect, never its message: a database's messages repeat what was written.
            where = "".join(traceback.format_tb(error.__traceback__))
            _log.error("defect", request_id=request_id.decode(), error=type(error).__name__, traceback=where)
            if started:
                raise
            await (await handle_http_exception(Request(scope), error))(scope, receive, send_with_id)
        finally:
            state = scope["state"]
            caller = state.get("caller")
            _log.info(
                "request",
                request_id=state["request_id"],
                method=scope["method"],
                route=getattr(scope.get("route"), "path", None),
                status=status,
                milliseconds=round((time.perf_counter() - began) * 1000, 2),
                caller=caller.principal if caller else None,
            )


def _given_id(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value if _REQUEST_ID.fullmatch(value) else None
    return None
