"""The routes of the document, and a user who sends to them what no client should."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.callers import Json, openai_error, problem
from tests.document import OPERATIONS, Operation

LIMIT = 200_000
# Every route that takes a body: a new one enters by itself.
ROUTES = [route for route in OPERATIONS if route.takes_body]
every_route = pytest.mark.parametrize("route", ROUTES, ids=str)
JSON = {"Content-Type": "application/json"}
CHAT: Json = {"conversation": [{"role": "user", "content": "x"}]}


@dataclass
class Ann:
    """A user with a chat of one message."""

    client: httpx2.AsyncClient
    chat_id: str
    message: str = "1"

    def path(self, route: Operation) -> str:
        """The path of a route, for the chat and the message that are there."""
        path = route.path.replace("{chat}", self.chat_id).replace("{message}", self.message)
        path = path.replace("{conversation}", f"conv_{self.chat_id.replace('-', '')}").replace("{item}", "msg_1")
        return path.replace("{key_id}", self.chat_id)

    async def send(self, route: Operation, body: bytes) -> httpx2.Response:
        """Sends a body as it is, said to be JSON."""
        return await self.client.request(route.method, self.path(route), content=body, headers=JSON)


def refused(route: Operation, answer: httpx2.Response, status: int) -> None:
    """Fails unless a route refused what it was sent, in the shape of its errors."""
    if route.is_openais:
        openai_error(answer, 400 if status == 422 else status)
    else:
        problem(answer, status)


class Body:
    """What a client sends after the headers, counted as it is read."""

    def __init__(self, chunk: bytes) -> None:
        self.chunk = chunk
        self.read = 0

    async def __call__(self) -> Json:
        self.read += len(self.chunk)
        return {"type": "http.request", "body": self.chunk, "more_body": True}


async def asked(
    app: FastAPI, method: str, path: str, headers: dict[str, str], body: Callable[[], Awaitable[Json]], query: str = ""
) -> int:
    """The status that a request is answered with, however endless its body and its answer are."""
    statuses: list[int] = []

    async def send_(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("chatkeep.test", 80),
    }
    await app(scope, body, send_)
    (status,) = statuses
    return status
