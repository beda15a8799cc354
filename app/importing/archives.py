"""Zip archives: unpacked to temporary files, with limits on what they really inflate to. No header is trusted."""

import re
import stat
import tempfile
import zipfile
import zlib
from contextlib import ExitStack
from typing import BinaryIO, cast

from app.archive_formats.source_file import SourceFile
from app.http.errors import BadRequest, BodyTooLarge

MAX_ENTRIES = 10_000
# The most times its size that an archive may inflate to, beyond the free bytes. Archives of JSON get to 30 or so.
MAX_RATIO = 200
FREE_BYTES = 32 * 1024 * 1024
# zipfile reads the list of entries at once.
_MAX_READ_BYTES = 8 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024

_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_CONVERSATIONS = re.compile(r"(?:.*/)?conversations[^/]*\.json", re.IGNORECASE)
_JSON = re.compile(r"(?!__MACOSX/)(?:.*/)?[^/.][^/]*\.(?:json|jsonl|ndjson)", re.IGNORECASE)
_FAILURES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError)


class _LimitedReader:
    """A file that refuses long reads."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if size > _MAX_READ_BYTES:
            raise zipfile.BadZipFile("its list of entries is too long")
        return self._file.read(size)

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError:
            raise zipfile.BadZipFile("an entry of it is nowhere") from None

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        """Whoever opened the file closes it."""


def is_archive(file: BinaryIO) -> bool:
    """Whether a file begins as a zip does."""
    file.seek(0)
    return file.read(4) in _MAGIC


def unpack(name: str, file: BinaryIO, stack: ExitStack, limit: int) -> tuple[list[SourceFile], int]:
    """The files to import of an archive: its `conversations….json`, or else every JSON file of a known format.

    Gives them and their total size in bytes, `limit` at most. They are temporary files, closed with `stack`. Raises
    BadRequest (400) for an archive that is broken or has suspicious entries, and BodyTooLarge (413).
    """
    size = file.seek(0, 2)
    max_size = min(limit, max(FREE_BYTES, MAX_RATIO * size))
    try:
        with zipfile.ZipFile(cast(BinaryIO, _LimitedReader(file))) as archive:
            entries = archive.infolist()
            _check(name, entries)
            selected = [entry for entry in entries if _CONVERSATIONS.fullmatch(entry.filename)]
            optional = not selected
            selected = selected or [entry for entry in entries if _JSON.fullmatch(entry.filename)]
            if not selected:
                raise BadRequest(f"There is no JSON file in {name}; archives in archives are not opened.")
            sources: list[SourceFile] = []
            total = 0
            for entry in sorted(selected, key=lambda entry: entry.filename):
                unpacked = cast(BinaryIO, stack.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115 - closed with the stack
                with archive.open(entry) as packed:
                    while chunk := packed.read(_CHUNK_BYTES):
                        total += len(chunk)
                        if total > max_size:
                            raise BodyTooLarge(f"{name} inflates to more than {max_size} bytes.")
                        unpacked.write(chunk)
                unpacked.flush()
                if is_archive(unpacked):
                    raise BadRequest(f"An entry of {name} is an archive itself.")
                sources.append(SourceFile(printable(entry.filename)[-200:], unpacked, optional=optional))
    except _FAILURES as error:
        # Some messages repeat the name of an entry, which may be anything.
        reason = printable(str(error)[:200]) or type(error).__name__
        raise BadRequest(f"The archive {name} is broken, or not one that can be read: {reason}") from None
    return sources, total


def _check(name: str, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise BodyTooLarge(f"{name} has more than {MAX_ENTRIES} entries.")
    for entry in entries:
        path = entry.orig_filename
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadRequest(f"{name} is compressed in a way that is not known here.")
        if entry.flag_bits & 0x1:
            raise BadRequest(f"{name} is encrypted.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise BadRequest(f"{name} has a link in it.")
        if "\\" in path or "\0" in path or path.startswith("/") or path[1:2] == ":" or ".." in path.split("/"):
            raise BadRequest(f"{name} has an entry whose name leads elsewhere.")


def printable(text: str) -> str:
    """A text without its unprintable characters."""
    return "".join(character for character in text if character.isprintable())
