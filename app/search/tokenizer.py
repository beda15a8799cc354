"""Tokenizer: the words by which a text is found. Both databases use it, for documents and queries.

A word is a run of letters, numbers and marks; everything else separates words, the underscore too. Words are folded:
NFKC, without case and accents, and with the digits 0 to 9 for those of every script. Scripts that are written without
spaces, and Hangul, whose particles stick to words, are split into bigrams: every two characters next to each other are
a word, and so is the last character of a run alone. So every character begins a word, and any part of a run is found
by its bigrams, one after the other.

Folding works character by character, but for the composition at the end. So a part of a folded text stays as it is
when it is folded again, and a word taken from a text finds the text.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import accumulate

# To be raised when the words of any text change: whoever was indexed with another version is indexed again.
TOKENIZER_VERSION = 1
MAX_WORD_LENGTH = 64
MAX_BYTES = 200_000

# Only the beginning of a longer text: nearly always its words are more than MAX_BYTES already.
_MAX_CHARACTERS = 1 << 19
_PART = 4096
# A character becomes 18 letters of Arabic at most (U+FDFA), or two of four bytes each, and spaces between.
_BYTES_PER_CHARACTER = 40
_CACHE_SIZE = 1 << 15

# Marks that people write or leave out: diacritics of Latin, Greek and Cyrillic, Hebrew and Arabic points, the Arabic
# tatweel. Vowel signs of Indic scripts and the voicing marks of kana are never left out.
_OPTIONAL_MARKS = (
    "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    "\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u08ca-\u08e1\u08e3-\u08ff"
)
# Invisible characters, which nobody can search for: Unicode's Default_Ignorable_Code_Point.
_IGNORABLE = (
    "\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_DROPPED = re.compile(f"[{_OPTIONAL_MARKS}{_IGNORABLE}]")
# Letters that are written in two ways, letters with a stroke, which many people cannot type, and apostrophes that are
# letters in Unicode.
_EQUIVALENT = str.maketrans(dict(zip("ıøłđħŧىیکةʻʼ", "ioldhtييكه  ", strict=True)) | {"æ": "ae", "œ": "oe"})
# Blocks of scripts written without spaces: Thai and Lao, Myanmar, Hangul, Khmer, Tai, Javanese and Balinese, kana,
# Bopomofo, Han, Yi, Tangut, Nushu and what Unicode will add to Han.
_BIGRAM_SCRIPTS = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f\u2e80-\u2fff"
    "\u3005-\u3007\u3021-\u302f\u3031-\u303c\u3040-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua9ff\uaa60-\uaadf"
    "\uac00-\ud7ff\uf900-\ufaff\U00016fe0-\U00018dff\U0001aff0-\U0001b2ff\U00020000-\U0003ffff"
)
_BIGRAM_CHARACTER = re.compile(f"[{_BIGRAM_SCRIPTS}]")
_RUN = re.compile(f"[{_BIGRAM_SCRIPTS}]+|[^ {_BIGRAM_SCRIPTS}]+")
_WORD = re.compile(f"(?=([{_BIGRAM_SCRIPTS}]{{1,2}}))[{_BIGRAM_SCRIPTS}]|([^ {_BIGRAM_SCRIPTS}]+)")
_NON_SPACE = re.compile(r"\S+")
_ASCII_WORD = re.compile("[0-9a-z]+")
# Persian has a non-joiner or a space between the parts of a word; Thai and Khmer have a space of no width or nothing at
# the end of a word. Both are rare, so they are handled only in texts that have them.
_NON_JOINER = re.compile("(?<=[\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc])\u200c")
_NO_WIDTH = re.compile(f"(?<=[{_BIGRAM_SCRIPTS}])\u200b")
# In a folded text, all but letters, numbers and spaces are marks. Sorting marks takes time that grows with the square
# of their number.
_MARKS = re.compile(r"([^\w ]{64})[^\w ]+")
# Where a text can be cut without changing how it folds: not before what joins with the character before it (marks,
# Hangul letters, halfwidth voicing marks), nor before what folds to nothing.
_CUT = re.compile(
    rf"[\x00-\x7f]|(?![\u1161-\u11ff\u3131-\u318e\ud7b0-\ud7ff\uff9e-\uffdc\ufe70-\ufe7f\ufcf2-\ufcf4"
    rf"{_OPTIONAL_MARKS}{_IGNORABLE}])\w"
)


class _FoldedCharacters(dict[int, str]):
    """Cache of folded characters, filled when a character is first seen."""

    def __missing__(self, code: int) -> str:
        if len(self) >= _CACHE_SIZE:
            self.clear()
        self[code] = folded = _fold_character(chr(code))
        return folded


def _fold_character(character: str) -> str:
    folded, before = character, ""
    while folded != before:
        before = folded
        folded = _DROPPED.sub("", unicodedata.normalize("NFKD", folded)).casefold().translate(_EQUIVALENT)
    return unicodedata.normalize("NFC", "".join(map(_normalize, folded)))


def _normalize(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    return character if category[0] in "LNM" else " "


_folded_characters = _FoldedCharacters()


def fold(text: str) -> str:
    """The folded text: letters, numbers and marks, and a space for each character that separates words."""
    if text.isascii():
        return text.translate(_folded_characters)
    return unicodedata.normalize("NFC", _MARKS.sub(r"\1", _resolve_hidden_spaces(text).translate(_folded_characters)))


def is_bigram_script(character: str) -> bool:
    """Whether a folded character is of a script that is split into bigrams."""
    return _BIGRAM_CHARACTER.match(character) is not None


def tokenize(text: str) -> list[str]:
    """The words of a text in their order, folded, of each the first 64 characters.

    The words end where they would take more than 200,000 bytes as UTF-8, with a space before, between and behind them.
    """
    if len(text) * _BYTES_PER_CHARACTER <= MAX_BYTES:
        return _words(fold(text))
    words: list[str] = []
    free, rest = MAX_BYTES - 1, ""
    for part in _folded_parts(text[:_MAX_CHARACTERS]):
        more, rest = _whole_words(rest + part)
        free -= len(" ".join(more).encode()) + 1 if more else 0
        words += more
        if free < 0:
            break
    else:
        more = _words(rest)
        free -= sum(len(word.encode()) + 1 for word in more)
        words += more
    while free < 0:
        free += len(words.pop().encode()) + 1
    return words


def token_spans(text: str) -> list[tuple[str, int, int]]:
    """The words of a text with where each begins and ends, accents included. For short texts, since it is slow.

    A character that folds to several words is the span of each.
    """
    if text.isascii():
        runs = _ASCII_WORD.finditer(text.lower())
        return [(run[0][:MAX_WORD_LENGTH], run.start(), run.end()) for run in runs]
    spans = _spans(text)
    if [word for word, _, _ in spans] == tokenize(text):
        return spans
    # Marks of two scripts on one character change places when they are composed. Then all that stands between two
    # spaces is the span of each of its words.
    spans = []
    for part in _NON_SPACE.finditer(text):
        part_spans, begin = _spans(part[0]), part.start()
        if [word for word, _, _ in part_spans] == (words := tokenize(part[0])):
            spans += [(word, begin + start, begin + end) for word, start, end in part_spans]
        else:
            spans += [(word, begin, part.end()) for word in words]
    return spans


def _spans(text: str) -> list[tuple[str, int, int]]:
    characters, origins = _with_origins(text)
    spans: list[tuple[str, int, int]] = []
    for run in _RUN.finditer(characters):
        first, last = run.span()
        word = unicodedata.normalize("NFC", run[0])
        if not is_bigram_script(word):
            spans.append((word[:MAX_WORD_LENGTH], origins[first], max(origins[last], origins[last - 1] + 1)))
            continue
        # Where each character of the run begins, and where the run ends: one composed character comes from several.
        starts = [*range(first, last + 1)]
        if len(word) < last - first:
            lengths = [len(unicodedata.normalize("NFD", character)) for character in word]
            starts = [*accumulate(lengths, initial=first)]
        for index, (begin, end) in enumerate(zip(starts, [*starts[2:], last], strict=False)):
            spans.append((word[index : index + 2], origins[begin], max(origins[end], origins[end - 1] + 1)))
    return spans


def _resolve_hidden_spaces(text: str) -> str:
    """The text with each non-joiner and space of no width as a space or an ignorable character, by its script."""
    if "\u200c" in text:
        text = _NON_JOINER.sub(" ", text)
    if "\u200b" in text:
        text = _NO_WIDTH.sub("\u2060", text)
    return text


def _words(folded: str) -> list[str]:
    if folded.isascii() or not _BIGRAM_CHARACTER.search(folded):
        return [word[:MAX_WORD_LENGTH] for word in folded.split()]
    return [pair or word[:MAX_WORD_LENGTH] for pair, word in _WORD.findall(folded)]


def _whole_words(folded: str) -> tuple[list[str], str]:
    """The words of a part, and the end of it that the next part may go on with."""
    if folded.endswith(" ") or not folded:
        return _words(folded), ""
    start = folded.rfind(" ") + 1
    last = _RUN.findall(folded, start)[-1]
    words = _words(folded[: len(folded) - len(last)])
    if is_bigram_script(last):
        return words + [last[index : index + 2] for index in range(len(last) - 1)], last[-1]
    return words, last[:MAX_WORD_LENGTH]


def _folded_parts(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        cut = _CUT.search(text, start + _PART)
        end = cut.start() if cut else len(text)
        yield fold(text[start:end])
        start = end


def _with_origins(text: str) -> tuple[str, list[int]]:
    """The characters of a text, folded and decomposed, and the index in the text that each, and the end, comes from."""
    folded = [_folded_characters[ord(character)] for character in _resolve_hidden_spaces(text)]
    if not unicodedata.is_normalized("NFD", "".join(folded)):
        folded = [unicodedata.normalize("NFD", character) for character in folded]
    origins = [index for index, character in enumerate(folded) for _ in character] + [len(text)]
    characters = "".join(folded)
    for marks in reversed(list(_MARKS.finditer(characters))):
        del origins[marks.end(1) : marks.end()]
    # Marks only change places with each other, so that the origin of an accent is off by a character at most.
    return unicodedata.normalize("NFD", _MARKS.sub(r"\1", characters)), origins
