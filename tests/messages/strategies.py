"""Messages as hypothesis makes them: everything that JSON can say and Chatkeep keeps."""

from hypothesis import strategies as st

from tests.callers import Json

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
NUMBERS = st.one_of(
    st.integers(-(2**53), 2**53),
    st.sampled_from([-0.0, 0.0, 1.0, 1e22, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 2**53, -(2**53)]),
    st.floats(allow_nan=False, allow_infinity=False),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=4)
PARTS = st.one_of(OBJECTS, st.fixed_dictionaries({"type": TEXT, "text": TEXT}))
ROLES = st.sampled_from(["user", "assistant", "system", "developer", "tool"])
TOKENS = st.integers(0, 10**12)
OPTIONAL = {
    "tool_calls": st.lists(OBJECTS, max_size=3),
    "tool_call_id": TEXT,
    "name": TEXT,
    "model": TEXT,
    "tokens": TOKENS,
    "input_tokens": TOKENS,
    "output_tokens": TOKENS,
    "metadata": OBJECTS,
}
CONTENT = st.one_of(TEXT, st.lists(PARTS, max_size=4))
WITH_CONTENT: st.SearchStrategy[Json] = st.fixed_dictionaries({"role": ROLES, "content": CONTENT}, optional=OPTIONAL)
CALLS: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {"role": ROLES, "content": st.none(), "tool_calls": st.lists(OBJECTS, min_size=1, max_size=3)},
    optional={name: strategy for name, strategy in OPTIONAL.items() if name != "tool_calls"},
)
OF_ANOTHER_TYPE: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {"role": ROLES, "type": TEXT.filter(lambda text: text not in ("", "message"))},
    optional={**OPTIONAL, "content": st.one_of(st.none(), CONTENT)},
)
MESSAGES = st.one_of(WITH_CONTENT, CALLS, OF_ANOTHER_TYPE)
