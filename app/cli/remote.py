"""The service that a command asks: one that runs somewhere, or one inside this process, on the database itself.

Both are asked over the same HTTP API, and so by the same rules.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import httpx2
import orjson
import typer

from app.cli.database import failed, read_settings
from app.cli.in_process import BASE_URL, served
from app.cli.terminal import shown

T = TypeVar("T")
Query = Mapping[str, Any]

CONNECT_SECONDS = 10
ANSWER_SECONDS = 60
BUSY_SECONDS = 600
OVERLOADED = 503

Url = Annotated[
    str | None,
    typer.Option(
        envvar="CHATKEEP_URL",
        help="A running service, such as http://127.0.0.1:8000. Without it: the database of the settings itself.",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(envvar="CHATKEEP_KEY", help="An API key or token for that service; others may see it in an option."),
]
Local = Annotated[bool, typer.Option("--local", help="Straight on the database, even if there is a CHATKEEP_URL.")]
User = Annotated[str | None, typer.Option(help="For whom: the user that a service key, or the database, is asked for.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@dataclass(frozen=True)
class Target:
    """Whom a command asks, and for which user. Raises typer.BadParameter where that cannot be."""

    url: str | None
    key: str | None
    local: bool
    user: str | None

    def __post_init__(self) -> None:
        if not self.is_local and not self.key:
            raise typer.BadParameter("a service is asked with a key: --key, or CHATKEEP_KEY")

    @property
    def is_local(self) -> bool:
        """Whether it is the database itself."""
        return self.local or not self.url

    def needs_user(self, *others: object) -> None:
        """Raises typer.BadParameter where it is the database, and neither a user nor any of `others` was named."""
        if self.is_local and not self.user and not any(others):
            raise typer.BadParameter("the database has many users: say --user" + (" or --all" if others else ""))


class Service:
    """What commands ask. Every answer but a good one ends the command with a line that says why."""

    def __init__(self, client: httpx2.AsyncClient, response_seconds: float | None) -> None:
        self._client = client
        self._response_seconds = response_seconds

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON of an answer. While the service says that it is busy, as with an index, it is asked again."""
        until = time.monotonic() + BUSY_SECONDS
        while True:
            async with self._answer("GET", path, query, self._response_seconds) as answer:
                wait = answer.headers.get("Retry-After", "")
                if answer.status_code != OVERLOADED or not wait.isdecimal() or time.monotonic() > until:
                    return await content(answer)
            await asyncio.sleep(min(int(wait), ANSWER_SECONDS))

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, query: Query, seconds: float | None = None, **body: Any
    ) -> AsyncIterator[httpx2.Response]:
        """A good answer, whose body is still to be read. `seconds` is how long it may be silent."""
        async with self._answer(method, path, query, seconds, **body) as answer:
            await _check(answer)
            yield answer

    def _answer(
        self, method: str, path: str, query: Query, seconds: float | None, **body: Any
    ) -> AbstractAsyncContextManager[httpx2.Response]:
        said = {name: value for name, value in query.items() if value not in (None, False, [], ())}
        timeout = httpx2.Timeout(seconds, connect=CONNECT_SECONDS)
        return self._client.stream(method, path, params=said, timeout=timeout, **body)


async def content(answer: httpx2.Response) -> Any:
    """The JSON of an answer. Ends the command where it is no good one, or no JSON."""
    await _check(answer)
    try:
        return orjson.loads(await answer.aread())
    except orjson.JSONDecodeError:
        raise failed(_strange(answer)) from None


async def _check(answer: httpx2.Response) -> None:
    if not answer.is_success:
        await answer.aread()
        raise failed(complaint(answer))


def _strange(answer: httpx2.Response) -> str:
    return f"What answers at {answer.request.url.copy_with(query=None)} is no Chatkeep: {answer.status_code}"


def complaint(answer: httpx2.Response) -> str:
    """What an answer that is not good says, in one line."""
    try:
        problem = orjson.loads(answer.content)
        said = [problem["detail"], *(f"{one['loc'][-1]}: {one['msg']}" for one in problem.get("errors", ()))]
        return shown(f"{problem['title']} ({answer.status_code}): {' '.join(said)}")
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return _strange(answer)


@asynccontextmanager
async def _reached(target: Target) -> AsyncIterator[Service]:
    if target.is_local:
        async with served(read_settings()) as (transport, key), _client(BASE_URL, key, target, transport) as client:
            # Nobody is spared anything by compression here.
            client.headers["Accept-Encoding"] = "identity"
            yield Service(client, None)
    else:
        async with _client(target.url or "", target.key or "", target, None) as client:
            yield Service(client, ANSWER_SECONDS)


def _client(url: str, key: str, target: Target, transport: httpx2.AsyncBaseTransport | None) -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {key}"} | ({"X-User-Id": quote(target.user, safe="")} if target.user else {})
    try:
        return httpx2.AsyncClient(base_url=url, headers=headers, transport=transport)
    except (httpx2.InvalidURL, UnicodeEncodeError):
        raise typer.BadParameter("the URL or the key has characters that none can have") from None


def ask(target: Target, work: Callable[[Service], Awaitable[T]]) -> T:
    """Runs `work` with the service; whatever keeps it from answering ends the command with a line and exit code 1."""

    async def reach_and_work() -> T:
        async with _reached(target) as service:
            return await work(service)

    try:
        return asyncio.run(reach_and_work())
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL):
        raise typer.BadParameter("--url is the address of a service, such as http://127.0.0.1:8000") from None
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise failed(f"Nothing answers at {target.url}: {error}") from None
    except httpx2.TimeoutException:
        raise failed(f"The service at {target.url} has not answered within {ANSWER_SECONDS} seconds.") from None
    except httpx2.HTTPError as error:
        raise failed(f"The connection broke off: {str(error) or type(error).__name__}") from None
    except BrokenPipeError:
        # Whoever read our output has enough. What Python would still flush at its end goes nowhere.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None


def as_json(value: Any) -> str:
    """JSON for people and programs."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
