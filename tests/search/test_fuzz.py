"""Queries that nobody would write: each is read at once, or refused with a reason."""

import random
import time

from app.http.errors import BadRequest
from app.search import tokenizer
from app.search.query_parser import MAX_CHARACTERS, MAX_PHRASES, MAX_TERMS, matches, parse
from app.search.snippet import snippet
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


def test_ten_thousand_queries() -> None:
    draw = random.Random(4)
    text = document(tokenizer.tokenize(TEXT))
    found = refused = 0
    slowest = 0.0
    for _ in range(10_000):
        pieces = draw.choices(FRAGMENTS, k=draw.choice((1, 3, 10, 40)))
        if draw.random() < 0.3:
            pieces.append(chr(draw.randrange(0x110000)))
        asked = draw.choice(("", " ")).join(pieces)
        start = time.process_time()
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
        slowest = max(slowest, time.process_time() - start)
    assert slowest < SECONDS
    # The fragments are of a kind that something happens.
    assert found > 500
    assert refused > 1000
