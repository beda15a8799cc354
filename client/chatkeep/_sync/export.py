# Generated from chatkeep/_async/export.py by client/generate_sync.py: edit that file, then run `make format`.
"""An export as a stream: read block by block, or saved as a file."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import unquote

import httpx2

from chatkeep import http
from chatkeep._sync.methods import Sender
from chatkeep.call import Call
from chatkeep.errors import ConnectionFailed


class Export:
    """A file's bytes, in blocks: `for block in client.export(): …`, or `client.export().to_file(path)`.

    It is read once. Raises ConnectionFailed where it breaks off: what came until then is no whole file.
    """

    def __init__(self, client: Sender, call: Call[None]) -> None:
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

    def __iter__(self) -> Iterator[bytes]:
        with self:
            assert self._response is not None
            try:
                yield from self._response.iter_bytes()
            except http.NO_RESPONSE as failure:
                raise ConnectionFailed(f"{self._call.method} {self._call.path} broke off: {failure}.") from failure

    def to_file(self, path: str | Path) -> Path:
        """Writes it to a file, which appears once it is complete: until then its name ends with `.part`."""
        part = Path(f"{path}.part")
        try:
            with part.open("wb") as file:
                for block in self:
                    file.write(block)
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
