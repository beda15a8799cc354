"""Source files: a file to be imported, read by lines or by the values of its JSON."""

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any, BinaryIO, NamedTuple

import orjson

from app.archive_formats.json_scanner import CHUNK_BYTES, JsonScanner, MalformedJson, Span
from app.archive_formats.records import Record
from app.archive_formats.schemas import InvalidRecord, error_message
from app.http import strict_json
from app.http.errors import BadRequest, Unprocessable

# The largest line, and the largest JSON value, that is held in memory.
MAX_VALUE_BYTES = 64 * 1024 * 1024
HEAD_BYTES = 64 * 1024
_BOM = b"\xef\xbb\xbf"


class ReadFailure(NamedTuple):
    """Something in a file that could not be read.

    Attributes:
        location: where, for people.
        reason: why.
        starts_chat: whether it is a chat of its own; else it belongs to the chat before it.
    """

    location: str
    reason: str
    starts_chat: bool = True


class LocatedRecord(NamedTuple):
    """A record and where it stands in its file.

    Attributes:
        location: a text for people, or the number of a line.
        is_strict: whether its JSON is known to be strict, see `ChatBuilder.add_message`.
    """

    location: str | int
    record: Record
    is_strict: bool = False


@dataclass(frozen=True, slots=True)
class JsonItem:
    """A JSON value in a file: `location` says where, for people; `span` for programs."""

    location: str
    span: Span


class SourceFile:
    """A file without its byte order mark. One that is `optional` may be of no known format."""

    def __init__(self, name: str, file: BinaryIO, *, optional: bool = False) -> None:
        self.name = name
        self.optional = optional
        self._file = file
        file.seek(0)
        self._first_members: dict[str, bytes] | None = None
        self._start = len(_BOM) if file.read(len(_BOM)) == _BOM else 0

    def head(self) -> bytes:
        """Its first bytes, HEAD_BYTES at most."""
        self._file.seek(self._start)
        return self._file.read(HEAD_BYTES)

    def first_members(self) -> dict[str, bytes]:
        """The members of its first value, if that is an object: each name with the first byte of its value.

        They tell formats apart. None where the file is no JSON.
        """
        if self._first_members is None:
            self._first_members = {}
            with suppress(MalformedJson, ValueError):
                first = next(self.items(), None)
                if first is not None and self.first_byte(first.span) == b"{":
                    for name, span in self.members(first.span):
                        self._first_members[json.loads(name)] = span.first_byte
        return self._first_members

    def is_empty_list(self) -> bool:
        """Whether it is an empty JSON array."""
        return self.head().split() in ([b"[]"], [b"[", b"]"])

    def first_byte(self, span: Span) -> bytes:
        """The first byte of a value in it."""
        self._file.seek(span.start)
        return self._file.read(1)

    def tail(self, size: int) -> bytes:
        """Its last bytes, `size` at most."""
        self._file.seek(0, io.SEEK_END)
        self._file.seek(max(self._start, self._file.tell() - size))
        return self._file.read()

    def sha256(self) -> str:
        """Its SHA-256 in hexadecimal."""
        digest = hashlib.sha256()
        self._file.seek(self._start)
        while chunk := self._file.read(CHUNK_BYTES):
            digest.update(chunk)
        return digest.hexdigest()

    def location(self, line: int, item: int | None = None) -> str:
        """A location in it, for people."""
        return f"file {self.name}, line {line}" if item is None else f"file {self.name}, item {item} (line {line})"

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Its lines with their numbers; of too long a line only the beginning. Nothing else may read it meanwhile."""
        number = 0
        self._file.seek(self._start)
        readline = self._file.readline
        while line := readline(MAX_VALUE_BYTES + 1):
            number += 1
            if len(line) > MAX_VALUE_BYTES:
                rest = line
                while rest and not rest.endswith(b"\n"):
                    rest = readline(MAX_VALUE_BYTES)
            yield number, line

    def items(self) -> Iterator[JsonItem]:
        """The values in it: the elements of the one array that it is, the one value that it is, or one in each line.

        Raises MalformedJson, in the middle if need be. A line is not looked into: its value may turn out to be invalid.
        """
        is_list = self.head().lstrip().startswith(b"[")
        scanner = JsonScanner(self._file, self._start)
        if is_list:
            for number, span in enumerate(scanner.elements(), 1):
                yield JsonItem(self.location(span.line, number), span)
            if not scanner.at_end():
                raise MalformedJson("something follows the end of its list")
            return
        values = scanner.values()
        first = next(values, None)
        if first is None:
            raise MalformedJson("there is nothing in it")
        if scanner.at_end():
            yield JsonItem(self.location(first.line), first)
        elif scanner.line == first.line:
            raise MalformedJson("something follows its value")
        else:
            yield from self._line_items()

    def check_structure(self) -> None:
        """Reads the structure of a JSON file to its end. Raises BadRequest (400) where it is broken as a whole."""
        try:
            for _ in self.items():
                pass
        except MalformedJson as error:
            raise BadRequest(f"The file {self.name} is broken: {error}. Nothing of it was imported.") from None

    def _line_items(self) -> Iterator[JsonItem]:
        start, number = self._start, 0
        while True:
            self._file.seek(start)
            size, blank = 0, True
            while chunk := self._file.readline(CHUNK_BYTES):
                size += len(chunk)
                blank = blank and not chunk.strip()
                if chunk.endswith(b"\n"):
                    break
            if not size:
                return
            number += 1
            if not blank:
                yield JsonItem(self.location(number), Span(start, start + size, number, b""))
            start += size

    def elements(self, span: Span) -> Iterator[Span]:
        """The elements of an array in it. Raises MalformedJson."""
        return JsonScanner(self._file, span.start, span.end, span.line).elements()

    def members(self, span: Span) -> Iterator[tuple[bytes, Span]]:
        """The members of an object in it: each name as it is written, quotes and escapes too. Raises MalformedJson."""
        return JsonScanner(self._file, span.start, span.end, span.line).members()

    def raw(self, span: Span) -> bytes:
        """The bytes of a value in it. Raises InvalidRecord for more than MAX_VALUE_BYTES."""
        if span.end - span.start > MAX_VALUE_BYTES:
            raise InvalidRecord(f"larger than {MAX_VALUE_BYTES} bytes")
        self._file.seek(span.start)
        return self._file.read(span.end - span.start)

    def value(self, span: Span) -> Any:
        """A value in it. Raises InvalidRecord where it is no JSON. What is kept of it is still to be checked."""
        return decode_json(self.raw(span))


def decode_json(text: bytes) -> Any:
    """The value of a JSON text. Raises InvalidRecord for one that is no JSON, or has a name twice in an object."""
    try:
        return strict_json.decode(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidRecord("not UTF-8") from None
    except RecursionError:
        raise InvalidRecord("nested too deep") from None
    except JSONDecodeError as error:
        raise InvalidRecord(f"no JSON: {error.msg} at character {error.pos}") from None
    except ValueError:
        # Python's limit on the digits of an int.
        raise InvalidRecord("a number is too long") from None
    except Unprocessable as error:
        raise InvalidRecord(error_message(error)) from None


def parse_json(text: bytes) -> tuple[Any, bool]:
    """The value of a JSON text, and whether it is strict: written as we write JSON, which is found out fast.

    Raises InvalidRecord.
    """
    try:
        value = orjson.loads(text)
        if orjson.dumps(value) == text:
            # No name twice, since none is lost.
            return value, b"\\u0000" not in text
    except orjson.JSONDecodeError:
        pass
    return decode_json(text), False
