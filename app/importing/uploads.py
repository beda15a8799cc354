"""Files on their way in: kept on disk as they arrive, within the limit, never in memory whole."""

import asyncio
import errno
import hashlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from app.archive_formats.source import Source
from app.http.errors import BadRequest, BodyTooLarge, StorageFull, UnsupportedMediaType
from app.importing.archives import expanded, is_archive

MAX_FILES = 1000
_WRITTEN_AT_ONCE = 1024 * 1024
_NAMED = 200
_TAKEN = frozenset(
    {
        "",
        "application/json",
        "application/jsonl",
        "application/jsonlines",
        "application/ndjson",
        "application/octet-stream",
        "application/x-jsonlines",
        "application/x-ndjson",
        "application/x-zip-compressed",
        "application/zip",
        "text/json",
        "text/plain",
    }
)


@dataclass(slots=True)
class Upload:
    """The files of a request: each with the name that it came with."""

    files: list[tuple[str, BinaryIO]] = field(default_factory=list)

    def sha256(self) -> str:
        """What tells these files from others."""
        digest = hashlib.sha256()
        for name, file in self.files:
            file.seek(0)
            digest.update(f"{name}\0{Source(name, file).sha256()}\0".encode())
        return digest.hexdigest()

    def sources(self, closing: ExitStack, limit: int) -> list[Source]:
        """The files to be read; of an archive those in it, which may have `limit` bytes in all.

        Raises BadRequest (400) and BodyTooLarge (413).
        """
        found: list[Source] = []
        for name, file in self.files:
            if is_archive(file):
                inside = expanded(name, file, closing, limit)
                limit -= inside.size
                found += inside.sources
            else:
                found.append(Source(name, file))
        return found


@asynccontextmanager
async def uploaded(request: Request, limit: int) -> AsyncIterator[Upload]:
    """The files that a request brings, until this is left: its body, or the files of a form.

    Raises BadRequest (400), BodyTooLarge (413), UnsupportedMediaType (415) and StorageFull (507).
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    upload = Upload()
    with ExitStack() as closing:
        try:
            if media_type == "multipart/form-data":
                await _form(request, limit, upload, closing)
            elif media_type in _TAKEN or media_type.endswith("+json"):
                await _body(request, limit, upload, closing)
            else:
                raise UnsupportedMediaType(
                    "Send JSON, JSON Lines or a zip with Content-Type: application/octet-stream, or files as "
                    "multipart/form-data."
                )
        except OSError as error:
            raise full(error) from error
        yield upload


def full(error: OSError) -> Exception:
    """What an error of the disk means for the caller: that it is full, or else a defect."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull("The disk for temporary files is full; nothing was stored.")
    return error


async def _body(request: Request, limit: int, upload: Upload, closing: ExitStack) -> None:
    file = cast(BinaryIO, closing.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115 - it is closed with others
    waiting: list[bytes] = []
    size = 0
    async for chunk in _within(request, limit):
        waiting.append(chunk)
        size += len(chunk)
        if size >= _WRITTEN_AT_ONCE:
            await asyncio.to_thread(file.write, b"".join(waiting))
            waiting, size = [], 0
    await asyncio.to_thread(file.write, b"".join(waiting))
    await asyncio.to_thread(file.flush)
    upload.files.append(("body", file))


async def _form(request: Request, limit: int, upload: Upload, closing: ExitStack) -> None:
    parser = MultiPartParser(
        Headers(scope=request.scope), _within(request, limit), max_files=MAX_FILES, max_fields=MAX_FILES
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BadRequest(f"The form cannot be read: {error.message}") from None
    for _, part in form.multi_items():
        if isinstance(part, UploadFile):
            closing.callback(part.file.close)
            upload.files.append((_name(part.filename), part.file))
    if not upload.files:
        raise BadRequest("There is no file in the form: a part of it needs a filename.")


async def _within(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if chunk:
            yield chunk


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than {limit} bytes.")


def _name(given: str | None) -> str:
    """A file's name, fit to be shown."""
    shown = "".join(character for character in given or "" if character.isprintable())
    return shown[:_NAMED] or "file"
