"""What a hit shows: the part of a text where most of what was looked for stands together."""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from html import escape
from typing import NamedTuple

from app.search import tokenizer
from app.search.query import Phrase, Query, matches

LENGTH = 160
# So much of a text is looked at: for a page of hits that takes some hundredths of a second at most.
_LOOKED_AT = 64 * 1024
_LOOKED_AT_BEYOND_ASCII = 16 * 1024
_PIECE = 256
# How far from where a snippet should begin or end a word's end is looked for.
_NEAR = 30
_MOST_HITS = 200


class _Hit(NamedTuple):
    """A phrase found, by its number: where it begins and ends, and which words it is."""

    start: int
    end: int
    phrase: int
    first: int
    last: int


def snippet(text: str, query: Query) -> str:
    """About 160 characters of a text around what was found, as HTML that is safe to show.

    It is escaped text in which `<mark>…</mark>` is around what the query asks for, and no other tag. White space is
    one space. Where nothing is found in the first 64 Ki characters (16 Ki of a text beyond ASCII), the beginning.
    """
    part = text[:_LOOKED_AT]
    if not part.isascii():
        part = part[:_LOOKED_AT_BEYOND_ASCII]
    goes_on = len(part) < len(text)
    part = " ".join(part.split())
    begin, end = _place(part, query)
    window = part[begin:end]
    spans = _spans(window, query)
    hits = _hits(spans, query)
    left, right = _cut(window, *_best(hits))
    marked = _marked(hits, spans, left, right)
    before = "…" if begin + left > 0 else ""
    after = "…" if goes_on or begin + right < len(part) else ""
    return before + _html(window, left, right, marked) + after


def _spans(text: str, query: Query) -> list[tuple[str, int, int]]:
    """The words of a text, or no others than those looked for, where that is all that is needed."""
    pattern = _alone(query) if text.isascii() else None
    if pattern is None:
        return tokenizer.spans(text)
    return [
        (found[0][: tokenizer.LONGEST_WORD], found.start(), found.end()) for found in pattern.finditer(text.lower())
    ]


@lru_cache(256)
def _alone(query: Query) -> re.Pattern[str] | None:
    """Finds what is looked for in ASCII text in lower case; None where words have to stand next to each other."""
    phrases = {phrase for clause in query.every for phrase in clause}
    if any(len(phrase.terms) > 1 for phrase in phrases):
        return None
    goes_on = {phrase: phrase.prefix or len(phrase.terms[0]) == tokenizer.LONGEST_WORD for phrase in phrases}
    found = "|".join(re.escape(phrase.terms[0]) + ("[0-9a-z]*" if goes_on[phrase] else "") for phrase in phrases)
    return re.compile(f"(?<![0-9a-z])(?:{found})(?![0-9a-z])")


def _place(text: str, query: Query) -> tuple[int, int]:
    """The two pieces of a text, next to each other, in which the most clauses of a query are met."""
    if len(text) <= 2 * _PIECE:
        return 0, len(text)
    best, place = 0, (0, 2 * _PIECE)
    last, folded = (0, 0), ""
    for begin, end in _pieces(text):
        piece = tokenizer.fold(text[begin:end])
        met = _met(folded + piece, query)
        if met > best:
            best, place = met, (last[0], end)
            if met == len(query.every):
                break
        last, folded = (begin, end), piece
    return place


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    begin = 0
    while begin < len(text):
        end = min(begin + _PIECE, len(text))
        if end < len(text):
            end = text.rfind(" ", end - _NEAR, end) + 1 or end
        yield begin, end
        begin = end


def _met(folded: str, query: Query) -> int:
    """How many clauses a folded text meets."""
    likely = [
        clause for clause in query.every if any(all(term in folded for term in phrase.terms) for phrase in clause)
    ]
    if not likely:
        return 0
    document = f" {' '.join(tokenizer.split(folded))} "
    return sum(matches(Query((clause,)), document) for clause in likely)


def _hits(spans: list[tuple[str, int, int]], query: Query) -> list[_Hit]:
    """Where the phrases that are looked for stand, in the order of the text."""
    by_first: dict[str, list[tuple[int, Phrase]]] = {}
    beginnings: list[tuple[int, Phrase]] = []
    for numbered in enumerate(dict.fromkeys(phrase for clause in query.every for phrase in clause)):
        if numbered[1].prefix and len(numbered[1].terms) == 1:
            beginnings.append(numbered)
        else:
            by_first.setdefault(numbered[1].terms[0], []).append(numbered)
    found = [word for word, _, _ in spans]
    hits: list[_Hit] = []
    for place, word in enumerate(found):
        begun = by_first.get(word)
        if begun is None and not beginnings:
            continue
        here = [one for one in begun or () if _stands_at(one[1], found, place)]
        for number, phrase in here + [one for one in beginnings if word.startswith(one[1].terms[0])]:
            last = place + len(phrase.terms) - 1
            _, start, end = spans[last]
            if phrase.prefix and len(found[last]) == 2 and tokenizer.is_paired(found[last]):
                # Only the first of the pair was asked for; the next word begins with the second.
                end = max(spans[last + 1][1], start + 1)
            hits.append(_Hit(spans[place][1], end, number, place, last))
    return hits


def _stands_at(phrase: Phrase, found: list[str], place: int) -> bool:
    *whole, last = phrase.terms
    end = place + len(whole)
    if end >= len(found) or found[place:end] != whole:
        return False
    return found[end].startswith(last) if phrase.prefix else found[end] == last


def _best(hits: list[_Hit]) -> tuple[int, int]:
    """Where the hits begin and end that make the best snippet: different ones first, then many."""
    best, chosen = (0, 0), (0, 0)
    several = hits[:_MOST_HITS]
    starts = [hit.start for hit in several]
    for place, first in enumerate(several):
        end = first.start + LENGTH
        near = [hit for hit in several[place : bisect_left(starts, end)] if hit.end <= end] or [first]
        score = (len({hit.phrase for hit in near}), len(near))
        if score > best:
            best, chosen = score, (first.start, max(hit.end for hit in near))
    return chosen


def _cut(text: str, first: int, last: int) -> tuple[int, int]:
    """Where a snippet begins and ends that has `first` to `last` in its middle: at words' ends, if they are near."""
    left = max(0, min(first - (LENGTH - last + first) // 2, len(text) - LENGTH))
    left = min(left, first)
    right = min(left + LENGTH, len(text))
    if left > 0:
        space = text.find(" ", left - 1, min(left + _NEAR, first))
        if space >= 0:
            left = space + 1
        while left < first and _is_mark(text[left]):
            left += 1
    if right < len(text):
        space = text.rfind(" ", max(right - _NEAR, last), right + 1)
        if space > left:
            return left, space
        while right > max(last, left + 1) and _is_mark(text[right]):
            right -= 1
    return left, right


def _is_mark(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")


def _marked(hits: list[_Hit], spans: list[tuple[str, int, int]], left: int, right: int) -> list[tuple[int, int]]:
    """What is marked between left and right: each word of what was found, those that overlap or touch as one."""
    ends: dict[int, int] = {}
    done = 0
    for hit in hits:
        for place in range(max(hit.first, done), hit.last):
            ends[place] = spans[place][2]
        ends[hit.last] = max(ends.get(hit.last, 0), hit.end)
        done = max(done, hit.last)
    marked: list[tuple[int, int]] = []
    for place in sorted(ends):
        start, end = max(spans[place][1], left), min(ends[place], right)
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
