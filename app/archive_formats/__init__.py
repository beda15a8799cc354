"""Archive formats: files that chats are exported to and imported from, one module each.

A module that has an `EXPORT` (an ExportFormat), an `IMPORT` (an ImportFormat) or both registers itself: nothing else
names it.
"""

import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

from app.archive_formats.records import Record
from app.archive_formats.source_file import LocatedRecord, ReadFailure, SourceFile


class Writer(Protocol):
    """Writes a format."""

    def __call__(self, records: Iterable[Record], *, many: bool) -> Iterator[bytes]:
        """The file of a stream of records (see `app.archive_formats.records`), in chunks of any size.

        `many` is false for the export of one chat. Memory does not grow with the records.
        """


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format that streams of records are written in.

    Attributes:
        name: its name in `?format=`.
        media_type: its Content-Type.
        extension: the file name extension, without the dot.
        lossless: whether it holds everything that records do. A lossless format is given every message, with JSON
            fields as `orjson.Fragment` and timestamps from `records.json_timestamp`: `records.dumps` writes both.
            Another one is given the active branch of each chat only, without revisions and feedback, and with JSON
            fields as values.
    """

    name: str
    media_type: str
    extension: str
    write: Writer
    lossless: bool = False


class ImportFormat(Protocol):
    """Parser of a format: a file to a stream of records.

    Attributes:
        name: its name in `?format=`.
        native: whether its chats are Chatkeep's own, with their ids and versions.
    """

    name: str
    native: bool = False

    def matches(self, source: SourceFile) -> bool:
        """Whether a file is probably of this format, by its first value."""

    def check(self, source: SourceFile) -> None:
        """Reads a file to its end before anything is stored. Raises BadRequest (400) where it is broken as a whole."""
        source.check_structure()

    def read(self, source: SourceFile) -> Iterator[LocatedRecord | ReadFailure]:
        """The records of a file, and what could not be read of it. Memory does not grow with the file."""


def exports() -> dict[str, ExportFormat]:
    """The export formats, by name."""
    return cast(dict[str, ExportFormat], _registered("EXPORT"))


def imports() -> dict[str, ImportFormat]:
    """The import formats, by name."""
    return cast(dict[str, ImportFormat], _registered("IMPORT"))


@cache
def _registered(attribute: str) -> dict[str, Any]:
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    formats = (getattr(module, attribute) for module in modules if hasattr(module, attribute))
    return {format_.name: format_ for format_ in formats}
