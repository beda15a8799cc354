"""Finding where the values of a JSON text begin and end, in a file of any size, without keeping or making any of them.

Only what holds values together is looked at: brackets, commas, colons and the ends of strings. Whether a value is right
inside is for whoever parses it; a text whose brackets or strings do not end is broken as a whole.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

CHUNK = 256 * 1024
# A name, or a value that is no array or object, is kept while it is looked at.
LONGEST_SCALAR = 64 * 1024 * 1024
# Deeper than any parser goes.
DEEPEST = 10_000

_SPACE = re.compile(rb"[ \t\r\n]*")
_SCALAR = re.compile(rb'[^ \t\r\n\[\]{},:"]+')
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_INSIDE = re.compile(rb'["\[\]{}]')
_CLOSING = {b"[": b"]", b"{": b"}"}


class Broken(Exception):
    """The text is no JSON as a whole: it ends too early, or something stands where nothing can."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a value stands in its file: from byte `start` to before byte `end`. `line` is where it begins, from 1 on.

    `opening` is its first byte.
    """

    start: int
    end: int
    line: int
    opening: bytes


class Scanner:
    """Goes through a file from one byte on, up to another or its end."""

    def __init__(self, file: BinaryIO, at: int = 0, end: int | None = None, line: int = 1) -> None:
        self._file = file
        self._base = at
        self._end = end
        self._buffer = b""
        self._at = 0
        self._line = line
        self._counted = 0

    def values(self) -> Iterator[Span]:
        """The values that stand one after the other, with nothing but white space between them. Raises Broken."""
        while self._peek():
            yield self._value()

    def elements(self) -> Iterator[Span]:
        """The elements of the array that begins here; reads on to its end. Raises Broken."""
        self._take(b"[")
        if self._peek() == b"]":
            self._at += 1
            return
        while True:
            yield self._value()
            if self._next_of(b",", b"]") == b"]":
                return

    def members(self) -> Iterator[tuple[bytes, Span]]:
        """The members of the object that begins here, each by its name as it is written. Raises Broken."""
        self._take(b"{")
        if self._peek() == b"}":
            self._at += 1
            return
        while True:
            if self._peek() != b'"':
                raise Broken("a name is missing")
            name = self._value(keep=True)
            text = self._buffer[name.start - self._base : name.end - self._base]
            self._take(b":")
            yield text, self._value()
            if self._next_of(b",", b"}") == b"}":
                return

    def ends(self) -> bool:
        """Whether nothing but white space is left."""
        return not self._peek()

    @property
    def line(self) -> int:
        """The line it has come to."""
        return self._current_line()

    def _take(self, byte: bytes) -> None:
        self._next_of(byte)

    def _next_of(self, *bytes_: bytes) -> bytes:
        found = self._peek()
        if found not in bytes_:
            raise Broken(f"{' or '.join(map(repr, map(bytes.decode, bytes_)))} is missing")
        self._at += 1
        return found

    def _peek(self) -> bytes:
        """The next byte that is no white space; none at the end."""
        while True:
            match = _SPACE.match(self._buffer, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._more():
                return b""

    def _value(self, *, keep: bool = False) -> Span:
        opening = self._peek()
        start, line = self._base + self._at, self._current_line()
        if opening in _CLOSING:
            self._at += 1
            self._skip(_CLOSING[opening])
        elif opening == b'"':
            self._at += 1
            self._string(start if keep else None)
        elif not opening or not _SCALAR.match(opening):
            raise Broken("a value is missing")
        else:
            self._scalar()
        return Span(start, self._base + self._at, line, opening)

    def _skip(self, last: bytes) -> None:
        """Goes past the end of the array or object that was begun. Hot: once for each string and bracket in it."""
        closing = [last]
        find, in_string = _INSIDE.search, _IN_STRING.match
        while closing:
            buffer, at = self._buffer, self._at
            while (found := find(buffer, at)) is not None:
                at = found.end()
                byte = found[0]
                if byte == b'"':
                    match = in_string(buffer, at)
                    assert match is not None
                    at = match.end() + 1
                    if at > len(buffer) or buffer[at - 1] != 0x22:
                        self._at = found.end()
                        self._string(None)
                        break
                elif byte in _CLOSING:
                    if len(closing) == DEEPEST:
                        raise Broken(f"it is nested deeper than {DEEPEST}")
                    closing.append(_CLOSING[byte])
                elif byte != closing.pop():
                    raise Broken("brackets do not match")
                elif not closing:
                    self._at = at
                    return
            else:
                self._at = len(buffer)
                if not self._more():
                    raise Broken("it ends too early")

    def _string(self, kept_from: int | None) -> None:
        """Goes past the end of a string that was begun, which may be in a later part of the file."""
        while True:
            match = _IN_STRING.match(self._buffer, self._at)
            assert match is not None
            if match.end() < len(self._buffer) and self._buffer[match.end()] == 0x22:
                self._at = match.end() + 1
                return
            if kept_from is None:
                # A backslash at the end belongs to what comes next.
                self._at = match.end()
            if not self._more(kept_from):
                raise Broken("it ends within a text")

    def _scalar(self) -> None:
        while True:
            match = _SCALAR.match(self._buffer, self._at)
            assert match is not None
            if match.end() < len(self._buffer):
                break
            if not self._more(self._base + self._at):
                break
        self._at = match.end()

    def _more(self, kept_from: int | None = None) -> bool:
        """Reads on; what was gone past is dropped, but from byte `kept_from` on. Says whether there was more."""
        keep = self._at if kept_from is None else min(self._at, kept_from - self._base)
        left = len(self._buffer) - keep
        if left > LONGEST_SCALAR:
            raise Broken(f"a value or a name in it is longer than {LONGEST_SCALAR} bytes")
        position = self._base + len(self._buffer)
        # As much again as is kept: a long value is looked at a few times only.
        size = max(CHUNK, left)
        if self._end is not None:
            size = min(size, self._end - position)
        self._file.seek(position)
        chunk = self._file.read(size) if size else b""
        if not chunk:
            return False
        self._line += self._buffer.count(b"\n", self._counted, keep)
        self._counted = max(0, self._counted - keep)
        self._buffer = self._buffer[keep:] + chunk
        self._base += keep
        self._at -= keep
        return True

    def _current_line(self) -> int:
        self._line += self._buffer.count(b"\n", self._counted, self._at)
        self._counted = self._at
        return self._line
