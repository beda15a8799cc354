"""File uploads: one file as it is, several as a multipart form. Read in blocks, anew for each attempt."""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from uuid import uuid4

FileSource = str | Path | bytes
"""A file: its path, or its content."""

BLOCK_SIZE = 64 * 1024


class Upload:
    """Files as a request body, and its `headers`. Raises OSError for a file that is not there."""

    def __init__(self, files: Sequence[FileSource]) -> None:
        if len(files) == 1:
            [file] = files
            self._parts: list[bytes | Path] = [_part(file)]
            media_type = "application/octet-stream"
        else:
            boundary = uuid4().hex
            self._parts = []
            for number, file in enumerate(files, 1):
                self._parts += [_part_headers(boundary, _filename(file, number)), _part(file), b"\r\n"]
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
                    while block := file.read(BLOCK_SIZE):
                        yield block

    async def async_blocks(self) -> AsyncIterator[bytes]:
        """The same, with the files read in another thread."""
        import asyncio

        blocks = self.blocks()
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            yield block


def _part(file: FileSource) -> bytes | Path:
    return file if isinstance(file, bytes) else Path(file)


def _filename(file: FileSource, number: int) -> str:
    # Line ends and quotes would end the header or the name: they are percent-encoded, as browsers do.
    name = f"file-{number}" if isinstance(file, bytes) else Path(file).name
    return re.sub(r'["\r\n]', lambda match: f"%{ord(match.group()):02X}", name)


def _part_headers(boundary: str, name: str) -> bytes:
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
