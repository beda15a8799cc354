"""An export as a stream: read block by block, or saved as a file."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self
from urllib.parse import unquote

import httpx2

from chatkeep import http
from chatkeep._async.methods import AsyncSender
from chatkeep.call import Call
from chatkeep.errors import ConnectionFailed


class AsyncExport:
    """A file's bytes, in blocks: `async for block in client.export(): …`, or `await client.export().to_file(path)`.

    It is read once. Raises ConnectionFailed where it breaks off: what came until then is no whole file.
    """

    def __init__(self, client: AsyncSender, call: Call[None]) -> None:
        self._client = client
        self._call = call
        self._response: httpx2.Response | None = None

    @property
    def filename(self) -> str | None:
        """The name that the service gives the file; None before it is open."""
        header = "" if self._response is None else self._response.headers.get("content-disposition", "")
        if match := re.search(r"filename\*=UTF-8''([^;]+)", header):
            return unquote(match[1])
        return match[1] if (match := re.search(r'filename="([^"]+)"', header)) else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with self:
            assert self._response is not None
            try:
                async for block in self._response.aiter_bytes():
                    yield block
            except http.NO_RESPONSE as failure:
                raise ConnectionFailed(f"{self._call.method} {self._call.path} broke off: {failure}.") from failure

    async def to_file(self, path: str | Path) -> Path:
        """Writes it to a file, which appears once it is complete: until then its name ends with `.part`."""
        part = Path(f"{path}.part")
        try:
            with await asyncio.to_thread(part.open, "wb") as file:
                async for block in self:
                    await asyncio.to_thread(file.write, block)
            return await asyncio.to_thread(part.replace, path)
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    async def aclose(self) -> None:
        """Closes its connection."""
        if self._response is not None:
            await self._response.aclose()

    async def __aenter__(self) -> Self:
        if self._response is None:
            self._response = await self._client.open(self._call)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()
