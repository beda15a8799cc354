"""An export as it comes: to be read block by block, or kept as a file."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self
from urllib.parse import unquote

import httpx2

from chatkeep import wire
from chatkeep.errors import ConnectionFailed
from chatkeep.request import Call
from chatkeep.resources.sending import AsyncSender, Sender


class _Exported:
    """An answer that is a file."""

    def __init__(self, call: Call[None]) -> None:
        self._call = call
        self._response: httpx2.Response | None = None

    @property
    def filename(self) -> str | None:
        """What the service calls the file; None before it is open."""
        said = "" if self._response is None else self._response.headers.get("content-disposition", "")
        if found := re.search(r"filename\*=UTF-8''([^;]+)", said):
            return unquote(found[1])
        return found[1] if (found := re.search(r'filename="([^"]+)"', said)) else None

    def _broken(self, failure: httpx2.RequestError) -> ConnectionFailed:
        return ConnectionFailed(f"{self._call.method} {self._call.path} broke off: {failure}.")


class Export(_Exported):
    """A file's bytes, in blocks: `for block in client.export(): …`, or `client.export().to_file(path)`.

    It is read once. Raises ConnectionFailed where it breaks off: what came until then is no whole file.
    """

    def __init__(self, client: Sender, call: Call[None]) -> None:
        super().__init__(call)
        self._client = client

    def __iter__(self) -> Iterator[bytes]:
        with self:
            assert self._response is not None
            try:
                yield from self._response.iter_bytes()
            except wire.NO_ANSWER as failure:
                raise self._broken(failure) from failure

    def to_file(self, path: str | Path) -> Path:
        """Writes it to a file, which is there once it is whole: until then it ends with `.part`."""
        part = Path(f"{path}.part")
        try:
            with part.open("wb") as file:
                file.writelines(self)
            return part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def close(self) -> None:
        """Closes its connection."""
        if self._response is not None:
            self._response.close()

    def __enter__(self) -> Self:
        if self._response is None:
            self._response = self._client.open(self._call)
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class AsyncExport(_Exported):
    """The same for `async for`, `async with` and `await client.export().to_file(path)`."""

    def __init__(self, client: AsyncSender, call: Call[None]) -> None:
        super().__init__(call)
        self._client = client

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with self:
            assert self._response is not None
            try:
                async for block in self._response.aiter_bytes():
                    yield block
            except wire.NO_ANSWER as failure:
                raise self._broken(failure) from failure

    async def to_file(self, path: str | Path) -> Path:
        """Writes it to a file, which is there once it is whole: until then it ends with `.part`."""
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
