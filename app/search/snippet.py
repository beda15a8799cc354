"""Snippets: the part of a text that has the most of a query, as HTML with the matches marked."""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from html import escape
from typing import NamedTuple

from app.search import tokenizer
from app.search.query_parser import Phrase, Query, matches

LENGTH = 160
# So much of a text is searched: a page of hits takes some hundredths of a second at most.
_MAX_CHARACTERS = 64 * 1024
_MAX_NON_ASCII_CHARACTERS = 16 * 1024
_PART = 256
# How far a snippet's begin and end may move to be at the end of a word.
_WORD_MARGIN = 30
_MAX_HITS = 200


class _PhraseHit(NamedTuple):
    """A phrase in a text: where it begins and ends, its number in the query, and its first and last word."""

    start: int
    end: int
    phrase: int
    first: int
    last: int


def snippet(text: str, query: Query) -> str:
    """About 160 characters of a text around its matches, as HTML that is safe to show.

    It is escaped text with `<mark>…</mark>` around what the query asks for, and no other tag. White space becomes one
    space. It is the beginning where nothing matches in the first 64 Ki characters (16 Ki of a text that is not ASCII).
    """
    part = text[:_MAX_CHARACTERS]
    if not part.isascii():
        part = part[:_MAX_NON_ASCII_CHARACTERS]
    goes_on = len(part) < len(text)
    part = " ".join(part.split())
    begin, end = _best_window(part, query)
    window = part[begin:end]
    spans = _spans(window, query)
    hits = _hits(spans, query)
    left, right = _cut(window, *_best_hits(hits))
    marked = _marked(hits, spans, left, right)
    before = "…" if begin + left > 0 else ""
    after = "…" if goes_on or begin + right < len(part) else ""
    return before + _html(window, left, right, marked) + after


def _spans(text: str, query: Query) -> list[tuple[str, int, int]]:
    """The words of a text; only those that the query has, where that is enough."""
    pattern = _word_pattern(query) if text.isascii() else None
    if pattern is None:
        return tokenizer.token_spans(text)
    words = pattern.finditer(text.lower())
    return [(word[0][: tokenizer.MAX_WORD_LENGTH], word.start(), word.end()) for word in words]


@lru_cache(256)
def _word_pattern(query: Query) -> re.Pattern[str] | None:
    """Finds the words of a query in ASCII text in lower case; None where words have to stand next to each other."""
    phrases = {phrase for clause in query.required for phrase in clause}
    if any(len(phrase.terms) > 1 for phrase in phrases):
        return None
    goes_on = {phrase: phrase.prefix or len(phrase.terms[0]) == tokenizer.MAX_WORD_LENGTH for phrase in phrases}
    words = "|".join(re.escape(phrase.terms[0]) + ("[0-9a-z]*" if goes_on[phrase] else "") for phrase in phrases)
    return re.compile(f"(?<![0-9a-z])(?:{words})(?![0-9a-z])")


def _best_window(text: str, query: Query) -> tuple[int, int]:
    """The two parts of a text, next to each other, that meet the most clauses of a query."""
    if len(text) <= 2 * _PART:
        return 0, len(text)
    most, window = 0, (0, 2 * _PART)
    last_begin, last_folded = 0, ""
    for begin, end in _parts(text):
        folded = tokenizer.fold(text[begin:end])
        count = _count_clauses(last_folded + folded, query)
        if count > most:
            most, window = count, (last_begin, end)
            if count == len(query.required):
                break
        last_begin, last_folded = begin, folded
    return window


def _parts(text: str) -> Iterator[tuple[int, int]]:
    begin = 0
    while begin < len(text):
        end = min(begin + _PART, len(text))
        if end < len(text):
            end = text.rfind(" ", end - _WORD_MARGIN, end) + 1 or end
        yield begin, end
        begin = end


def _count_clauses(folded: str, query: Query) -> int:
    candidates = [
        clause for clause in query.required if any(all(term in folded for term in phrase.terms) for phrase in clause)
    ]
    if not candidates:
        return 0
    words = f" {' '.join(tokenizer.tokenize(folded))} "
    return sum(matches(Query((clause,)), words) for clause in candidates)


def _hits(spans: list[tuple[str, int, int]], query: Query) -> list[_PhraseHit]:
    """Where the phrases of a query stand, in the order of the text."""
    by_first_word: dict[str, list[tuple[int, Phrase]]] = {}
    prefixes: list[tuple[int, Phrase]] = []
    for numbered in enumerate(dict.fromkeys(phrase for clause in query.required for phrase in clause)):
        if numbered[1].prefix and len(numbered[1].terms) == 1:
            prefixes.append(numbered)
        else:
            by_first_word.setdefault(numbered[1].terms[0], []).append(numbered)
    words = [word for word, _, _ in spans]
    hits: list[_PhraseHit] = []
    for first, word in enumerate(words):
        candidates = by_first_word.get(word)
        if candidates is None and not prefixes:
            continue
        begun = [(number, phrase) for number, phrase in candidates or () if _phrase_at(phrase, words, first)]
        begun += [(number, phrase) for number, phrase in prefixes if word.startswith(phrase.terms[0])]
        for number, phrase in begun:
            last = first + len(phrase.terms) - 1
            _, start, end = spans[last]
            if phrase.prefix and len(words[last]) == 2 and tokenizer.is_bigram_script(words[last]):
                # Only the first character of the bigram was asked for; the next word begins with the second.
                end = max(spans[last + 1][1], start + 1)
            hits.append(_PhraseHit(spans[first][1], end, number, first, last))
    return hits


def _phrase_at(phrase: Phrase, words: list[str], index: int) -> bool:
    *whole, last = phrase.terms
    end = index + len(whole)
    if end >= len(words) or words[index:end] != whole:
        return False
    return words[end].startswith(last) if phrase.prefix else words[end] == last


def _best_hits(hits: list[_PhraseHit]) -> tuple[int, int]:
    """Where the hits of the best snippet begin and end: different phrases count first, then their number."""
    best_score, best = (0, 0), (0, 0)
    candidates = hits[:_MAX_HITS]
    starts = [hit.start for hit in candidates]
    for index, first in enumerate(candidates):
        end = first.start + LENGTH
        near = [hit for hit in candidates[index : bisect_left(starts, end)] if hit.end <= end] or [first]
        score = (len({hit.phrase for hit in near}), len(near))
        if score > best_score:
            best_score, best = score, (first.start, max(hit.end for hit in near))
    return best


def _cut(text: str, first: int, last: int) -> tuple[int, int]:
    """Where a snippet begins and ends with `first` to `last` in its middle; at the ends of words that are near."""
    left = max(0, min(first - (LENGTH - last + first) // 2, len(text) - LENGTH))
    left = min(left, first)
    right = min(left + LENGTH, len(text))
    if left > 0:
        space = text.find(" ", left - 1, min(left + _WORD_MARGIN, first))
        if space >= 0:
            left = space + 1
        while left < first and _is_mark(text[left]):
            left += 1
    if right < len(text):
        space = text.rfind(" ", max(right - _WORD_MARGIN, last), right + 1)
        if space > left:
            return left, space
        while right > max(last, left + 1) and _is_mark(text[right]):
            right -= 1
    return left, right


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")


def _marked(hits: list[_PhraseHit], spans: list[tuple[str, int, int]], left: int, right: int) -> list[tuple[int, int]]:
    """What is marked between left and right: each word of the hits; words that overlap or touch are one mark."""
    ends: dict[int, int] = {}
    done = 0
    for hit in hits:
        for index in range(max(hit.first, done), hit.last):
            ends[index] = spans[index][2]
        ends[hit.last] = max(ends.get(hit.last, 0), hit.end)
        done = max(done, hit.last)
    marked: list[tuple[int, int]] = []
    for index in sorted(ends):
        start, end = max(spans[index][1], left), min(ends[index], right)
        if marked and start <= marked[-1][1]:
            marked[-1] = (marked[-1][0], max(end, marked[-1][1]))
        elif start < end:
            marked.append((start, end))
    return marked


def _html(text: str, left: int, right: int, marked: list[tuple[int, int]]) -> str:
    html: list[str] = []
    for start, end in marked:
        html += [escape(text[left:start]), "<mark>", escape(text[start:end]), "</mark>"]
        left = end
    html.append(escape(text[left:right]))
    return "".join(html)
