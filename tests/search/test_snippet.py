"""Snippets: the right part of a text, marked, and nothing that a page could take for HTML."""

import re
import time
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.errors import BadRequest
from app.search import tokenizer
from app.search.query_parser import Query, matches, parse
from app.search.snippet import LENGTH, snippet
from tests.profiles import examples
from tests.search.texts import TEXTS, document

LOREM = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor "


def of(text: str, query: str) -> str:
    return snippet(text, parse(query))


def shown(html: str) -> str:
    """What a reader sees."""
    return unescape(re.sub(r"</?mark>", "", html))


@pytest.mark.parametrize(
    ("text", "query", "html"),
    [
        ("How do I boil an egg?", "EGG", "How do I boil an <mark>egg</mark>?"),
        ("eggs and egg", "egg", "eggs and <mark>egg</mark>"),
        ("eggs and egg", "egg*", "<mark>eggs</mark> and <mark>egg</mark>"),
        ("boil an egg, an egg", '"an egg"', "boil <mark>an</mark> <mark>egg</mark>, <mark>an</mark> <mark>egg</mark>"),
        ("an old egg, an egg", '"an egg"', "an old egg, <mark>an</mark> <mark>egg</mark>"),
        ("a well-known egg", "well-known", "a <mark>well</mark>-<mark>known</mark> egg"),
        ("soft egg", "egg -ham", "soft <mark>egg</mark>"),
        ("a egg", "ham OR egg", "a <mark>egg</mark>"),
        ("¿Dónde? Cafe\u0301s", "donde cafe*", "¿<mark>Dónde</mark>? <mark>Cafe\u0301s</mark>"),
        ("在北京大学里", "京大学", "在北<mark>京大学</mark>里"),
        ("在北京大学里", "学", "在北京大<mark>学</mark>里"),
        ("在北京大学里", "里", "在北京大学<mark>里</mark>"),
        ("在北京大学里", "北京 大学 里", "在<mark>北京大学里</mark>"),
        ("iPhone手机壳", "iphone手", "<mark>iPhone手</mark>机壳"),
        ("대한민국의", "민국", "대한<mark>민국</mark>의"),
        ("กินข้าวแล้ว", "ข้าว", "กิน<mark>ข้าว</mark>แล้ว"),
        ("ｺﾝﾋﾟｭｰﾀを", "ピュー", "ｺﾝ<mark>ﾋﾟｭｰ</mark>ﾀを"),
        ("㍿です", "株", "<mark>㍿</mark>です"),
        ("ﷺ!", "الله", "<mark>ﷺ</mark>!"),
        ("a\n\n  b\t c\u3000egg ", "egg", "a b c <mark>egg</mark>"),
        (
            '<b>egg</b> & "egg" \'',
            "egg",
            "&lt;b&gt;<mark>egg</mark>&lt;/b&gt; &amp; &quot;<mark>egg</mark>&quot; &#x27;",
        ),
        ("<mark>egg</mark>", "mark", "&lt;<mark>mark</mark>&gt;egg&lt;/<mark>mark</mark>&gt;"),
        ("no such thing", "egg", "no such thing"),
        ("", "egg", ""),
    ],
)
def test_marks(text: str, query: str, html: str) -> None:
    assert of(text, query) == html


@pytest.mark.parametrize("place", [0, 1, 5, 30, 200, 700])
def test_the_part_of_a_long_text_that_has_it(place: int) -> None:
    text = LOREM * place + "the egg is here " + LOREM * 50
    html = of(text, '"egg is"')
    assert "the <mark>egg</mark> <mark>is</mark> here" in html
    assert html.startswith("…") is (place > 0)
    assert html.endswith("…")
    assert LENGTH - 40 <= len(shown(html)) <= LENGTH + 2
    # Cut at words' ends.
    assert set(shown(html).strip("…").split()) <= set(text.split())


def test_the_end_of_a_text_has_no_dots() -> None:
    html = of(LOREM * 9 + "egg", "egg")
    assert html.startswith("…")
    assert html.endswith("tempor <mark>egg</mark>")
    assert len(shown(html)) > LENGTH - 40


def test_the_best_part_has_the_most_of_the_query() -> None:
    text = "egg " + LOREM * 20 + "egg egg egg " + LOREM * 20 + "egg boils " + LOREM * 20
    assert "<mark>egg</mark> <mark>boils</mark>" in of(text, "egg boil*")
    assert "<mark>egg</mark> <mark>boils</mark>" in of(text, "ham OR egg boils")


def test_a_part_of_words_is_no_find() -> None:
    text = "eggs begg " * 100 + "egg " + "eggs begg " * 100
    assert of(text, "egg").count("<mark>") == 1


def test_without_a_find_the_beginning() -> None:
    html = of(LOREM * 20, "egg")
    assert html.startswith("lorem ipsum")
    assert html.endswith("…")
    assert "<mark>" not in html


def test_texts_without_spaces() -> None:
    html = of("知道这个吗" * 200 + "北京大学" + "知道这个吗" * 200, "北京大学")
    assert "个吗<mark>北京大学</mark>知道" in html
    assert len(shown(html)) == LENGTH + 2
    assert len(shown(of("x" * 5000, "x*"))) == LENGTH + 1
    assert of("x" * 5000, "x*").count("<mark>") == 1
    # A character and its marks stay together.
    marked = shown(of("ก\u0e49" * 300, "egg"))
    assert marked == "ก\u0e49" * (LENGTH // 2) + "…"


def test_the_beginning_of_an_accent_is_not_cut_off() -> None:
    html = shown(of("e\u0301" * 79 + "xe\u0301\u0302\u0303" + "y" * 400, "egg"))
    assert html == "e\u0301" * 79 + "x…"


@given(TEXTS, TEXTS, st.integers(1, 40))
@examples(fast=40, all=1200)
def test_nothing_but_marks_is_html(text: str, query: str, times: int) -> None:
    found = tokenizer.tokenize(text)
    for asked in (query, found[0] if found else "egg", found[-1] + "*" if found else "egg"):
        try:
            parsed = parse(asked)
        except BadRequest:
            continue
        html = snippet(text * times, parsed)
        bare = re.sub(r"<mark>([^<>]+)</mark>", r"\1", html)
        assert not re.search(r"""[<>"']|&(?!(?:amp|lt|gt|quot|#x27);)""", bare)
        assert unescape(bare).strip("…") in " ".join((text * times).split())
        assert len(unescape(bare)) <= LENGTH + 2


@given(TEXTS.filter(lambda text: bool(tokenizer.tokenize(text))), st.data())
@examples(fast=40, all=1200)
def test_what_is_found_is_marked(text: str, data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(tokenizer.tokenize(text)))
    assert "<mark>" in of(text, word)
    # Marks that are typed out of order may be marked in place of each other: folded, they are in order.
    marked = "\n".join(re.findall("<mark>(.*?)</mark>", of(tokenizer.fold(text), word)))
    assert matches(parse(word), document(tokenizer.tokenize(unescape(marked))))


HOSTILE = {
    "one word": ("a", "a"),
    "what is looked for": ("egg ", "egg"),
    "nearly what is looked for": ("eggs ", "egg"),
    "spaces": (" ", "egg"),
    "Han": ("漢字", "字漢 OR egg"),
    "nearly Han": ("漢字", "漢漢"),
    "a long phrase": ("漢", "漢" * 100),
    "many words": ("a b c d e f g h ", "a b c d e f g h a* b* c* d* e*"),
    "many phrases": ("a ", " ".join(f'"{"a " * length}"' for length in range(1, 15))),
    "Thai marks": ("\u0e48\u0e38", "ก"),
    "the longest expansion": ("\ufdfa", "الله"),
    "nothing of it": ("é ", " ".join(f"é{number}" for number in range(32))),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_ten_mebibytes_take_no_longer(kind: str) -> None:
    text, asked = HOSTILE[kind]
    text *= (10 << 20) // len(text.encode())
    query = parse(asked)
    snippet(text, query)
    start = time.process_time()
    html = snippet(text, query)
    assert time.process_time() - start < 0.1
    assert len(shown(html)) <= LENGTH + 2


def test_a_query_of_its_own_making() -> None:
    assert snippet("egg", Query(())) == "egg"
