"""Made-up words that are as frequent as words of a language are: a few are everywhere, most are nearly nowhere.

The word of rank r comes about 1 / (r + 5) as often as all together (the law of Zipf and Mandelbrot): of messages of 40
words, the first is in about half, and each of the last ones in one of 110,000. Nothing here is random but by the given
generator, so that the same seed gives the same messages.
"""

from collections.abc import Sequence
from itertools import islice, product
from random import Random

SIZE = 400_000
_SHIFT = 5
_SPREAD = (SIZE + _SHIFT) / _SHIFT

_SYLLABLES = [consonant + vowel for vowel, consonant in product("aeiou", "bdfghklmnprstvzj")]
# Short words are frequent ones. Their last letter is in no other word, so that LIKE finds no word within another.
_SHORT = [syllable + last for last, syllable in product("xwyq", _SYLLABLES)]

FIRST_MIDDLING = len(_SHORT)
FIRST_RARE = FIRST_MIDDLING + len(_SYLLABLES) ** 2


def _mixed(words: list[str]) -> list[str]:
    """The same words, so that those that begin alike are not as frequent as each other."""
    step = 7919  # a prime that divides no number of words here, so that every word is met once
    return [words[place * step % len(words)] for place in range(len(words))]


def _words() -> list[str]:
    longer = (_mixed(["".join(parts) for parts in product(_SYLLABLES, repeat=count)]) for count in (2, 3))
    return [*_mixed(_SHORT), *islice((word for words in longer for word in words), SIZE - len(_SHORT))]


WORDS = _words()
RANK = {word: rank for rank, word in enumerate(WORDS)}


def draw(random: Random, count: int) -> list[str]:
    """So many words, drawn one by one: a number that is evenly spread between logarithms is the rank of one."""
    spread, shift, words, number = _SPREAD, _SHIFT, WORDS, random.random
    return [words[int(spread ** number() * shift) - shift] for _ in range(count)]


def sentences(words: Sequence[str]) -> str:
    """Words as people write them: in sentences of at most 12."""
    return " ".join(" ".join(words[start : start + 12]).capitalize() + "." for start in range(0, len(words), 12))
