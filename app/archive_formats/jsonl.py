"""JSON Lines, Chatkeep's own lossless form: every record is a line (https://jsonlines.org)."""

from collections.abc import Iterable, Iterator

import orjson

from app.archive_formats.records import Record, dumps, header
from app.archive_formats.schemas import Damaged
from app.archive_formats.source import LARGEST, Damage, Found, Source, decoded, parsed
from app.http.errors import BadRequest

# An `end` is shorter.
_LAST = 1024


class JsonLines:
    """See ExportFormat."""

    name = "jsonl"
    media_type = "application/jsonl"
    extension = "jsonl"
    lossless = True

    def write(self, records: Iterable[Record], *, many: bool) -> Iterator[bytes]:
        for record in records:
            yield dumps(record) + b"\n"


class JsonLinesIn:
    """See ImportFormat. A file that does not end with its `end` is broken: nothing of it is imported."""

    name = "jsonl"
    native = True

    def recognise(self, source: Source) -> bool:
        first = source.beginning().lstrip().split(b"\n", 1)[0]
        try:
            return bool(decoded(first).get("record") == "chatkeep")
        except (Damaged, AttributeError):
            return False

    def check(self, source: Source) -> None:
        try:
            version = decoded(source.beginning().lstrip().split(b"\n", 1)[0])
            last = decoded(source.ending(_LAST).rstrip().rsplit(b"\n", 1)[-1])
        except Damaged:
            version = last = None
        if version != header():
            raise BadRequest(f"The file {source.name} does not begin with {orjson.dumps(header()).decode()}.")
        if not isinstance(last, dict) or last.get("record") != "end":
            raise BadRequest(f"The file {source.name} is broken: it has no end. Nothing of it was imported.")

    def read(self, source: Source) -> Iterator[Found | Damage]:
        lines = source.lines()
        for _, line in lines:
            if line.strip():
                break  # the header
        loads, dumped = orjson.loads, orjson.dumps
        newline = orjson.OPT_APPEND_NEWLINE
        for number, line in lines:
            try:
                # As `parsed` does: most lines are as we write them.
                record = loads(line)
                if type(record) is dict and dumped(record, None, newline) == line and b"\\u0000" not in line:
                    yield Found(number, record, True)
                    continue
            except orjson.JSONDecodeError:
                pass
            try:
                if len(line) > LARGEST:
                    raise Damaged(f"longer than {LARGEST} bytes")
                record, clean = parsed(line.strip())
                if type(record) is not dict:
                    raise Damaged("no object")
            except Damaged as error:
                if line.strip():
                    yield Damage(source.place(number), str(error), own=line.startswith(b'{"record":"chat"'))
                continue
            yield Found(number, record, clean)


EXPORT = JsonLines()
IMPORT = JsonLinesIn()
