"""Import formats whose files are JSON or JSON Lines in which every value is a chat."""

from collections.abc import Callable, Iterator

from app.archive_formats import ImportFormat
from app.archive_formats.foreign_chat import require_object
from app.archive_formats.json_scanner import MalformedJson
from app.archive_formats.records import Record
from app.archive_formats.schemas import InvalidRecord
from app.archive_formats.source_file import JsonItem, LocatedRecord, ReadFailure, SourceFile, decode_json


class ItemFormat(ImportFormat):
    """An ImportFormat, of which a subclass says what its chats look like and how one is parsed."""

    def matches_members(self, members: dict[str, bytes]) -> bool:
        """Whether an object with these members, each with the first byte of its value, is a chat of this format."""
        raise NotImplementedError

    def chat(self, location: str, item: Record, raw: bytes) -> Iterator[LocatedRecord]:
        """The records of a chat, from its object and its bytes in the file. Raises InvalidRecord before the first."""
        raise NotImplementedError

    def read_item(self, source: SourceFile, item: JsonItem) -> Iterator[LocatedRecord | ReadFailure]:
        """The records of a value of the file, or why there are none."""
        return read_chat(source, item, self.chat)

    def matches(self, source: SourceFile) -> bool:
        return self.matches_members(source.first_members())

    def read(self, source: SourceFile) -> Iterator[LocatedRecord | ReadFailure]:
        try:
            for item in source.items():
                yield from self.read_item(source, item)
        except MalformedJson as error:
            yield ReadFailure(source.name, str(error))


def read_chat(
    source: SourceFile, item: JsonItem, parse: Callable[[str, Record, bytes], Iterator[LocatedRecord]]
) -> Iterator[LocatedRecord | ReadFailure]:
    """The records that `parse` makes of a chat's object (see `ItemFormat.chat`), or why it makes none."""
    try:
        raw = source.raw(item.span)
        yield from list(parse(item.location, require_object(decode_json(raw)), raw))
    except InvalidRecord as error:
        yield ReadFailure(item.location, str(error))
