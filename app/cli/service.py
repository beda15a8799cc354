"""HTTP client of the command line: asks a running service, or one inside this process on the database itself.

Both are asked over the same HTTP API, and so by the same rules.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
import orjson
import typer

from app.cli.database import failure, read_settings
from app.cli.in_process import BASE_URL, local_service
from app.cli.options import ServiceOptions
from app.cli.terminal import printable

T = TypeVar("T")
QueryParams = Mapping[str, Any]

CONNECT_SECONDS = 10
RESPONSE_SECONDS = 60
BUSY_SECONDS = 600
OVERLOADED = 503


class ServiceClient:
    """HTTP client of commands. Every response but a 2xx ends the command with a line that says why."""

    def __init__(self, client: httpx2.AsyncClient, response_seconds: float | None) -> None:
        self._client = client
        self._response_seconds = response_seconds

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON of a response. While the service says that it is busy, as with an index, it is asked again."""
        until = time.monotonic() + BUSY_SECONDS
        while True:
            async with self._request("GET", path, query, self._response_seconds) as response:
                wait = response.headers.get("Retry-After", "")
                if response.status_code != OVERLOADED or not wait.isdecimal() or time.monotonic() > until:
                    return await json_body(response)
            await asyncio.sleep(min(int(wait), RESPONSE_SECONDS))

    @asynccontextmanager
    async def stream(self, method: str, path: str, query: QueryParams, **body: Any) -> AsyncIterator[httpx2.Response]:
        """A 2xx response, whose body is still to be read. It may be silent for as long as it likes."""
        async with self._request(method, path, query, None, **body) as response:
            await _require_success(response)
            yield response

    def _request(
        self, method: str, path: str, query: QueryParams, seconds: float | None, **body: Any
    ) -> AbstractAsyncContextManager[httpx2.Response]:
        params = {name: value for name, value in query.items() if value not in (None, False, [], ())}
        timeout = httpx2.Timeout(seconds, connect=CONNECT_SECONDS)
        return self._client.stream(method, path, params=params, timeout=timeout, **body)


async def json_body(response: httpx2.Response) -> Any:
    """The JSON of a response. Ends the command where it is no 2xx, or no JSON."""
    await _require_success(response)
    try:
        return orjson.loads(await response.aread())
    except orjson.JSONDecodeError:
        raise failure(_not_chatkeep(response)) from None


async def _require_success(response: httpx2.Response) -> None:
    if not response.is_success:
        await response.aread()
        raise failure(problem_line(response))


def _not_chatkeep(response: httpx2.Response) -> str:
    return f"What answers at {response.request.url.copy_with(query=None)} is no Chatkeep: {response.status_code}"


def problem_line(response: httpx2.Response) -> str:
    """What an error response says, in one line."""
    try:
        problem = orjson.loads(response.content)
        details = [problem["detail"], *(f"{error['loc'][-1]}: {error['msg']}" for error in problem.get("errors", ()))]
        return printable(f"{problem['title']} ({response.status_code}): {' '.join(details)}")
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return _not_chatkeep(response)


@asynccontextmanager
async def _service_client(options: ServiceOptions) -> AsyncIterator[ServiceClient]:
    if options.is_local:
        async with local_service(read_settings()) as (transport, key), _http_client(options, transport, key) as client:
            # Nobody is spared anything by compression here.
            client.headers["Accept-Encoding"] = "identity"
            yield ServiceClient(client, None)
    else:
        async with _http_client(options) as client:
            yield ServiceClient(client, RESPONSE_SECONDS)


def _http_client(
    options: ServiceOptions, transport: httpx2.AsyncBaseTransport | None = None, key: str | None = None
) -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {key or options.key}"}
    if options.user:
        headers["X-User-Id"] = quote(options.user, safe="")
    try:
        url = httpx2.URL((options.url if transport is None else BASE_URL) or "")
        # Without TLS the certificates are not loaded.
        return httpx2.AsyncClient(base_url=url, headers=headers, transport=transport, verify=url.scheme != "http")
    except (httpx2.InvalidURL, UnicodeEncodeError):
        raise typer.BadParameter("the URL or the key has characters that none can have") from None


def run_with_service(options: ServiceOptions, work: Callable[[ServiceClient], Awaitable[T]]) -> T:
    """Runs `work` with the service; whatever keeps it from answering ends the command with a line and exit code 1."""

    async def connect_and_work() -> T:
        async with _service_client(options) as service:
            return await work(service)

    try:
        return asyncio.run(connect_and_work())
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL):
        raise typer.BadParameter("--url is the address of a service, such as http://127.0.0.1:8000") from None
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise failure(f"Nothing answers at {options.url}: {error}") from None
    except httpx2.TimeoutException:
        raise failure(f"The service at {options.url} has not answered within {RESPONSE_SECONDS} seconds.") from None
    except httpx2.HTTPError as error:
        raise failure(f"The connection broke off: {str(error) or type(error).__name__}") from None
    except BrokenPipeError:
        # Whoever read our output has enough. What Python would still flush at its end goes nowhere.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
