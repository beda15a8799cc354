"""`chatkeep serve` and `chatkeep migrate`."""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Annotated

import typer
import uvicorn
from uvicorn.supervisors import Multiprocess

from app.auth.bootstrap import first_key
from app.cli.database import failure, open_database, read_settings
from app.db import migrations
from app.http import logs
from app.main import create_app
from app.settings import Settings

UNREAD_SECONDS = 30
UNSENT_BYTES = 128 * 1024


def migrate() -> None:
    """Bring the database's schema up to date. Safe to run again, and beside a running service."""
    settings = read_settings()
    changed, _ = asyncio.run(_prepare(settings, make_key=False))
    typer.echo("The schema was brought up to date." if changed else "The schema is current already.")


def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on, instead of CHATKEEP_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on, instead of CHATKEEP_PORT.")] = None,
    workers: Annotated[int | None, typer.Option(help="How many processes, instead of CHATKEEP_WORKERS.")] = None,
) -> None:
    """Migrate, then serve. The first start makes the data folder, the database and an admin key, and prints the key."""
    settings = read_settings()
    host, workers = host or settings.host, workers or settings.workers
    listening = _listen(host, settings.port if port is None else port)
    logs.configure(settings)
    _, key = asyncio.run(_prepare(settings, make_key=True))
    _greet(host, listening.getsockname()[1], key)
    config = uvicorn.Config(
        # A worker imports the service by this package, which is quicker at it.
        f"{__name__}:{create_app.__name__}",
        factory=True,
        workers=workers,
        # Its access log cost a quarter of the throughput; RequestMiddleware writes ours.
        access_log=False,
        log_config=None,
        server_header=False,
        # Longer than the minute that load balancers keep idle connections: who closes first resets requests.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        # Nobody has anything to say to /ws; and to compress each message for each listener anew costs too much.
        ws_max_size=65536,
        ws_per_message_deflate=False,
        proxy_headers=False,
    )
    if workers == 1:
        uvicorn.Server(config).run(sockets=[listening])
    else:
        Multiprocess(config, sockets=[listening]).run()


async def _prepare(settings: Settings, *, make_key: bool) -> tuple[bool, str | None]:
    async with open_database(settings) as db:
        changed = await migrations.upgrade(db)
        return changed, await first_key(db, settings) if make_key else None


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise failure(f"Port {port} is in use: choose another with CHATKEEP_PORT or --port.") from None
        raise failure(f"Cannot listen on {host}, port {port}: {error.strerror or error}.") from None
    listening.set_inheritable(True)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # For every connection: who takes nothing of what we sent for so long is cut off by the system (RFC 5482), which
        # alone can do it: a socket that is closed with something left to send waits for its reader.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # Otherwise the system takes megabytes for a reader that does not read.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    return listening


def _greet(host: str, port: int, key: str | None) -> None:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    address = f"http://{shown}:{port}"
    say: Callable[[str], None] = typer.echo
    say(f"Chatkeep serves on {address}, its documentation on {address}/docs")
    if key is not None:
        say(f"The admin key, shown this once: {key}")
        say("Keep your first message:")
        say(
            f"curl -X POST {address}/chats/key:hello/messages -H 'Authorization: Bearer {key}' -H 'X-User-Id: me' "
            """-H 'Content-Type: application/json' -d '{"role": "user", "content": "Hello!"}'"""
        )
