"""Server-Sent Events: their encoding, the response, and its OpenAPI document.

See https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.events.stream_authorizer import AuthorizationCheck, StreamAuthorizer
from app.events.streams import SEND_TIMEOUT_SECONDS, first_completed, wait_for_disconnect
from app.http.database_errors import problem_of
from app.http.errors import Gone

_log = structlog.get_logger("chatkeep.events")
_HEADERS = {
    "Cache-Control": "no-store",
    # nginx would collect events until they fill a buffer.
    "X-Accel-Buffering": "no",
}
_STRING = {"type": "string"}
_EVENT_SCHEMA = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {"id": _STRING, "event": _STRING, "data": {**_STRING, "contentMediaType": "application/json"}},
}
# How long a client waits before it reconnects, in milliseconds.
_RETRY = b"retry: 1000\n\n"
# A comment: clients ignore it.
KEEP_ALIVE = b": still here\n\n"
# Larger bodies are sent in parts, each after the one before has left, so that little waits in memory for a slow client.
PART_BYTES = 65536


def encode_event(event_id: bytes, name: bytes, data: bytes) -> bytes:
    """One event. Its data is JSON, and so has no line break."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id, name, data)


class EventStream(Response):
    """A response of events, until the client disconnects, loses its rights or is too slow, or the service stops."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes], authorizer: StreamAuthorizer, check: AuthorizationCheck) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(_HEADERS)
        self._events = events
        self._authorizer = authorizer
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response (ASGI)."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with self._authorizer.watch(self._check) as must_end:
            outcome = await first_completed(self._send_events(send), wait_for_disconnect(receive), must_end.wait())
        if outcome != 1:
            # A regular end of the body tells the client to come back. A slow client sees the connection close.
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_events(self, send: Send) -> None:
        await _send(send, _RETRY)
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    for start in range(0, len(event), PART_BYTES):
                        await _send(send, event[start : start + PART_BYTES])
        except TimeoutError:
            _log.info("a reader of events was too slow, and was disconnected", seconds=SEND_TIMEOUT_SECONDS)
        except Gone:
            # The client gets that status when it comes back.
            pass
        except Exception as error:
            if problem_of(error) is None:
                raise
            _log.warning("the database failed", error=type(error).__name__)


def documented_events(example: str, description: str) -> dict[int | str, Any]:
    """The OpenAPI `responses` of a route that answers with events, each event described as OpenAPI 3.2 does."""
    content = {"text/event-stream": {"itemSchema": _EVENT_SCHEMA, "example": example}}
    return {200: {"description": description, "content": content}}


def last_event_id_parameter(overrides: str) -> dict[str, Any]:
    """The OpenAPI parameter `Last-Event-ID` of a route, which takes precedence over the query parameter `overrides`."""
    return {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "description": f"The `id` of the last event that was seen. It goes before `{overrides}`; "
        "browsers send it by themselves.",
        "schema": {"type": "string", "maxLength": 1024},
    }


async def _send(send: Send, body: bytes) -> None:
    async with asyncio.timeout(SEND_TIMEOUT_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": True})
