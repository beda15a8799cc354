"""Files as the body of a request: one as it is, several as a form. They are read in blocks, anew for each attempt."""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

Source = str | Path | bytes
"""A file: its path, or what is in it."""

BLOCK = 64 * 1024


class Upload:
    """Files as a body. Its `headers` say what it is. Raises OSError for a file that is not there."""

    def __init__(self, files: Sequence[Source]) -> None:
        if len(files) == 1:
            [file] = files
            self._parts: list[bytes | Path] = [_part(file)]
            media_type = "application/octet-stream"
        else:
            boundary = uuid4().hex
            self._parts = []
            for number, file in enumerate(files, 1):
                self._parts += [_begin(boundary, _name(file, number)), _part(file), b"\r\n"]
            self._parts.append(f"--{boundary}--\r\n".encode())
            media_type = f"multipart/form-data; boundary={boundary}"
        size = sum(len(part) if isinstance(part, bytes) else part.stat().st_size for part in self._parts)
        self.headers = {"Content-Type": media_type, "Content-Length": str(size)}

    def blocks(self) -> Iterator[bytes]:
        """The bytes of the body."""
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
            else:
                with part.open("rb") as file:
                    while block := file.read(BLOCK):
                        yield block

    async def async_blocks(self) -> AsyncIterator[bytes]:
        """The same, with the files read in another thread."""
        import asyncio

        blocks = self.blocks()
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            yield block


def _part(file: Source) -> bytes | Path:
    return file if isinstance(file, bytes) else Path(file)


def _name(file: Source, number: int) -> str:
    # In a header: what would end it, or the quotes, is percent-encoded, as browsers do.
    name = f"file-{number}" if isinstance(file, bytes) else Path(file).name
    return re.sub(r'["\r\n]', lambda found: f"%{ord(found.group()):02X}", name)


def _begin(boundary: str, name: str) -> bytes:
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
