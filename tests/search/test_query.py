"""The query language, and the reference that says what a query finds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.errors import BadRequest
from app.search import tokenizer
from app.search.query_parser import MAX_CHARACTERS, MAX_PHRASES, MAX_TERMS, Phrase, Query, matches, parse
from tests.profiles import examples
from tests.search.texts import TEXTS, document


def said(query: Query) -> str:
    """A query in short: clauses by spaces, alternatives by `|`, a phrase's words by `+`."""
    written = ["|".join(map(_phrase, clause)) for clause in query.required] + [
        f"-{_phrase(phrase)}" for phrase in query.excluded
    ]
    return " ".join(written)


def _phrase(phrase: Phrase) -> str:
    return "+".join(phrase.terms) + ("*" if phrase.prefix else "")


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("boil egg", "boil egg"),
        ("  Boil\u3000the\n ÉGG ", "boil the egg"),
        ("egg egg EGG", "egg"),
        ('"boil an egg"', "boil+an+egg"),
        ("well-known foo_bar a.b@c", "well+known foo+bar a+b+c"),
        ("egg -soft", "egg -soft"),
        ('-"soft egg" boil -soft', "boil -soft+egg -soft"),
        ("egg --soft −hard", "egg hard -soft"),
        ("egg - soft", "egg soft"),
        ("-5 egg", "egg -5"),
        ('"a"-b', "a b"),
        # OR
        ("a OR b c", "a|b c"),
        ("a b OR c d", "a b|c d"),
        ("a OR b OR c", "a|b|c"),
        ('"a b" OR c* OR d', "a+b|c*|d"),
        ("a OR a", "a"),
        ("a OR b a OR b", "a|b"),
        ("a or b", "a or b"),
        ("OR a OR", "a"),
        ("a OR OR b", "a|b"),
        ("a OR -b c", "a c -b"),
        ("a -b OR c", "a c -b"),
        ("a OR 🎉 OR b", "a|b"),
        ('a "OR" b', "a or b"),
        ("a AND b OR c AND d", "a b|c d"),
        ("(a OR b) c", "a|b c"),
        # prefixes
        ("boil*", "boil*"),
        ("boil**", "boil*"),
        ("well-kn*", "well+kn*"),
        ('"how do yo*"', "how+do+yo*"),
        ('"how do yo"*', "how+do+yo*"),
        ("-boil* egg", "egg -boil*"),
        ("* egg *", "egg"),
        ("*egg", "egg"),
        ("bo*l", "bo+l"),
        ("c++* foo.*", "c foo"),
        ("caf\u0301*", "caf*"),
        # quotes
        ('"boil an', "boil+an"),
        ('egg "', "egg"),
        ('5" disk', "5 disk"),
        ('a"b c"d', "a b+c d"),
        ('"" egg', "egg"),
        ("“boil an” „egg now“ «a b» ＂c d＂", "boil+an egg+now a+b c+d"),
        ("don't", "don+t"),
        # scripts without spaces
        ("机", "机*"),
        ("手机", "手机"),
        ("手机壳", "手机+机壳"),
        ("手机*", "手机"),
        ("机*", "机*"),
        ("iPhone手机 手机iPhone", "iphone+手机 手机+机+iphone"),
        ("a机 机a", "a+机* 机+a"),
        ('"手 机"', "手+机*"),
        ('"手机 机"', "手机+机+机*"),
        ("手机 -机", "手机 -机*"),
        ("계란을", "계란+란을"),
        ("ﷺ", "صلي+الله+عليه+وسلم"),
        # what no text has is no more than a separator
        ("\0a\ud800b", "a+b"),
    ],
)
def test_queries(text: str, means: str) -> None:
    assert said(parse(text)) == means


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no letter or number"),
        (" \n", "no letter or number"),
        ('* - OR " 🎉 _', "no letter or number"),
        ("-egg", "must not have"),
        ('-egg -"soft egg" OR', "must not have"),
        ("a" * (MAX_CHARACTERS + 1), "characters long"),
        (" ".join(f"w{number}" for number in range(MAX_PHRASES + 1)), "words and phrases"),
        ("a " + " ".join(f"-w{number}" for number in range(MAX_PHRASES)), "words and phrases"),
        (" OR ".join(f"w{number}" for number in range(MAX_PHRASES + 1)), "words and phrases"),
        ('"' + "a " * (MAX_TERMS + 1) + '"', "of its phrases"),
        ("漢" * (MAX_TERMS + 2), "of its phrases"),
        ("ﷺ" * 50, "of its phrases"),
    ],
)
def test_refused(text: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        parse(text)


def test_limits_are_what_is_still_taken() -> None:
    assert len(parse("a" * MAX_CHARACTERS).required) == 1
    assert len(parse(" ".join(f"w{number}" for number in range(MAX_PHRASES))).required) == MAX_PHRASES
    assert len(parse("漢" * (MAX_TERMS + 1)).required[0][0].terms) == MAX_TERMS


@pytest.mark.parametrize(
    ("text", "finds"),
    [
        ("boil egg", True),
        ("egg boil", True),
        ("boil ham", False),
        ('"boil an egg"', True),
        ('"egg boil"', False),
        ('"oil an"', False),
        ("ham OR egg", True),
        ("ham OR eggs", False),
        ("egg -boil", False),
        ("egg -ham", True),
        ('egg -"egg boil"', True),
        ("bo*", True),
        ('"boil an e*"', True),
        ('"bo* an"', False),
        ("北京", True),
        ("京大学", True),
        ("学", True),
        ("北大", False),
        ("大学egg", False),
        ("8大学", False),
    ],
)
def test_matches(text: str, finds: bool) -> None:
    assert matches(parse(text), document(tokenizer.tokenize("How do I boil an egg for 8 minutes, 北京大学?"))) is finds


@given(TEXTS, st.text('ab漢字 "-*OR', max_size=30))
@examples(fast=50, all=1200)
def test_whatever_is_asked_has_an_answer(text: str, asked: str) -> None:
    for query in (text, asked):
        try:
            parsed = parse(query)
        except BadRequest:
            continue
        assert all(parsed.required)
        for phrase in [one for clause in parsed.required for one in clause] + list(parsed.excluded):
            assert phrase.terms
            assert all(term and " " not in term for term in phrase.terms)
            # What was looked for is itself found by looking for it.
            found = list(phrase.terms)
            assert matches(Query(((phrase,),)), document(found))
            assert all(tokenizer.tokenize(term)[0] == term for term in found)
