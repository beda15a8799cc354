"""Invalid cursors: corrupted ones, and forged ones with a valid checksum."""

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import orjson
from hypothesis import strategies as st

Corrupt = Callable[[str], str]
INDEXES = st.integers(0, 400)
CHARACTERS = st.characters(exclude_categories=["Cs"])

# What can happen to a cursor: a bit flipped, a character swapped, cut, made longer, or any text in its place.
CORRUPTIONS: st.SearchStrategy[Corrupt] = st.one_of(
    st.tuples(INDEXES, st.integers(0, 6)).map(lambda arguments: lambda cursor: _flipped(cursor, *arguments)),
    st.tuples(INDEXES, CHARACTERS).map(lambda arguments: lambda cursor: _swapped(cursor, *arguments)),
    INDEXES.map(lambda index: lambda cursor: cursor[: index % len(cursor)]),
    st.text(st.sampled_from("AQgw01-_=+/. %"), min_size=1, max_size=8).map(lambda more: lambda cursor: cursor + more),
    st.text(CHARACTERS, max_size=200).map(lambda text: lambda _cursor: text),
)


def _flipped(text: str, index: int, bit: int) -> str:
    return _swapped(text, index, chr(ord(text[index % len(text)]) ^ (1 << bit)))


def _swapped(text: str, index: int, character: str) -> str:
    index %= len(text)
    return text[:index] + character + text[index + 1 :]


def forged(binding: Any, position: bytes) -> str:
    """A cursor with any position in it, made as `app.http.paging` makes them: no secret is in one, only a checksum."""
    digest = hashlib.blake2b(orjson.dumps(binding) + b"\0" + position, digest_size=12).digest()
    return base64.urlsafe_b64encode(digest + position).rstrip(b"=").decode()


FORGED_POSITIONS = [
    b"",
    b"null",
    b"1",
    b"{}",
    b'"x"',
    b"[]",
    b"[1]",
    b"[1,2]",
    b"[1.5]",
    b"[-1]",
    b"[true]",
    b"[null,null]",
    b"[99999999999999999999]",
    b'["x"]',
    b"not JSON",
    b"\xff",
    b"[" * 2000,
    b'["2026-01-31","01932c07-1f3e-7000-8000-abcdef012345"]',
    b'["2026-01-31T12:00:00","01932c07-1f3e-7000-8000-abcdef012345"]',
    b'["0001-01-01T00:00:00+14:00","01932c07-1f3e-7000-8000-abcdef012345"]',
    b'["9999-12-31T23:59:59-14:00","01932c07-1f3e-7000-8000-abcdef012345"]',
    b'["2026-01-31T12:00:00Z","x"]',
    b'["2026-01-31T12:00:00Z",1]',
    b'["2026-01-31T12:00:00Z","01932c07-1f3e-7000-8000-abcdef012345",3]',
    b'["2026-01-31T12:00:00Z","\\u0000"]',
]
