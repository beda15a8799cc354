"""JSON scanner: finds where the values in a file of any size begin and end, without parsing or keeping them.

It looks at brackets, commas, colons and the ends of strings only. Whether a value is valid inside shows when it is
parsed; a text whose brackets or strings do not end is malformed as a whole.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

CHUNK_BYTES = 256 * 1024
# A name, or a value that is no array or object, is held in memory while it is scanned.
MAX_SCALAR_BYTES = 64 * 1024 * 1024
# Deeper than any JSON parser goes.
MAX_DEPTH = 10_000

_SPACE = re.compile(rb"[ \t\r\n]*")
_SCALAR = re.compile(rb'[^ \t\r\n\[\]{},:"]+')
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_INSIDE = re.compile(rb'["\[\]{}]')
_CLOSING = {b"[": b"]", b"{": b"}"}


class MalformedJson(Exception):
    """A text is no JSON as a whole: it ends too early, or has something where nothing can be."""


@dataclass(frozen=True, slots=True)
class Span:
    """The byte range of a value in its file.

    Attributes:
        start, end: from byte `start` to before byte `end`.
        line: the number of the line in which it begins, from 1 on.
        first_byte: its first byte; empty where it is not known.
    """

    start: int
    end: int
    line: int
    first_byte: bytes


class JsonScanner:
    """Scans a file from byte `start` on, up to byte `end` or the end of the file; `line` is the number of its line."""

    def __init__(self, file: BinaryIO, start: int = 0, end: int | None = None, line: int = 1) -> None:
        self._file = file
        # `_base` is where in the file the buffer begins; `_position` is in the buffer.
        self._base = start
        self._end = end
        self._buffer = b""
        self._position = 0
        self._line = line
        self._counted = 0

    def values(self) -> Iterator[Span]:
        """The values that follow each other with nothing but white space between them. Raises MalformedJson."""
        while self._peek():
            yield self._scan_value()

    def elements(self) -> Iterator[Span]:
        """The elements of the array that begins here; reads on to its end. Raises MalformedJson."""
        self._expect(b"[")
        if self._peek() == b"]":
            self._position += 1
            return
        while True:
            yield self._scan_value()
            if self._expect(b",", b"]") == b"]":
                return

    def members(self) -> Iterator[tuple[bytes, Span]]:
        """The members of the object that begins here, each with its name as it is written. Raises MalformedJson."""
        self._expect(b"{")
        if self._peek() == b"}":
            self._position += 1
            return
        while True:
            if self._peek() != b'"':
                raise MalformedJson("a name is missing")
            name = self._scan_value(keep=True)
            text = self._buffer[name.start - self._base : name.end - self._base]
            self._expect(b":")
            yield text, self._scan_value()
            if self._expect(b",", b"}") == b"}":
                return

    def at_end(self) -> bool:
        """Whether nothing but white space is left."""
        return not self._peek()

    @property
    def line(self) -> int:
        """The number of the line it has come to."""
        self._line += self._buffer.count(b"\n", self._counted, self._position)
        self._counted = self._position
        return self._line

    def _expect(self, *options: bytes) -> bytes:
        """Takes the next byte, which must be one of these."""
        byte = self._peek()
        if byte not in options:
            raise MalformedJson(f"{' or '.join(map(repr, map(bytes.decode, options)))} is missing")
        self._position += 1
        return byte

    def _peek(self) -> bytes:
        """The next byte that is no white space; none at the end."""
        while True:
            match = _SPACE.match(self._buffer, self._position)
            assert match is not None
            self._position = match.end()
            if self._position < len(self._buffer):
                return self._buffer[self._position : self._position + 1]
            if not self._read_more():
                return b""

    def _scan_value(self, *, keep: bool = False) -> Span:
        first_byte = self._peek()
        start, line = self._base + self._position, self.line
        if first_byte in _CLOSING:
            self._position += 1
            self._skip_container(_CLOSING[first_byte])
        elif first_byte == b'"':
            self._position += 1
            self._skip_string(start if keep else None)
        elif not first_byte or not _SCALAR.match(first_byte):
            raise MalformedJson("a value is missing")
        else:
            self._skip_scalar()
        return Span(start, self._base + self._position, line, first_byte)

    def _skip_container(self, last: bytes) -> None:
        """Skips the rest of an array or object that was begun. Hot: a step for each string and bracket in it."""
        closing = [last]
        find, in_string = _INSIDE.search, _IN_STRING.match
        while closing:
            buffer, position = self._buffer, self._position
            while (bracket := find(buffer, position)) is not None:
                position = bracket.end()
                byte = bracket[0]
                if byte == b'"':
                    match = in_string(buffer, position)
                    assert match is not None
                    position = match.end() + 1
                    if position > len(buffer) or buffer[position - 1] != 0x22:
                        self._position = bracket.end()
                        self._skip_string(None)
                        break
                elif byte in _CLOSING:
                    if len(closing) == MAX_DEPTH:
                        raise MalformedJson(f"it is nested deeper than {MAX_DEPTH}")
                    closing.append(_CLOSING[byte])
                elif byte != closing.pop():
                    raise MalformedJson("brackets do not match")
                elif not closing:
                    self._position = position
                    return
            else:
                self._position = len(buffer)
                if not self._read_more():
                    raise MalformedJson("it ends too early")

    def _skip_string(self, keep_from: int | None) -> None:
        """Skips the rest of a string that was begun, which may end in a later part of the file."""
        while True:
            match = _IN_STRING.match(self._buffer, self._position)
            assert match is not None
            if match.end() < len(self._buffer) and self._buffer[match.end()] == 0x22:
                self._position = match.end() + 1
                return
            if keep_from is None:
                # A backslash at the end belongs to what comes next.
                self._position = match.end()
            if not self._read_more(keep_from):
                raise MalformedJson("it ends within a text")

    def _skip_scalar(self) -> None:
        while True:
            match = _SCALAR.match(self._buffer, self._position)
            assert match is not None
            if match.end() < len(self._buffer) or not self._read_more(self._base + self._position):
                break
        self._position = match.end()

    def _read_more(self, keep_from: int | None = None) -> bool:
        """Reads a chunk; drops what was scanned, but from byte `keep_from` on. Says whether there was more."""
        keep = self._position if keep_from is None else min(self._position, keep_from - self._base)
        left = len(self._buffer) - keep
        if left > MAX_SCALAR_BYTES:
            raise MalformedJson(f"a value or a name in it is longer than {MAX_SCALAR_BYTES} bytes")
        read_from = self._base + len(self._buffer)
        # As much again as is kept: a long value is looked at a few times only.
        size = max(CHUNK_BYTES, left)
        if self._end is not None:
            size = min(size, self._end - read_from)
        self._file.seek(read_from)
        chunk = self._file.read(size) if size else b""
        if not chunk:
            return False
        self._line += self._buffer.count(b"\n", self._counted, keep)
        self._counted = max(0, self._counted - keep)
        self._buffer = self._buffer[keep:] + chunk
        self._base += keep
        self._position -= keep
        return True
