"""The formats, one file each. A file that is put here is a format: nothing else names it.

A module has an `EXPORT` (an ExportFormat), an `IMPORT` (an ImportFormat), or both.
"""

import pkgutil
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

from app.archive_formats.records import Record
from app.archive_formats.source import Damage, Found, Source


class ExportFormat(Protocol):
    """How records are written.

    Attributes:
        name: as `?format=` has it.
        media_type: the Content-Type.
        extension: that of a file of it, without the dot.
        lossless: whether it says everything that records do. One that does is given every message, with JSON members
            as `orjson.Fragment` and moments that are `records.writable`: `records.dumps` writes both. Another one gets
            the active branch of each chat only, and neither revisions nor feedback, with JSON members as values.
    """

    name: str
    media_type: str
    extension: str
    lossless: bool

    def write(self, records: Iterable[Record], *, many: bool) -> Iterator[bytes]:
        """The bytes of a stream of records (see `app.archive_formats.records`), in pieces of any size.

        `many` is false for the export of one chat. Memory does not grow with the records.
        """
        ...


class ImportFormat(Protocol):
    """How records are read.

    Attributes:
        name: as `?format=` has it.
        native: whether its chats are Chatkeep's own, ids, versions and all.
    """

    name: str
    native: bool

    def recognise(self, source: Source) -> bool:
        """Whether a file is probably of this format, by its beginning."""
        ...

    def check(self, source: Source) -> None:
        """Goes through a file before anything is stored. Raises BadRequest (400) where it is broken as a whole."""
        ...

    def read(self, source: Source) -> Iterator[Found | Damage]:
        """The records that a file says, and what is damaged in it. Memory does not grow with the file."""
        ...


def exports() -> dict[str, ExportFormat]:
    """The formats that can be written, by name."""
    return cast(dict[str, ExportFormat], _found("EXPORT"))


def imports() -> dict[str, ImportFormat]:
    """The formats that can be read, by name."""
    return cast(dict[str, ImportFormat], _found("IMPORT"))


@cache
def _found(side: str) -> dict[str, Any]:
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    formats = (getattr(module, side) for module in modules if hasattr(module, side))
    return {one.name: one for one in formats}
