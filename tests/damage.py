"""Cursors that no list ever gave: damaged ones, and ones made by somebody who knows how they are made."""

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import orjson
from hypothesis import strategies as st

Damage = Callable[[str], str]
PLACES = st.integers(0, 400)
CHARACTERS = st.characters(exclude_categories=["Cs"])

# What can happen to a cursor: a bit flipped, a character swapped, cut, made longer, or any text in its place.
DAMAGE: st.SearchStrategy[Damage] = st.one_of(
    st.tuples(PLACES, st.integers(0, 6)).map(lambda how: lambda cursor: _flipped(cursor, *how)),
    st.tuples(PLACES, CHARACTERS).map(lambda how: lambda cursor: _swapped(cursor, *how)),
    PLACES.map(lambda at: lambda cursor: cursor[: at % len(cursor)]),
    st.text(st.sampled_from("AQgw01-_=+/. %"), min_size=1, max_size=8).map(lambda more: lambda cursor: cursor + more),
    st.text(CHARACTERS, max_size=200).map(lambda text: lambda _cursor: text),
)


def _flipped(text: str, at: int, bit: int) -> str:
    return _swapped(text, at, chr(ord(text[at % len(text)]) ^ (1 << bit)))


def _swapped(text: str, at: int, character: str) -> str:
    at %= len(text)
    return text[:at] + character + text[at + 1 :]


def forged(binding: Any, place: bytes) -> str:
    """A cursor with any place in it, made as `app.http.paging` makes them: no secret is in one, only a checksum."""
    digest = hashlib.blake2b(orjson.dumps(binding) + b"\0" + place, digest_size=12).digest()
    return base64.urlsafe_b64encode(digest + place).rstrip(b"=").decode()


FORGED_PLACES = [
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
