"""What a search asks for: the query language, read into clauses that both databases answer alike."""

import re
from dataclasses import dataclass

from app.http.errors import BadRequest
from app.search import tokenizer

MAX_CHARACTERS = 1000
MAX_PHRASES = 32
MAX_TERMS = 128

_QUOTES = '"“”„‟＂«»'
# A hyphen before a word or phrase, what is between quotes (the last may be missing) or up to a space or quote, and
# asterisks behind a closing quote.
_TOKEN = re.compile(
    rf"(?P<without>(?<!\S)-)?"
    rf"(?:[{_QUOTES}](?P<quoted>[^{_QUOTES}]*)(?:[{_QUOTES}](?P<stars>\**)|$)|(?P<bare>[^\s{_QUOTES}]+))"
)
_OPERATORS = {"AND", "OR"}


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that stand next to each other in this order. With `prefix` the last one is a word's beginning."""

    terms: tuple[str, ...]
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: one phrase of each clause in `every`, and none of `none`."""

    every: tuple[tuple[Phrase, ...], ...]
    none: tuple[Phrase, ...] = ()


def parse(text: str) -> Query:
    """Reads a query. Nobody gets an error for a mark too many or too few: what has no meaning is passed over.

    Raises BadRequest (400) when it is longer than 1,000 characters, has more than 32 words and phrases or more than
    128 words in all, or has nothing to look for.
    """
    if len(text) > MAX_CHARACTERS:
        raise BadRequest(f"A search is at most {MAX_CHARACTERS:,} characters long.")
    every: list[dict[Phrase, None]] = []
    none: dict[Phrase, None] = {}
    alternative = joinable = False
    for token in _TOKEN.finditer(text):
        if token["bare"] in _OPERATORS and not token["without"]:
            alternative = joinable and token["bare"] == "OR"
            continue
        phrase = _phrase(token)
        if phrase is None:
            continue
        if token["without"]:
            none[phrase] = None
        elif alternative:
            every[-1][phrase] = None
        else:
            every.append({phrase: None})
        joinable, alternative = not token["without"], False
    clauses = tuple(dict.fromkeys(tuple(clause) for clause in every))
    _check(clauses, tuple(none))
    return Query(clauses, tuple(none))


def matches(query: Query, document: str) -> bool:
    """Whether a document is found, by its words: each between two spaces, as `Document.words` keeps them."""
    return all(any(_stands_in(phrase, document) for phrase in clause) for clause in query.every) and not any(
        _stands_in(phrase, document) for phrase in query.none
    )


def _stands_in(phrase: Phrase, document: str) -> bool:
    return f" {' '.join(phrase.terms)}{'' if phrase.prefix else ' '}" in document


def _phrase(token: re.Match[str]) -> Phrase | None:
    """What a word or phrase of a query looks for. None: it has no words."""
    written = token["bare"] if token["quoted"] is None else token["quoted"]
    beginning = written.rstrip("*")
    terms = tokenizer.split(beginning)
    if not terms:
        return None
    last = terms[-1]
    if tokenizer.is_paired(last):
        # The pairs before say it all; what a run ends with in a document need not be its end in the query.
        if len(terms) > 1 and len(terms[-2]) == 2 and tokenizer.is_paired(terms[-2]):
            return Phrase(tuple(terms[:-1]))
        return Phrase(tuple(terms), prefix=True)
    starred = beginning != written or bool(token["stars"])
    return Phrase(tuple(terms), starred and not tokenizer.fold(beginning).endswith(" "))


def _check(every: tuple[tuple[Phrase, ...], ...], none: tuple[Phrase, ...]) -> None:
    if not every:
        raise BadRequest(
            "A search needs something to find: only what it must not have is said."
            if none
            else "A search needs something to find: there is no letter or number in it."
        )
    phrases = [phrase for clause in every for phrase in clause] + list(none)
    if len(phrases) > MAX_PHRASES:
        raise BadRequest(f"A search has at most {MAX_PHRASES} words and phrases.")
    if sum(len(phrase.terms) for phrase in phrases) > MAX_TERMS:
        raise BadRequest(f"A search has at most {MAX_TERMS} words, those of its phrases included.")
