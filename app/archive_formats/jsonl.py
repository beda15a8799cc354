"""Chatkeep's own JSON Lines, lossless: every record is a line (https://jsonlines.org)."""

from collections.abc import Iterable, Iterator

import orjson

from app.archive_formats import ExportFormat, ImportFormat
from app.archive_formats.records import Record, dumps, header
from app.archive_formats.schemas import InvalidRecord
from app.archive_formats.source_file import (
    MAX_VALUE_BYTES,
    LocatedRecord,
    ReadFailure,
    SourceFile,
    decode_json,
    parse_json,
)
from app.http.errors import BadRequest

# Longer than an `end` record.
_TAIL_BYTES = 1024


def write(records: Iterable[Record], *, many: bool) -> Iterator[bytes]:
    for record in records:
        yield dumps(record) + b"\n"


class JsonLinesImport(ImportFormat):
    """A file that does not end with its `end` record is broken: nothing of it is imported."""

    name = "jsonl"
    native = True

    def matches(self, source: SourceFile) -> bool:
        first = source.head().lstrip().split(b"\n", 1)[0]
        try:
            return bool(decode_json(first).get("record") == "chatkeep")
        except (InvalidRecord, AttributeError):
            return False

    def check(self, source: SourceFile) -> None:
        try:
            version = decode_json(source.head().lstrip().split(b"\n", 1)[0])
            last = decode_json(source.tail(_TAIL_BYTES).rstrip().rsplit(b"\n", 1)[-1])
        except InvalidRecord:
            version = last = None
        if version != header():
            raise BadRequest(f"The file {source.name} does not begin with {orjson.dumps(header()).decode()}.")
        if not isinstance(last, dict) or last.get("record") != "end":
            raise BadRequest(f"The file {source.name} is broken: it has no end. Nothing of it was imported.")

    def read(self, source: SourceFile) -> Iterator[LocatedRecord | ReadFailure]:
        lines = source.lines()
        for _, line in lines:
            if line.strip():
                break  # the header
        decode, encode = orjson.loads, orjson.dumps
        newline = orjson.OPT_APPEND_NEWLINE
        for number, line in lines:
            try:
                # As `parse_json` does: most lines are as we write them.
                record = decode(line)
                if type(record) is dict and encode(record, None, newline) == line and b"\\u0000" not in line:
                    yield LocatedRecord(number, record, True)
                    continue
            except orjson.JSONDecodeError:
                pass
            try:
                if len(line) > MAX_VALUE_BYTES:
                    raise InvalidRecord(f"longer than {MAX_VALUE_BYTES} bytes")
                record, is_strict = parse_json(line.strip())
                if type(record) is not dict:
                    raise InvalidRecord("no object")
            except InvalidRecord as error:
                if line.strip():
                    starts_chat = line.startswith(b'{"record":"chat"')
                    yield ReadFailure(source.location(number), str(error), starts_chat)
                continue
            yield LocatedRecord(number, record, is_strict)


EXPORT = ExportFormat("jsonl", "application/jsonl", "jsonl", write, lossless=True)
IMPORT = JsonLinesImport()
