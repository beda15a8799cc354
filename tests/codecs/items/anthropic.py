"""Messages of Anthropic's Messages."""

from hypothesis import strategies as st

from tests.callers import Json
from tests.codecs.items.values import IDS, JSON, NAMES, OBJECT, SOME_TEXT, TEXT, URLS, one, with_more

BASE64 = st.fixed_dictionaries(
    {
        "type": st.just("base64"),
        "media_type": st.sampled_from(["image/png", "image/tiff", "application/pdf"]),
        "data": st.sampled_from(["iVBORw0KGgo=", "JVBERi0=", "iVB", ""]),
    }
)
BY_URL = one("url", url=URLS)
BY_FILE = one("file", file_id=TEXT)
TEXT_BLOCK = one("text", text=TEXT) | with_more(
    {"type": st.just("text"), "text": TEXT}, citations=st.none() | st.lists(OBJECT, max_size=2), cache_control=OBJECT
)
IMAGE = one("image", source=BASE64 | BY_URL | BY_FILE)
DOCUMENT = with_more(
    {
        "type": st.just("document"),
        "source": st.one_of(
            BASE64,
            BY_URL,
            BY_FILE,
            one("text", media_type=st.just("text/plain"), data=TEXT),
            one("content", content=TEXT | st.lists(TEXT_BLOCK | IMAGE, max_size=2)),
        ),
    },
    title=st.none() | TEXT,
    citations=OBJECT,
)
FOUND = one("search_result", source=URLS, title=TEXT, content=st.lists(TEXT_BLOCK, max_size=2))
SERVER = st.one_of(
    one("server_tool_use", id=IDS, name=st.just("web_search"), input=OBJECT),
    one("web_search_tool_result", tool_use_id=IDS, content=st.lists(OBJECT, max_size=2)),
    one("container_upload", file_id=TEXT),
    one("not_heard_of", value=JSON),
)
RESULT = with_more(
    {"type": st.just("tool_result"), "tool_use_id": IDS},
    content=TEXT | st.lists(TEXT_BLOCK | IMAGE | DOCUMENT | FOUND | SERVER, max_size=2),
    is_error=st.booleans(),
)
THOUGHT = one("thinking", thinking=TEXT, signature=TEXT) | one("redacted_thinking", data=TEXT)
USE = with_more({"type": st.just("tool_use"), "id": IDS, "name": NAMES, "input": OBJECT}, caller=OBJECT)
ITEMS: st.SearchStrategy[Json] = st.one_of(
    with_more(
        {
            "role": st.just("user"),
            "content": TEXT | st.lists(TEXT_BLOCK | IMAGE | DOCUMENT | FOUND | RESULT | SERVER, max_size=4),
        }
    ),
    with_more(
        {"role": st.just("assistant"), "content": TEXT | st.lists(TEXT_BLOCK | THOUGHT | USE | SERVER, max_size=4)},
        model=SOME_TEXT,
        usage=st.fixed_dictionaries(
            {}, optional={"input_tokens": st.integers(-1, 10), "output_tokens": st.none() | st.integers(0, 2**53)}
        ),
        stop_reason=st.none() | st.just("end_turn"),
    ),
    with_more({"role": st.just("system"), "content": st.none() | TEXT | st.lists(TEXT_BLOCK, max_size=3)}),
)
PNG_SOURCE: Json = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
EXAMPLES: list[Json] = [
    {"role": "user", "content": "How do I boil an egg?"},
    {"role": "user", "content": ""},
    {"role": "system", "content": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
    {
        "role": "user",
        "content": [
            {"type": "image", "source": PNG_SOURCE},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/egg.png"}},
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            {
                "type": "document",
                "title": "Eggs",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            },
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "An egg."}},
            {
                "type": "search_result",
                "source": "https://example.com",
                "title": "Eggs",
                "content": [{"type": "text", "text": "Eight minutes."}],
            },
            {"type": "text", "text": "Is it done?"},
        ],
    },
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "A timer will do.", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "EmwK"},
            {"type": "text", "text": "I set a timer."},
            {"type": "tool_use", "id": "toolu_1", "name": "timer", "input": {"minutes": 8}},
            {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "It rang."},
            {
                "type": "tool_result",
                "tool_use_id": "toolu_2",
                "is_error": True,
                "content": [{"type": "text", "text": "Too dark."}, {"type": "image", "source": PNG_SOURCE}],
            },
            {"type": "text", "text": "And now?"},
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_3"}]},
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-5",
        "content": [
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "egg"}},
            {
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_1",
                "content": [
                    {"type": "web_search_result", "url": "https://e.com", "title": "E", "encrypted_content": "EqgfC"}
                ],
            },
            {
                "type": "text",
                "text": "Eight minutes.",
                "citations": [{"type": "web_search_result_location", "url": "https://e.com", "cited_text": "eight"}],
            },
        ],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 5, "service_tier": "standard"},
    },
]
