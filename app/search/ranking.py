"""Which of the newest matches fit best: BM25 over them alone, computed here, so that it is alike on both databases.

See Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), section 3.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from app.search.query import Phrase, Query

# The usual values: how soon a word said again adds little, and how much a long document counts for less.
_K1 = 1.2
_B = 0.75
# A title or summary is about what it names; a message may only mention it.
_CHAT_COUNTS = 2.0
# Of a long document, that much is looked at.
LOOKED_AT_CHARACTERS = 4000


class Match(NamedTuple):
    """A document that was found.

    Attributes:
        at: its `created_at`, as it can be compared with others of its database; it and `doc` say the order by time.
        words: the beginning of its words, and `length` how long all of them are; empty where nobody asked.
    """

    at: Any
    doc: int
    chat_id: Any
    seq: int
    words: str = ""
    length: int = 0


def rank(query: Query, matches: Sequence[Match]) -> list[Match]:
    """The matches, best first; those that are as good, newest first."""
    if not matches:
        return []
    phrases = list(dict.fromkeys(phrase for clause in query.every for phrase in clause))
    # Words next to each other share a space: with two, each can be counted with its own.
    texts = [match.words.replace(" ", "  ") for match in matches]
    mean = sum(match.length for match in matches) / len(matches)
    weights = [_K1 * (1 - _B + _B * match.length / mean) for match in matches]
    scores = [0.0] * len(matches)
    for phrase in phrases:
        counts = _counts(phrase, texts)
        having = sum(count > 0 for count in counts)
        rarity = math.log(1 + (len(matches) - having + 0.5) / (having + 0.5))
        for place, count in enumerate(counts):
            if count:
                scores[place] += rarity * count * (_K1 + 1) / (count + weights[place])
    scored = [
        (score * (1.0 if match.seq else _CHAT_COUNTS), match) for score, match in zip(scores, matches, strict=True)
    ]
    # No two have the same number, so that no more than the first two are compared.
    scored.sort(reverse=True)
    return [match for _, match in scored]


def _counts(phrase: Phrase, texts: Sequence[str]) -> list[int]:
    """How often a phrase stands in each text, whose words have two spaces between them."""
    looked_for = f" {'  '.join(phrase.terms)}{'' if phrase.prefix else ' '}"
    return [text.count(looked_for) for text in texts]
