"""What items of every codec are made of: texts, JSON, ids, and objects with more in them than is known."""

from typing import Any

from hypothesis import strategies as st

from tests.callers import Json

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
SOME_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
OBJECT: st.SearchStrategy[Json] = st.dictionaries(TEXT, JSON, max_size=3)
IDS = st.sampled_from(["call_1", "toolu_2", "a|b", "i" * 600]) | SOME_TEXT
NAMES = st.sampled_from(["get_weather", "mcp.files/read file", "工具"]) | SOME_TEXT
URLS = st.sampled_from(["https://example.com/egg.png", "https://example.com/ä?x=1#y", "http://example.com/egg.png"])
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="


def with_more(fields: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Objects with these fields, some of the optional ones, and now and then one that nobody knows."""
    return st.fixed_dictionaries(fields, optional={**optional, "x-unknown": JSON})


def one(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Objects of a type."""
    return st.fixed_dictionaries({"type": st.just(kind), **fields})
