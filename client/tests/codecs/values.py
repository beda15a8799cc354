"""What the libraries' objects are made of: all that JSON can say and Chatkeep keeps."""

from typing import Any

from hypothesis import strategies as st

from tests.profiles import examples

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NAMES = st.sampled_from(["get_weather", "files/read file", "工具"])
IDS = st.sampled_from(["call_1", "toolu_2", "a|b"])
URLS = st.sampled_from(["https://example.com/egg.png", "https://example.com/ä?x=1#y"])
BYTES = st.binary(min_size=1, max_size=9)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
OBJECTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(TEXT, JSON, max_size=3)

# Each example is a chat of its own, of the test's user.
over_http = examples(fast=10, all=60)
