"""A file to be imported, as formats read it: by lines, or by the values of a JSON text."""

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any, BinaryIO, NamedTuple

import orjson

from app.archive_formats.json_scanner import CHUNK, Broken, Scanner, Span
from app.archive_formats.records import Record
from app.archive_formats.schemas import Damaged, reason_of
from app.http import strict_json
from app.http.errors import BadRequest, Unprocessable

# The largest line, and the largest value, that is made at once.
LARGEST = 64 * 1024 * 1024
BEGINNING = 64 * 1024
_BOM = b"\xef\xbb\xbf"


class Damage(NamedTuple):
    """What could not be read: where, and why. It is a chat of its own, or else belongs to the one before it."""

    place: str
    reason: str
    own: bool = True


class Found(NamedTuple):
    """A record, and where it was found. `clean` says that its JSON was found to be strict, see `Intake.message`."""

    place: str | int
    record: Record
    clean: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A value in a file: `place` says where, for people; `span` for programs."""

    place: str
    span: Span


class Source:
    """A file, from the first byte after its byte order mark on. One that is `optional` may be of no known format."""

    def __init__(self, name: str, file: BinaryIO, *, optional: bool = False) -> None:
        self.name = name
        self.optional = optional
        self._file = file
        file.seek(0)
        self._names: dict[str, bytes] | None = None
        self._start = len(_BOM) if file.read(len(_BOM)) == _BOM else 0

    def beginning(self) -> bytes:
        """Its first bytes."""
        self._file.seek(self._start)
        return self._file.read(BEGINNING)

    def names(self) -> dict[str, bytes]:
        """The names in the first value in it, if that is an object, each with the first byte of what it names.

        Nothing where the file is no JSON so far.
        """
        if self._names is None:
            self._names = {}
            with suppress(Broken, ValueError):
                first = next(self.items(), None)
                if first is not None and self.opening(first.span) == b"{":
                    for name, span in self.members(first.span):
                        self._names[json.loads(name)] = span.opening
        return self._names

    def is_empty_list(self) -> bool:
        """Whether it is a list of nothing."""
        return self.beginning().split() in ([b"[]"], [b"[", b"]"])

    def opening(self, span: Span) -> bytes:
        """The first byte of a value in it."""
        self._file.seek(span.start)
        return self._file.read(1)

    def ending(self, size: int) -> bytes:
        """Its last bytes."""
        self._file.seek(0, io.SEEK_END)
        self._file.seek(max(self._start, self._file.tell() - size))
        return self._file.read()

    def sha256(self) -> str:
        """A hash of it."""
        digest = hashlib.sha256()
        self._file.seek(self._start)
        while chunk := self._file.read(CHUNK):
            digest.update(chunk)
        return digest.hexdigest()

    def place(self, line: int, item: int | None = None) -> str:
        """A place in it, for people."""
        return f"file {self.name}, line {line}" if item is None else f"file {self.name}, item {item} (line {line})"

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Its lines with their numbers, while nothing else of it is read; of one that is too long the beginning."""
        number = 0
        self._file.seek(self._start)
        readline = self._file.readline
        while line := readline(LARGEST + 1):
            number += 1
            if len(line) > LARGEST:
                rest = line
                while rest and not rest.endswith(b"\n"):
                    rest = readline(LARGEST)
            yield number, line

    def items(self) -> Iterator[Item]:
        """The values in it: the elements of the one array that it is, the one value that it is, or one in each line.

        Raises Broken, in the middle if need be; what is damaged in a line is for whoever makes its value.
        """
        is_list = self.beginning().lstrip()[:1] == b"["
        scanner = Scanner(self._file, self._start)
        if is_list:
            for number, span in enumerate(scanner.elements(), 1):
                yield Item(self.place(span.line, number), span)
            if not scanner.ends():
                raise Broken("something follows the end of its list")
            return
        values = scanner.values()
        first = next(values, None)
        if first is None:
            raise Broken("there is nothing in it")
        if scanner.ends():
            yield Item(self.place(first.line), first)
        elif scanner.line == first.line:
            raise Broken("something follows its value")
        else:
            yield from self._each_line()

    def _each_line(self) -> Iterator[Item]:
        at, number = self._start, 0
        while True:
            self._file.seek(at)
            size, blank = 0, True
            while part := self._file.readline(CHUNK):
                size += len(part)
                blank = blank and not part.strip()
                if part.endswith(b"\n"):
                    break
            if not size:
                return
            number += 1
            if not blank:
                yield Item(self.place(number), Span(at, at + size, number, b""))
            at += size

    def elements(self, span: Span) -> Iterator[Span]:
        """The elements of an array in it. Raises Broken."""
        return Scanner(self._file, span.start, span.end, span.line).elements()

    def members(self, span: Span) -> Iterator[tuple[bytes, Span]]:
        """The members of an object in it, each by its name as it is written. Raises Broken."""
        return Scanner(self._file, span.start, span.end, span.line).members()

    def raw(self, span: Span) -> bytes:
        """The bytes of a value in it. Raises Damaged where it is too large to be made."""
        if span.end - span.start > LARGEST:
            raise Damaged(f"larger than {LARGEST} bytes")
        self._file.seek(span.start)
        return self._file.read(span.end - span.start)

    def value(self, span: Span) -> Any:
        """A value in it. Raises Damaged where it is no JSON. What is kept of it is still to be checked."""
        return decoded(self.raw(span))


def decoded(text: bytes) -> Any:
    """The value of a JSON text, with no name twice in an object. Raises Damaged."""
    try:
        return strict_json.decode(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise Damaged("not UTF-8") from None
    except RecursionError:
        raise Damaged("nested too deep") from None
    except JSONDecodeError as error:
        raise Damaged(f"no JSON: {error.msg} at character {error.pos}") from None
    except ValueError:
        # Python's limit on the digits of an int.
        raise Damaged("a number is too long") from None
    except Unprocessable as error:
        raise Damaged(reason_of(error)) from None


def check_whole(source: Source) -> None:
    """Goes through a file of JSON once. Raises BadRequest (400) where it is broken as a whole."""
    try:
        for _ in source.items():
            pass
    except Broken as error:
        raise BadRequest(f"The file {source.name} is broken: {error}. Nothing of it was imported.") from None


def parsed(text: bytes) -> tuple[Any, bool]:
    """The value of a JSON text, and whether it is clean (see `Found`): written as we write it, which is read fast.

    Raises Damaged.
    """
    try:
        value = orjson.loads(text)
        if orjson.dumps(value) == text:
            # No name twice, since none is lost.
            return value, b"\\u0000" not in text
    except orjson.JSONDecodeError:
        pass
    return decoded(text), False
