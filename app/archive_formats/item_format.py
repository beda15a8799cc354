"""Formats whose files are JSON or JSON Lines, and in which every value is a chat."""

from collections.abc import Iterator

from app.archive_formats.foreign_chat import object_of
from app.archive_formats.json_scanner import Broken
from app.archive_formats.records import Record
from app.archive_formats.schemas import Damaged
from app.archive_formats.source import Damage, Found, Source, check_whole, decoded


class ItemFormat:
    """See ImportFormat. Of a format that is one of these is asked what it looks like and what one chat says."""

    name: str
    native = False

    def knows(self, names: dict[str, bytes]) -> bool:
        """Whether an object with these names, each with the first byte of its value, is a chat of this format."""
        raise NotImplementedError

    def chat(self, place: str, item: Record, raw: bytes) -> Iterator[Found]:
        """The records of a chat, from its object and that as it is written. Raises Damaged before the first of them."""
        raise NotImplementedError

    def recognise(self, source: Source) -> bool:
        return self.knows(source.names())

    def check(self, source: Source) -> None:
        check_whole(source)

    def read(self, source: Source) -> Iterator[Found | Damage]:
        try:
            for item in source.items():
                try:
                    raw = source.raw(item.span)
                    yield from list(self.chat(item.place, object_of(decoded(raw)), raw))
                except Damaged as error:
                    yield Damage(item.place, str(error))
        except Broken as error:
            yield Damage(source.name, str(error))
