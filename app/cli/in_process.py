"""The service inside this process, served on a Unix socket, for commands that work straight on the database."""

import asyncio
import contextlib
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import uvicorn
from pydantic import SecretStr
from sqlalchemy.exc import DatabaseError
from starlette.types import ASGIApp

from app.cli.database import failure, open_database
from app.db import migrations
from app.db.database import kind_of
from app.db.sqlite import path
from app.http import logs
from app.main import create_app
from app.settings import Settings

BASE_URL = "http://chatkeep.invalid"


@asynccontextmanager
async def local_service(settings: Settings) -> AsyncIterator[tuple[httpx2.AsyncBaseTransport, str]]:
    """A transport to the service of these settings, and an admin key that only this process knows.

    The service logs nothing, unless the settings ask for the level `debug`.
    Exits with one line where the database is not there, cannot be opened or has another schema.
    """
    await _check(settings)
    key = secrets.token_urlsafe(32)
    app = create_app(settings.model_copy(update={"admin_key": SecretStr(key)}), background=False)
    if settings.log_level != "debug":
        logs.silence()
    async with app.router.lifespan_context(app), socket_transport(app) as transport:
        yield transport, key


async def _check(settings: Settings) -> None:
    url = settings.effective_database_url
    with contextlib.suppress(ValueError):  # opening it says what is wrong with it
        if kind_of(url) == "sqlite" and not path(url).exists():
            raise failure(f"There is no database at {path(url)}: chatkeep migrate makes one.")
    async with open_database(settings) as db:
        try:
            current = await migrations.is_current(db)
        except DatabaseError as error:
            raise failure(f"The database cannot be read: {error.orig}") from None
        if not current:
            raise failure("The schema of the database is not the one of this version: chatkeep migrate, first.")


@asynccontextmanager
async def socket_transport(app: ASGIApp) -> AsyncIterator[httpx2.AsyncBaseTransport]:
    """A transport to an ASGI application, served by uvicorn on a Unix socket in this event loop.

    A socket, since httpx2's ASGITransport collects a response before it gives it: bodies are streamed both ways here.
    Requests that are under way at the end are cancelled. Exits with one line where no socket can be made.
    """
    config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, access_log=False, proxy_headers=False)
    server = uvicorn.Server(config)
    async with contextlib.AsyncExitStack() as stack:
        try:
            # Its mode is 0700: nobody else gets at the socket.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chatkeep-"))
            config.uds = f"{folder}/socket"
            config.load()
            server.lifespan = config.lifespan_class(config)
            # Not `serve`, which takes Ctrl-C for itself.
            await server.startup()
        except OSError as error:
            raise failure(f"No socket can be made in the folder for temporary files: {error}") from None
        stack.push_async_callback(_stop, server)
        # There is no TLS here: to load the certificates would take a tenth of a second.
        yield await stack.enter_async_context(httpx2.AsyncHTTPTransport(uds=config.uds, verify=False))


async def _stop(server: uvicorn.Server) -> None:
    """Ends a server now, whatever it is doing: the command has got its response, or was interrupted."""
    for listener in server.servers:
        listener.close()
    tasks = list(server.server_state.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
