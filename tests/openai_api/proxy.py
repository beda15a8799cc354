"""A proxy that cuts connections: it has the service answer, and does not pass the answer on."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

# Whether the answer to a request is withheld; takes its first line and its headers, in lower case.
Cuts = Callable[[str], bool]


def first_attempts(head: str) -> bool:
    """Cuts what was not sent before."""
    return "x-stainless-retry-count: 0" in head


class Proxy:
    """Stands before a service, in a thread of its own. `cut` counts the answers that it withheld."""

    def __init__(self, base_url: str, cuts: Cuts = first_attempts) -> None:
        self._service = urlsplit(base_url)
        self._cuts = cuts
        self._listens = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.base_url = ""
        self.cut = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listens.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._listens.set()
            await self._stopping.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = [line.lower() for line in head.split("\r\n")]
            length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), 0)
            answer = await self._answer(head, await reader.readexactly(length))
            if self._cuts(head.lower()):
                assert answer.startswith(b"HTTP/1.1 2"), answer
                self.cut += 1
            else:
                writer.write(answer)
                await writer.drain()
        writer.close()

    async def _answer(self, head: str, body: bytes) -> bytes:
        assert self._service.hostname
        reader, writer = await asyncio.open_connection(self._service.hostname, self._service.port)
        said = [line for line in head.split("\r\n") if line and not line.lower().startswith("connection:")]
        # So that the answer ends where the connection does.
        writer.write("\r\n".join([*said, "Connection: close", "", ""]).encode("latin-1") + body)
        answer = await reader.read(-1)
        writer.close()
        return answer
