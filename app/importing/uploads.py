"""Uploads: the files of an import request, written to disk as they arrive, within a limit, never whole in memory."""

import asyncio
import errno
import hashlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from app.archive_formats.source_file import SourceFile
from app.http.errors import BadRequest, BodyTooLarge, StorageFull, UnsupportedMediaType
from app.importing.archives import is_archive, printable, unpack

MAX_FILES = 1000
_BUFFER_BYTES = 1024 * 1024
_MAX_NAME_LENGTH = 200
_APPLICATION_TYPES = "json jsonl jsonlines ndjson octet-stream x-jsonlines x-ndjson x-zip-compressed zip".split()
_MEDIA_TYPES = frozenset({"", "text/json", "text/plain", *(f"application/{name}" for name in _APPLICATION_TYPES)})


@dataclass(slots=True)
class Upload:
    """The files of a request, each with the name that it came with."""

    files: list[tuple[str, BinaryIO]] = field(default_factory=list)

    def sha256(self) -> str:
        """A hash of the names and contents of the files."""
        digest = hashlib.sha256()
        for name, file in self.files:
            file.seek(0)
            digest.update(f"{name}\0{SourceFile(name, file).sha256()}\0".encode())
        return digest.hexdigest()

    def sources(self, stack: ExitStack, limit: int) -> list[SourceFile]:
        """The files to import, those in archives included, which may have `limit` bytes in all.

        What is unpacked is closed with `stack`. Raises BadRequest (400) and BodyTooLarge (413).
        """
        sources: list[SourceFile] = []
        for name, file in self.files:
            if is_archive(file):
                unpacked, size = unpack(name, file, stack, limit)
                limit -= size
                sources += unpacked
            else:
                sources.append(SourceFile(name, file))
        return sources


@asynccontextmanager
async def receive_upload(request: Request, limit: int) -> AsyncIterator[Upload]:
    """The files of a request, open until this is left: its body, or the files of a form.

    Raises BadRequest (400), BodyTooLarge (413), UnsupportedMediaType (415) and StorageFull (507).
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    upload = Upload()
    with ExitStack() as stack:
        try:
            if media_type == "multipart/form-data":
                await _receive_form(request, limit, upload, stack)
            elif media_type in _MEDIA_TYPES or media_type.endswith("+json"):
                await _receive_body(request, limit, upload, stack)
            else:
                raise UnsupportedMediaType(
                    "Send JSON, JSON Lines or a zip with Content-Type: application/octet-stream, or files as "
                    "multipart/form-data."
                )
        except OSError as error:
            raise storage_error(error) from error
        yield upload


def storage_error(error: OSError) -> Exception:
    """StorageFull (507) for a full disk; else the error itself, a defect."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull("The disk for temporary files is full; nothing was stored.")
    return error


async def _receive_body(request: Request, limit: int, upload: Upload, stack: ExitStack) -> None:
    file = cast(BinaryIO, stack.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115 - closed with the stack
    buffer: list[bytes] = []
    size = 0
    async for chunk in _limited(request, limit):
        buffer.append(chunk)
        size += len(chunk)
        if size >= _BUFFER_BYTES:
            await asyncio.to_thread(file.write, b"".join(buffer))
            buffer, size = [], 0
    await asyncio.to_thread(file.write, b"".join(buffer))
    await asyncio.to_thread(file.flush)
    upload.files.append(("body", file))


async def _receive_form(request: Request, limit: int, upload: Upload, stack: ExitStack) -> None:
    parser = MultiPartParser(request.headers, _limited(request, limit), max_files=MAX_FILES, max_fields=MAX_FILES)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BadRequest(f"The form cannot be read: {error.message}") from None
    for _, part in form.multi_items():
        if isinstance(part, UploadFile):
            stack.callback(part.file.close)
            name = printable(part.filename or "")[:_MAX_NAME_LENGTH] or "file"
            upload.files.append((name, part.file))
    if not upload.files:
        raise BadRequest("There is no file in the form: a part of it needs a filename.")


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if chunk:
            yield chunk


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than {limit} bytes.")
