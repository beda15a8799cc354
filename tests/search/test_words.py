"""The tokenizer: what a text is found by, and that each of its words finds it."""

import sys
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.search import tokenizer
from app.search.query_parser import matches, parse
from tests.profiles import examples
from tests.search.texts import AWKWARD, TEXTS, document

ASSIGNED = [
    character
    for character in map(chr, range(1, sys.maxunicode + 1))
    if unicodedata.category(character) not in ("Cn", "Co", "Cs")
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("How do I boil an egg?", "how do i boil an egg"),
        ("foo_bar-baz.qux@example.com", "foo bar baz qux example com"),
        ("café CAFE\u0301 ¿Dónde? Ångström", "cafe cafe donde angstrom"),
        ("Straße STRASSE ﬁne ΣΊΣΥΦΟΣ σίσυφος", "strasse strasse fine σισυφοσ σισυφοσ"),
        ("İstanbul ısı Łódź København æther", "istanbul isi lodz kobenhavn aether"),
        ("x² 5㎏ ½ Ⅷ ① 𝟗𝐀", "x2 5kg 1 2 viii 1 9a"),
        ("٢٠٢٣ ۲۰۲۳ २०२३ ๒๐๒๓", "2023 2023 2023 2023"),
        ("北京大学", "北京 京大 大学 学"),
        ("iPhone手机 14机", "iphone 手机 机 14 机"),
        ("ｺﾝﾋﾟｭｰﾀ を", "コン ンピ ピュ ュー ータ タ を"),
        ("ジョン・スミス", "ジョ ョン ン スミ ミス ス"),
        ("계란을 삶다", "계란 란을 을 삶다 다"),
        ("\u1112\u1161\u11ab 한 ㅎㅏ", "한 한 하"),
        ("น้ำ", "น้ ้ํ ํา า"),
        ("क़लम हिन्दी क्\u200dष", "क\u093cलम हिन्दी क्ष"),
        ("می\u200cخواهم ﻣﻲ کتاب", "مي خواهم مي كتاب"),
        ("مُحَمَّد مـحمد أحمد", "محمد محمد احمد"),
        ("שָׁלוֹם צה״ל", "שלום צה ל"),
        ("ёлка й", "елка и"),
        ("об'єднання об’єднання обʼєднання", "об єднання об єднання об єднання"),
        ("ក\u200bខ co\u00adop \u202bab\u202c", "កខ ខ coop ab"),
        ("1️⃣ ❤️ 🎉 👩‍💻", "1"),
        ("\u0301\u093eक", "\u093eक"),
        ("\ud800a", "a"),
        ("", ""),
    ],
)
def test_words(text: str, found: str) -> None:
    assert tokenizer.tokenize(text) == found.split()


def test_long_words_are_cut() -> None:
    assert tokenizer.tokenize("a" * 65 + " é" + "ß" * 64) == ["a" * 64, "e" + "s" * 63]
    assert parse("a" * 70) == parse("a" * 64)


def test_every_character_folds_to_what_stays() -> None:
    # Whatever can be the second half of a composition.
    joins = {chr(code) for span in (range(0x1161, 0x1176), range(0x11A8, 0x11C3)) for code in span}
    for character in ASSIGNED:
        parts = unicodedata.decomposition(character).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            joins.add(chr(int(parts[1], 16)))
    for character in ASSIGNED:
        folded = tokenizer.fold(character)
        assert tokenizer.fold(folded) == folded, hex(ord(character))
        assert tokenizer.fold(character.lower()) == folded, hex(ord(character))
        alone = unicodedata.normalize("NFD", folded)
        for one in alone:
            assert tokenizer.fold(one) == unicodedata.normalize("NFC", one), hex(ord(character))
            # How runs of marks are told from letters and numbers.
            assert one == " " or one.isalnum() == (unicodedata.category(one)[0] in "LN"), hex(ord(character))
        if tokenizer._CUT.match(character):
            assert alone, hex(ord(character))
            assert not unicodedata.combining(alone[0]), hex(ord(character))
            assert alone[0] not in joins, hex(ord(character))


@given(TEXTS)
@examples(fast=50, all=1200)
@example("".join(AWKWARD))
@example(" ".join(AWKWARD))
@example("a" + "\u0f72\u0f71" * 100)
@example("a\u3099\u093c")
def test_folding_twice_is_folding_once(text: str) -> None:
    folded = tokenizer.fold(text)
    assert tokenizer.fold(folded) == folded
    assert tokenizer.tokenize(folded) == tokenizer.tokenize(text)


@given(TEXTS)
@examples(fast=50, all=1200)
@example("".join(AWKWARD))
@example("a" + "\u0f72\u0f71" * 100)
@example("a\u3099\u093c")
@example("x カ\u093c\u3099 y")
def test_spans_are_the_words_with_their_places(text: str) -> None:
    spans = tokenizer.token_spans(text)
    assert [word for word, _, _ in spans] == tokenizer.tokenize(text)
    starts = [start for _, start, _ in spans]
    assert starts == sorted(starts)
    assert all(0 <= start < end <= len(text) for _, start, end in spans)


def test_a_span_covers_the_accents() -> None:
    text = "«Cafe\u0301», น้ำ e\u0301"
    assert [text[start:end] for _, start, end in tokenizer.token_spans(text)] == [
        "Cafe\u0301",
        "น้",
        "้ำ",
        "ำ",
        "ำ",
        "e\u0301",
    ]


@given(TEXTS)
@examples(fast=50, all=1200)
@example("".join(AWKWARD))
@example("a" + "\u0f72\u0f71" * 100)
def test_every_word_finds_its_text(text: str) -> None:
    found = tokenizer.tokenize(text)
    for word in set(found):
        assert matches(parse(word), document(found)), (word, parse(word))


@given(TEXTS.filter(lambda text: len(tokenizer.tokenize(text)) in range(1, 100)))
@examples(fast=50, all=1200)
def test_a_text_finds_itself_as_a_phrase(text: str) -> None:
    for quote in '"“”„‟＂«»*':
        text = text.replace(quote, " ")
    assert matches(parse(f'"{text}"'), document(tokenizer.tokenize(text)))


@given(st.lists(TEXTS, max_size=40), st.integers(1, 50))
@examples(fast=30, all=800)
def test_a_long_text_has_the_words_of_its_pieces(texts: list[str], piece: int) -> None:
    text = "".join(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer, "_PART", piece)
        patch.setattr(tokenizer, "_BYTES_PER_CHARACTER", tokenizer.MAX_BYTES + 1)
        in_pieces = tokenizer.tokenize(text)
    assert in_pieces == tokenizer.tokenize(text)


@pytest.mark.parametrize("text", ["ab ", "漢", "漢 ", "ﷺ", "е́ж ", "각", "a漢", "字🎉"])
def test_a_document_has_at_most_so_many_bytes(text: str) -> None:
    found = tokenizer.tokenize(text * 200_000)
    size = len(document(found).encode())
    assert tokenizer.MAX_BYTES - 20 < size <= tokenizer.MAX_BYTES
    assert tokenizer.tokenize(text * 300_000) == found


HOSTILE = {
    "spaces": " ",
    "one word": "a",
    "words": "a ",
    "Han": "漢字",
    "wide commas": "，",
    "emoji": "🎉",
    "Thai marks out of order": "\u0e48\u0e38",
    "Tibetan marks out of order": "\u0f72\u0f71",
    "marks with nothing between": "\u0f72\ufcf2\u0f71\u00ad",
    "accents out of order": "\u0301\u0316",
    "the longest expansion": "\ufdfa",
    "jamo": "\u1100\u1161",
    "jamo of another kind": "ㄱㅏ",
    "non-joiners": "م\u200c",
    "spaces of no width": "ก\u200b",
    "no separator": "я",
    "all of Unicode": "".join(ASSIGNED),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_ten_mebibytes_are_split_at_once(kind: str) -> None:
    text = HOSTILE[kind]
    text *= (10 << 20) // len(text.encode())
    tokenizer.tokenize(text[: len(text) // 10])
    start = time.process_time()
    found = tokenizer.tokenize(text)
    # A tenth of it on a machine with nothing else to do.
    assert time.process_time() - start < 2
    assert len(document(found).encode()) <= tokenizer.MAX_BYTES


LANGUAGES = {
    "Chinese": ("知道李宗盛这个吗？1958年7月19日出生于台湾", ["李宗", "宗盛", "台湾", "知", "湾", "李宗盛", "1958"]),
    "Japanese": ("卵をゆでるにはコンピューターが要る", ["ゆでる", "ｺﾝﾋﾟｭｰﾀｰ", "卵", "要る"]),
    "Korean": ("계란을 삶는 방법", ["계란", "란을", "방법", "삶"]),
    "Thai": ("กินข้าวแล้วหรือยัง น้ำแข็ง", ["ข้าว", "แล้ว", "น้ำ", "ก"]),
    "Hebrew": ("שָׁלוֹם עולם", ["שלום", "עולם", "עו*"]),
    "Hindi": ("अंडा कैसे उबालें?", ["अंडा", "उबालें", "उबा*"]),
    "Russian": ("Как сварить ЁЛКУ?", ["как", "елку", "СВАР*"]),
    "Arabic": ("كيف أسلق بَيْضَة؟", ["بيضة", "اسلق", "أسل*"]),
    "Persian": ("می‌خواهم کتاب ۱۴۰۲", ["خواهم", "می خواهم", "كتاب", "1402"]),
    "Spanish": ("¿Dónde está el café?", ["donde", "cafe", "CAFÉ"]),
    "Greek": ("Ο Σίσυφος", ["σισυφος", "ΣΙΣΥΦΟΣ"]),
    "Vietnamese": ("Tiếng Việt", ["tieng", "viet", "VIỆT"]),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages(language: str) -> None:
    text, queries = LANGUAGES[language]
    there = document(tokenizer.tokenize(text))
    for query in [*queries, *text.split(), f'"{text}"']:
        assert matches(parse(query), there), query
    for query in ("egg", "北湾", "盛李", "宗台", "ไข่"):
        assert not matches(parse(query), there), query


def test_every_part_of_a_run_finds_its_text() -> None:
    run = "知道李宗盛这个中国台湾歌手音乐制作人吗"
    there = document(tokenizer.tokenize(f"x{run}y"))
    for start in range(len(run)):
        for end in range(start + 1, len(run) + 1):
            assert matches(parse(run[start:end]), there)
