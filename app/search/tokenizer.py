"""The words that a text is found by: the one tokenizer of documents and queries, on both databases.

A word is a run of letters, numbers and marks; all else separates, the underscore too. Words are folded: NFKC, case and
accents do not count, and every script's digits are 0 to 9. Where words are written without spaces, and in Hangul, where
particles stick to them, every two characters that stand together are a word, and the last of a run is one alone: so
every character begins a word, and a part of a run is found as its pairs, one after the other.

Everything is done character by character, but for the composition at the end. So a piece of what was folded, folded
again, stays what it is, and a word taken from a text finds it.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import accumulate

# What was made by another version is made anew: to be raised with every change of what a text's words are.
TOKENIZER = 1
LONGEST_WORD = 64
MAX_BYTES = 200_000

# Of a longer text, the beginning: nearly always the words of less than that already are all that count.
_LOOKED_AT = 1 << 19
_PIECE = 4096
# A character becomes 18 letters of Arabic at most (U+FDFA), or two of four bytes each, and spaces between.
_BYTES_PER_CHARACTER = 40
_REMEMBERED = 1 << 15

# Signs that people write or leave out: diacritics of Latin, Greek and Cyrillic, Hebrew and Arabic points, the Arabic
# tatweel. Vowel signs of Indic scripts and the voicing marks of kana are no such signs.
_OPTIONAL = (
    "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    "\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u08ca-\u08e1\u08e3-\u08ff"
)
# What nobody sees, so that nobody can search for it: Unicode's Default_Ignorable_Code_Point.
_UNSEEN = (
    "\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_DROPPED = re.compile(f"[{_OPTIONAL}{_UNSEEN}]")
# Letters that are written in two ways, or whose stroke is an accent to all who cannot type it, and apostrophes that
# Unicode calls letters.
_ALIKE = str.maketrans(
    dict(zip("ıøłđħŧىیکةʻʼ", "ioldhtييكه  ", strict=True)) | {"æ": "ae", "œ": "oe"},
)
# Blocks of scripts written without spaces: Thai and Lao, Myanmar, Hangul, Khmer, Tai, Javanese and Balinese, kana,
# Bopomofo, Han, Yi, Tangut, Nushu and what Unicode will add to Han.
_PAIRED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f\u2e80-\u2fff"
    "\u3005-\u3007\u3021-\u302f\u3031-\u303c\u3040-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua9ff\uaa60-\uaadf"
    "\uac00-\ud7ff\uf900-\ufaff\U00016fe0-\U00018dff\U0001aff0-\U0001b2ff\U00020000-\U0003ffff"
)
_PAIRED_CHARACTER = re.compile(f"[{_PAIRED}]")
_RUN = re.compile(f"[{_PAIRED}]+|[^ {_PAIRED}]+")
_WORD = re.compile(f"(?=([{_PAIRED}]{{1,2}}))[{_PAIRED}]|([^ {_PAIRED}]+)")
_PIECE_OF_TEXT = re.compile(r"\S+")
_ASCII_WORD = re.compile("[0-9a-z]+")
# Persian writes a word's parts with a non-joiner between, or a space, Thai and Khmer a word's end with a space of no
# width, or nothing. Both are seldom enough to be looked for only in texts that have them.
_NON_JOINER = re.compile("(?<=[\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc])\u200c")
_NO_WIDTH = re.compile(f"(?<=[{_PAIRED}])\u200b")
# In a folded text, all but letters, numbers and spaces are marks. Marks are put in order by what grows with the square
# of their number.
_MARKS = re.compile(r"([^\w ]{64})[^\w ]+")
# Where a text can be cut so that its pieces, folded one by one, make what the whole would: not before what joins with
# something (marks, Hangul letters, halfwidth voicing marks), nor before what vanishes.
_FIRM = re.compile(
    rf"[\x00-\x7f]|(?![\u1161-\u11ff\u3131-\u318e\ud7b0-\ud7ff\uff9e-\uffdc\ufe70-\ufe7f\ufcf2-\ufcf4"
    rf"{_OPTIONAL}{_UNSEEN}])\w"
)


class _Characters(dict[int, str]):
    """What becomes of each character: found out when it is first met."""

    def __missing__(self, code: int) -> str:
        if len(self) >= _REMEMBERED:
            self.clear()
        self[code] = folded = _fold_character(chr(code))
        return folded


def _fold_character(character: str) -> str:
    folded, before = character, ""
    while folded != before:
        before = folded
        folded = _DROPPED.sub("", unicodedata.normalize("NFKD", folded)).casefold().translate(_ALIKE)
    return unicodedata.normalize("NFC", "".join(map(_as_written, folded)))


def _as_written(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    return character if category[0] in "LNM" else " "


_characters = _Characters()


def fold(text: str) -> str:
    """The text as it is compared: letters, numbers and marks, folded; a space for each character that separates."""
    if text.isascii():
        return text.translate(_characters)
    return unicodedata.normalize("NFC", _MARKS.sub(r"\1", _with_hidden_spaces(text).translate(_characters)))


def is_paired(character: str) -> bool:
    """Whether a folded character is of a script whose words are taken as pairs."""
    return _PAIRED_CHARACTER.match(character) is not None


def split(text: str) -> list[str]:
    """The words of a text in their order, folded; of each the first 64 characters.

    At most as many as take 200,000 bytes as UTF-8 with a space before, between and behind them.
    """
    if len(text) * _BYTES_PER_CHARACTER <= MAX_BYTES:
        return _words(fold(text))
    words: list[str] = []
    left, rest = MAX_BYTES - 1, ""
    for piece in _pieces(text[:_LOOKED_AT]):
        found, rest = _whole_words(rest + piece)
        left -= len(" ".join(found).encode()) + 1 if found else 0
        words += found
        if left < 0:
            break
    else:
        found = _words(rest)
        left -= sum(len(word.encode()) + 1 for word in found)
        words += found
    while left < 0:
        left += len(words.pop().encode()) + 1
    return words


def spans(text: str) -> list[tuple[str, int, int]]:
    """The words of a text with where in it they begin and end, accents included; of a short text, for it is slower.

    A character that makes several words stands for each of them.
    """
    if text.isascii():
        runs = _ASCII_WORD.finditer(text.lower())
        return [(run[0][:LONGEST_WORD], run.start(), run.end()) for run in runs]
    found = _spans(text)
    if [word for word, _, _ in found] == split(text):
        return found
    # Marks of two scripts on one character change places when they are composed: then all that stands between two
    # spaces is the place of each of its words.
    found = []
    for piece in _PIECE_OF_TEXT.finditer(text):
        inside, begin = _spans(piece[0]), piece.start()
        if [word for word, _, _ in inside] == (whole := split(piece[0])):
            found += [(word, begin + start, begin + end) for word, start, end in inside]
        else:
            found += [(word, begin, piece.end()) for word in whole]
    return found


def _spans(text: str) -> list[tuple[str, int, int]]:
    characters, origins = _with_origins(text)
    found: list[tuple[str, int, int]] = []
    for run in _RUN.finditer(characters):
        first, last = run.span()
        word = unicodedata.normalize("NFC", run[0])
        if not is_paired(word):
            found.append((word[:LONGEST_WORD], origins[first], max(origins[last], origins[last - 1] + 1)))
            continue
        # Where each character of the run begins, and where the run ends: composing makes one of several.
        places = [*range(first, last + 1)]
        if len(word) < last - first:
            lengths = [len(unicodedata.normalize("NFD", character)) for character in word]
            places = [*accumulate(lengths, initial=first)]
        for place, (begin, end) in enumerate(zip(places, [*places[2:], last], strict=False)):
            found.append((word[place : place + 2], origins[begin], max(origins[end], origins[end - 1] + 1)))
    return found


def _with_hidden_spaces(text: str) -> str:
    """The text, as long as it was, with what is a space to some scripts and nothing to others made the one or other."""
    if "\u200c" in text:
        text = _NON_JOINER.sub(" ", text)
    if "\u200b" in text:
        text = _NO_WIDTH.sub("\u2060", text)
    return text


def _words(folded: str) -> list[str]:
    if folded.isascii() or not _PAIRED_CHARACTER.search(folded):
        return [word[:LONGEST_WORD] for word in folded.split()]
    return [pair or word[:LONGEST_WORD] for pair, word in _WORD.findall(folded)]


def _whole_words(folded: str) -> tuple[list[str], str]:
    """The words of a piece, and what the next piece may go on with."""
    if folded.endswith(" ") or not folded:
        return _words(folded), ""
    start = folded.rfind(" ") + 1
    last = _RUN.findall(folded, start)[-1]
    words = _words(folded[: len(folded) - len(last)])
    if is_paired(last):
        return words + [last[place : place + 2] for place in range(len(last) - 1)], last[-1]
    return words, last[:LONGEST_WORD]


def _pieces(text: str) -> Iterator[str]:
    """The folded text in pieces."""
    start = 0
    while start < len(text):
        firm = _FIRM.search(text, start + _PIECE)
        end = firm.start() if firm else len(text)
        yield fold(text[start:end])
        start = end


def _with_origins(text: str) -> tuple[str, list[int]]:
    """The text's characters folded and decomposed, and for each and the end, which character it comes from."""
    folded = [_characters[ord(character)] for character in _with_hidden_spaces(text)]
    if not unicodedata.is_normalized("NFD", "".join(folded)):
        folded = [unicodedata.normalize("NFD", one) for one in folded]
    origins = [place for place, one in enumerate(folded) for _ in one] + [len(text)]
    characters = "".join(folded)
    for marks in reversed(list(_MARKS.finditer(characters))):
        del origins[marks.end(1) : marks.end()]
    # Marks change places with each other at most, which puts an accent's origin a character off.
    return unicodedata.normalize("NFD", _MARKS.sub(r"\1", characters)), origins
