"""Chatkeep's own JSON, lossless: `{"conversation": {…}, "messages": […]}`, or a list of these, each on a line."""

from collections.abc import Iterable, Iterator

from app.archive_formats import ExportFormat, ImportFormat
from app.archive_formats.foreign_chat import require_list
from app.archive_formats.json_scanner import MalformedJson, Span
from app.archive_formats.records import OWNED, Record, dumps
from app.archive_formats.schemas import InvalidRecord
from app.archive_formats.source_file import JsonItem, LocatedRecord, ReadFailure, SourceFile, parse_json

# A chat of more bytes is read message by message.
_LARGE_BYTES = 4 * 1024 * 1024

# The list in which records of a type stand.
_LISTS = {"message": "messages"} | {record: table.name for record, table in OWNED.items()}


def write(records: Iterable[Record], *, many: bool) -> Iterator[bytes]:
    if many:
        yield b"[\n"
    chats = 0
    current_list = ""
    for record in records:
        kind = record.pop("record")
        if kind == "chat":
            if chats:
                yield b"]},\n" if many else b"]}\n"
            chats += 1
            yield b'{"conversation":%b,"messages":[' % dumps(record)
            current_list = "message"
            separator = b""
        elif kind in _LISTS:
            if kind != current_list:
                yield b'],"%b":[' % _LISTS[kind].encode()
                current_list, separator = kind, b""
            yield separator + dumps(record)
            separator = b","
    if chats:
        yield b"]}\n"
    if many:
        yield b"]\n"


EXPORT = ExportFormat("json", "application/json", "json", write, lossless=True)


class JsonImport(ImportFormat):
    name = "json"
    native = True

    def matches(self, source: SourceFile) -> bool:
        members = source.first_members()
        return (members == {} and source.is_empty_list()) or {"conversation", "messages"} <= members.keys()

    def read(self, source: SourceFile) -> Iterator[LocatedRecord | ReadFailure]:
        for item in source.items():
            started = False
            try:
                is_large = item.span.end - item.span.start >= _LARGE_BYTES
                for record in (_read_large if is_large else _read_whole)(source, item):
                    started = True
                    yield record
            except (InvalidRecord, MalformedJson) as error:
                yield ReadFailure(item.location, str(error), starts_chat=not started)


def _read_whole(source: SourceFile, item: JsonItem) -> Iterator[LocatedRecord]:
    value, is_strict = parse_json(source.raw(item.span))
    if not isinstance(value, dict) or not isinstance(value.get("conversation"), dict):
        raise InvalidRecord("no chat")
    if value.keys() - {"conversation", *_LISTS.values()}:
        raise InvalidRecord("it has members of other names")
    yield LocatedRecord(item.location, {**value["conversation"], "record": "chat"})
    for kind, name in _LISTS.items():
        for number, record in enumerate(require_list(value.get(name, []), name), 1):
            if not isinstance(record, dict):
                raise InvalidRecord(f"{name}, {number}: no object")
            record["record"] = kind
            yield LocatedRecord(item.location, record, is_strict)


def _read_large(source: SourceFile, item: JsonItem) -> Iterator[LocatedRecord]:
    if item.span.first_byte != b"{":
        raise InvalidRecord("no chat")
    members: dict[bytes, Span] = {}
    for name_text, span in source.members(item.span):
        if name_text in members:
            raise InvalidRecord("An object has the same key twice.")
        members[name_text] = span
    unknown = members.keys() - {b'"conversation"', *(b'"%b"' % name.encode() for name in _LISTS.values())}
    if unknown or b'"conversation"' not in members:
        raise InvalidRecord("no chat")
    yield _read_record(source, item, members[b'"conversation"'], "chat")
    for kind, name in _LISTS.items():
        array = members.get(b'"%b"' % name.encode())
        if array is not None and array.first_byte != b"[":
            raise InvalidRecord(f"{name}: no list")
        for span in source.elements(array) if array is not None else ():
            yield _read_record(source, item, span, kind)


def _read_record(source: SourceFile, item: JsonItem, span: Span, kind: str) -> LocatedRecord:
    record, is_strict = parse_json(source.raw(span))
    if not isinstance(record, dict):
        raise InvalidRecord("no object")
    record["record"] = kind
    return LocatedRecord(item.location, record, is_strict)


IMPORT = JsonImport()
