"""Zip archives, refused by what they really inflate to: what their headers say is believed nowhere."""

import re
import stat
import tempfile
import zipfile
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO, cast

from app.archive_formats.source import Source
from app.http.errors import BadRequest, BodyTooLarge

MAX_ENTRIES = 10_000
# How many times its size an archive of JSON may have in it, once that is more than a little. JSON gets to 30 or so.
MAX_RATIO = 200
LITTLE = 32 * 1024 * 1024
# The list of an archive's entries is read at once.
_LONGEST_READ = 8 * 1024 * 1024
_CHUNK = 256 * 1024

_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_CONVERSATIONS = re.compile(r"(?:.*/)?conversations[^/]*\.json", re.IGNORECASE)
_JSON = re.compile(r"(?!__MACOSX/)(?:.*/)?[^/.][^/]*\.(?:json|jsonl|ndjson)", re.IGNORECASE)
_FAILURES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Expanded:
    """The files of an archive that are to be read, and their size in all."""

    sources: list[Source]
    size: int


class _Guarded:
    """A file of which nothing long is read at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if size > _LONGEST_READ:
            raise zipfile.BadZipFile("its list of entries is too long")
        return self._file.read(size)

    def seekable(self) -> bool:
        return True

    def seek(self, at: int, whence: int = 0) -> int:
        try:
            return self._file.seek(at, whence)
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


def expanded(name: str, file: BinaryIO, closing: ExitStack, limit: int) -> Expanded:
    """What is to be read of an archive: its `conversations….json`, or else every JSON file of a format that is known.

    Each is a temporary file, closed with `closing`; together they have `limit` bytes at most. Raises BadRequest (400)
    for an archive that is broken or has entries that one made for this has not, and BodyTooLarge (413).
    """
    size = file.seek(0, 2)
    most = min(limit, max(LITTLE, MAX_RATIO * size))
    try:
        with zipfile.ZipFile(cast(BinaryIO, _Guarded(file))) as archive:
            entries = archive.infolist()
            _check(name, entries)
            wanted = [entry for entry in entries if _CONVERSATIONS.fullmatch(entry.filename)]
            optional = not wanted
            wanted = wanted or [entry for entry in entries if _JSON.fullmatch(entry.filename)]
            if not wanted:
                raise BadRequest(f"There is no JSON file in {name}; archives in archives are not opened.")
            sources: list[Source] = []
            total = 0
            for entry in sorted(wanted, key=lambda one: one.filename):
                inside = cast(BinaryIO, closing.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115 - it is closed with others
                with archive.open(entry) as packed:
                    while chunk := packed.read(_CHUNK):
                        total += len(chunk)
                        if total > most:
                            raise BodyTooLarge(f"{name} inflates to more than {most} bytes.")
                        inside.write(chunk)
                inside.flush()
                if is_archive(inside):
                    raise BadRequest(f"An entry of {name} is an archive itself.")
                sources.append(Source(_shown(entry.filename), inside, optional=optional))
    except _FAILURES as error:
        raise BadRequest(f"The archive {name} is broken, or not one that can be read: {_said(error)}") from None
    return Expanded(sources, total)


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


def _said(error: BaseException) -> str:
    # Some of these repeat a name of an entry, which may be anything.
    return "".join(character for character in str(error)[:200] if character.isprintable()) or type(error).__name__


def _shown(path: str) -> str:
    return "".join(character for character in path if character.isprintable())[-200:]
