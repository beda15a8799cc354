"""Queries that nobody would write: each is read at once, or refused with a reason."""

import contextlib
import random
import time

from app.http.errors import BadRequest
from app.search import tokenizer
from app.search.query_parser import MAX_CHARACTERS, MAX_PHRASES, MAX_TERMS, matches, parse
from app.search.snippet import snippet
from tests.profiles import count
from tests.search.texts import AWKWARD, document

FRAGMENTS = [
    *AWKWARD,
    *'" " " - -- * ** OR AND OR -" "* -* *- ( ) [ ] ^ ~ : \\ / % _ $ NEAR NOT {} a:b a* "a" -a'.split(),
    *"' ; DROP TABLE -- || && <-> :* !a & | chats.words NEAR(a,b)".split(),
    "\0",
    "\ud800",
    "\udfff",
    "\u202e",
    " ",
    "  ",
    "\t",
    "egg",
    "boil",
    "漢字",
    "a" * 100,
    "a " * 100,
    "漢字" * 50,
    "ﷺ" * 30,
    "\u0f72\u0f71" * 100,
]
TEXT = "".join(AWKWARD) + " How do I boil an egg? 漢字 " * 5
SECONDS = 0.1


def seconds(asked: str, text: str) -> float:
    """How long a query takes."""
    began = time.process_time()
    with contextlib.suppress(BadRequest):
        query = parse(asked)
        matches(query, text)
        snippet(TEXT, query)
    return time.process_time() - began


def test_thousands_of_queries(seed: int) -> None:
    draw = random.Random(seed)
    text = document(tokenizer.tokenize(TEXT))
    found = refused = 0
    slow: list[str] = []
    queries = count(fast=1_000, all=12_000)
    for _ in range(queries):
        pieces = draw.choices(FRAGMENTS, k=draw.choice((1, 3, 10, 40)))
        if draw.random() < 0.3:
            pieces.append(chr(draw.randrange(0x110000)))
        asked = draw.choice(("", " ")).join(pieces)
        began = time.process_time()
        try:
            query = parse(asked)
        except BadRequest:
            refused += 1
        else:
            asks = [phrase for clause in query.required for phrase in clause] + list(query.excluded)
            assert query.required
            assert 0 < len(asks) <= MAX_PHRASES
            assert sum(len(phrase.terms) for phrase in asks) <= MAX_TERMS
            assert len(asked) <= MAX_CHARACTERS
            found += matches(query, text)
            assert "<script" not in snippet(TEXT, query)
        if time.process_time() - began > SECONDS:
            slow.append(asked)
    # Not once, when this process was held up, but each time.
    assert [asked for asked in slow if min(seconds(asked, text) for _ in range(5)) > SECONDS] == []
    # The fragments are of a kind that something happens.
    assert found > queries // 20
    assert refused > queries // 10
