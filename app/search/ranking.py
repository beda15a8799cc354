"""Search ranking: BM25 over the newest matches, computed here, so that both databases rank alike.

See Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), section 3.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from app.search.query_parser import Query

# The usual values: how soon a repeated word adds little, and how much a long document counts for less.
_K1 = 1.2
_B = 0.75
# A title or summary is about what it names; a message may only mention it.
_CHAT_BOOST = 2.0
# So much of a long document's words is counted.
RANKED_CHARACTERS = 4000


class Match(NamedTuple):
    """A document that matches a query.

    Attributes:
        created_at: comparable with others of its database; it and `doc` are the order by time.
        words: the beginning of its words, and `length` the length of all of them; empty unless it is to be ranked.
    """

    created_at: Any
    doc: int
    chat_id: Any
    seq: int
    words: str = ""
    length: int = 0


def rank(query: Query, matches: Sequence[Match]) -> list[Match]:
    """The matches, best first; those with equal scores, newest first."""
    if not matches:
        return []
    phrases = list(dict.fromkeys(phrase for clause in query.required for phrase in clause))
    # Words next to each other share a space: with two, each can be counted with its own.
    texts = [match.words.replace(" ", "  ") for match in matches]
    mean_length = sum(match.length for match in matches) / len(matches)
    length_norms = [_K1 * (1 - _B + _B * match.length / mean_length) for match in matches]
    scores = [0.0] * len(matches)
    for phrase in phrases:
        phrase_text = phrase.text(separator="  ")
        frequencies = [text.count(phrase_text) for text in texts]
        document_frequency = sum(frequency > 0 for frequency in frequencies)
        idf = math.log(1 + (len(matches) - document_frequency + 0.5) / (document_frequency + 0.5))
        for index, frequency in enumerate(frequencies):
            if frequency:
                scores[index] += idf * frequency * (_K1 + 1) / (frequency + length_norms[index])
    boosted = [score * (1.0 if match.seq else _CHAT_BOOST) for score, match in zip(scores, matches, strict=True)]
    # No two matches have the same number, so that no more than `created_at` and `doc` are compared.
    return [match for _, match in sorted(zip(boosted, matches, strict=True), reverse=True)]
