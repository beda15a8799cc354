"""The service inside this process, for commands that work straight on the database: no port, no key, no log."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
from pydantic import SecretStr
from sqlalchemy.exc import DatabaseError
from starlette.types import ASGIApp, Message

from app.cli.database import failed, open_database
from app.db import migrations
from app.db.database import kind_of
from app.db.sqlite import path
from app.http import logs
from app.main import create_app
from app.settings import Settings

BASE_URL = "http://chatkeep.invalid"


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[tuple["AsgiTransport", str]]:
    """The service of these settings, and a key with every scope that only this process knows.

    It logs nothing, unless the settings ask for the level `debug`.
    Exits with a line where the database is not there, cannot be opened or has another schema.
    """
    await _check(settings)
    key = secrets.token_urlsafe(32)
    app = create_app(settings.model_copy(update={"admin_key": SecretStr(key)}), background=False)
    if settings.log_level != "debug":
        logs.silence()
    async with app.router.lifespan_context(app):
        yield AsgiTransport(app), key


async def _check(settings: Settings) -> None:
    url = settings.effective_database_url
    with contextlib.suppress(ValueError):  # opening it says what is wrong with it
        if kind_of(url) == "sqlite" and not path(url).exists():
            raise failed(f"There is no database at {path(url)}: chatkeep migrate makes one.")
    async with open_database(settings) as db:
        try:
            current = await migrations.is_current(db)
        except DatabaseError as error:
            raise failed(f"The database cannot be read: {error.orig}") from None
        if not current:
            raise failed("The schema of the database is not the one of this version: chatkeep migrate, first.")


class AsgiTransport(httpx2.AsyncBaseTransport):
    """Calls an ASGI application. Bodies are streamed both ways: httpx2's own transport collects an answer first.

    What the application raises before it answers is raised; an answer that breaks off is a RemoteProtocolError, as it
    is from a server.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer, as soon as it begins."""
        exchange = _Exchange(self._app, request)
        try:
            await exchange.begun()
        except BaseException:
            await exchange.aclose()
            raise
        return httpx2.Response(exchange.status, headers=exchange.headers, stream=exchange)


class _Exchange(httpx2.AsyncByteStream):
    """A request under way, and the body of its answer. The application waits until a part of that has been taken."""

    def __init__(self, app: ASGIApp, request: httpx2.Request) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._request_parts = aiter(cast(httpx2.AsyncByteStream, request.stream))
        self._asked = False
        self._begun = asyncio.Event()
        self._left = asyncio.Event()
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._complete = False
        self._failure: Exception | None = None
        self._task = asyncio.create_task(self._run(app, _scope(request)), name="request")

    async def begun(self) -> None:
        """Waits for the beginning of the answer; raises what the application raised before it."""
        await self._begun.wait()
        if not self.status:
            raise self._failure or httpx2.RemoteProtocolError("The service did not answer.")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self._parts.get()) is not None:
            yield part
        if not self._complete:
            raise httpx2.RemoteProtocolError("The service broke off in the middle of its answer.") from self._failure

    async def aclose(self) -> None:
        """Whoever asked has gone."""
        self._left.set()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - it is for whoever asked
            self._failure = error
        self._begun.set()
        await self._parts.put(None)

    async def _receive(self) -> Message:
        if not self._asked:
            part = await anext(self._request_parts, None)
            self._asked = part is None
            return {"type": "http.request", "body": part or b"", "more_body": part is not None}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
            self._begun.set()
            return
        if body := message.get("body"):
            await self._parts.put(bytes(body))
        self._complete |= not message.get("more_body", False)


def _scope(request: httpx2.Request) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "server": (request.url.host, request.url.port),
        "client": None,
        "root_path": "",
    }
