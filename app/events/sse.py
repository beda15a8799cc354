"""Server-Sent Events, and a feed as such (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.events.stream_authorizer import Check, Guard
from app.events.streams import PATIENCE_SECONDS, first_of
from app.http.database_errors import problem_of
from app.http.errors import Gone

_log = structlog.get_logger("chatkeep.live")
_HEADERS = {
    "Cache-Control": "no-store",
    # nginx would collect events until they fill a buffer.
    "X-Accel-Buffering": "no",
}
_EVENT_SCHEMA = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "id": {"type": "string"},
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
# How long a client waits before it comes back, in milliseconds.
_RETRY = b"retry: 1000\n\n"
SIGN_OF_LIFE = b": still here\n\n"
# More is written in parts, each only when the one before has left: what waits for a slow reader stays small.
PART_BYTES = 65536


class EventStream(Response):
    """Events until the client goes, may not listen any more, is too slow, or the service stops."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes], guard: Guard, check: Check) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(_HEADERS)
        self._events = events
        self._guard = guard
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response (ASGI)."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with self._guard.over(self._check) as ended:
            outcome = await first_of(self._send_events(send), _gone(receive), ended.wait())
        if outcome != 1:
            # The end of the body: the client sees that it was meant, and comes back. A slow one sees the socket close.
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_events(self, send: Send) -> None:
        await _send(send, _RETRY)
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    for at in range(0, len(event), PART_BYTES):
                        await _send(send, event[at : at + PART_BYTES])
        except TimeoutError:
            _log.info("a reader of events was too slow", seconds=PATIENCE_SECONDS)
        except Gone:
            # It is told so when it comes back.
            pass
        except Exception as error:
            if problem_of(error) is None:
                raise
            _log.warning("the database failed", error=type(error).__name__)


def documented_events(example: str, description: str) -> dict[int | str, Any]:
    """What a route that answers with events says of that in the OpenAPI document, each event as OpenAPI 3.2 has it."""
    content = {"text/event-stream": {"itemSchema": _EVENT_SCHEMA, "example": example}}
    return {200: {"description": description, "content": content}}


async def _send(send: Send, body: bytes) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
