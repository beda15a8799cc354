"""Query parser: the search language, parsed into clauses that both databases answer alike."""

import re
from dataclasses import dataclass

from app.http.errors import BadRequest
from app.search import tokenizer

MAX_CHARACTERS = 1000
MAX_PHRASES = 32
MAX_TERMS = 128

_QUOTES = '"“”„‟＂«»'
# A hyphen before a word or phrase; what is in quotes, the last of which may be missing, or goes up to a space or quote;
# and asterisks behind a closing quote.
_TOKEN = re.compile(
    rf"(?P<without>(?<!\S)-)?"
    rf"(?:[{_QUOTES}](?P<quoted>[^{_QUOTES}]*)(?:[{_QUOTES}](?P<stars>\**)|$)|(?P<bare>[^\s{_QUOTES}]+))"
)
_OPERATORS = {"AND", "OR"}


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words next to each other, in this order. With `prefix` the last one is the beginning of a word."""

    terms: tuple[str, ...]
    prefix: bool = False

    def text(self, separator: str = " ") -> str:
        """The text to find in a document's words, which stand between two spaces each."""
        return f" {separator.join(self.terms)}{'' if self.prefix else ' '}"


@dataclass(frozen=True, slots=True)
class Query:
    """What to find: one phrase of each clause in `required`, and none in `excluded`."""

    required: tuple[tuple[Phrase, ...], ...]
    excluded: tuple[Phrase, ...] = ()

    def phrases(self) -> list[Phrase]:
        """Every phrase of it."""
        return [*(phrase for clause in self.required for phrase in clause), *self.excluded]


def parse(text: str) -> Query:
    """Parses a query. Marks without a meaning are passed over, never an error.

    Raises BadRequest (400) when it is longer than 1,000 characters, has more than 32 words and phrases or more than
    128 words in all, or has nothing to look for.
    """
    if len(text) > MAX_CHARACTERS:
        raise BadRequest(f"A search is at most {MAX_CHARACTERS:,} characters long.")
    required: list[dict[Phrase, None]] = []
    excluded: dict[Phrase, None] = {}
    is_alternative = can_be_joined = False
    for token in _TOKEN.finditer(text):
        if token["bare"] in _OPERATORS and not token["without"]:
            is_alternative = can_be_joined and token["bare"] == "OR"
            continue
        phrase = _phrase(token)
        if phrase is None:
            continue
        if token["without"]:
            excluded[phrase] = None
        elif is_alternative:
            required[-1][phrase] = None
        else:
            required.append({phrase: None})
        can_be_joined, is_alternative = not token["without"], False
    query = Query(tuple(dict.fromkeys(tuple(clause) for clause in required)), tuple(excluded))
    _check(query)
    return query


def matches(query: Query, words: str) -> bool:
    """Whether a query finds a document by its words, each between two spaces, as `Document.words` has them."""
    return all(any(phrase.text() in words for phrase in clause) for clause in query.required) and not any(
        phrase.text() in words for phrase in query.excluded
    )


def _phrase(token: re.Match[str]) -> Phrase | None:
    """The phrase of a word or of what stands in quotes; None where it has no words."""
    text = token["bare"] if token["quoted"] is None else token["quoted"]
    without_stars = text.rstrip("*")
    terms = tokenizer.tokenize(without_stars)
    if not terms:
        return None
    last = terms[-1]
    if tokenizer.is_bigram_script(last):
        # The pairs before it have all characters: a run may end in the query where it goes on in a document.
        if len(terms) > 1 and len(terms[-2]) == 2 and tokenizer.is_bigram_script(terms[-2]):
            return Phrase(tuple(terms[:-1]))
        return Phrase(tuple(terms), prefix=True)
    has_star = without_stars != text or bool(token["stars"])
    return Phrase(tuple(terms), has_star and not tokenizer.fold(without_stars).endswith(" "))


def _check(query: Query) -> None:
    if not query.required:
        raise BadRequest(
            "A search needs something to find: only what it must not have is said."
            if query.excluded
            else "A search needs something to find: there is no letter or number in it."
        )
    phrases = query.phrases()
    if len(phrases) > MAX_PHRASES:
        raise BadRequest(f"A search has at most {MAX_PHRASES} words and phrases.")
    if sum(len(phrase.terms) for phrase in phrases) > MAX_TERMS:
        raise BadRequest(f"A search has at most {MAX_TERMS} words, those of its phrases included.")
