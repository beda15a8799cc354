"""ModelMessages of Pydantic-AI."""

from typing import Any

from hypothesis import strategies as st

from tests.callers import Json
from tests.codecs.items.values import IDS, JSON, NAMES, OBJECT, TEXT, URLS, with_more

AT = "2026-01-31T12:00:00.123456Z"
_MOMENTS = st.sampled_from([AT, "2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00", "yesterday"])
_KINDS = st.sampled_from(["image/png", "audio/wav", "application/pdf", "text/plain"])


def _kind(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({"kind": st.just(kind), **fields}, optional={"vendor_metadata": OBJECT})


def _part(kind: str, fields: dict[str, Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return with_more({"part_kind": st.just(kind), **fields}, **optional)


BINARY = _kind("binary", data=st.sampled_from(["iVBORw0KGgo=", "-__-AQ=="]) | TEXT, media_type=_KINDS)
CONTENT = st.one_of(
    TEXT,
    BINARY,
    *[_kind(kind, url=URLS) for kind in ("image-url", "audio-url", "video-url", "document-url")],
    _kind("uploaded-file", file_id=TEXT, provider_name=st.just("openai")),
    _kind("text-content", content=TEXT),
    _kind("structured-content", value=JSON, content=TEXT),
    _kind("cache-point"),
)
_TOOL = {"tool_name": NAMES, "tool_call_id": IDS}
_RETURN = {**_TOOL, "content": JSON | CONTENT | st.lists(CONTENT, max_size=2)}
_OUTCOME = st.sampled_from(["success", "failed", "denied"])
REQUEST_PART = st.one_of(
    _part("system-prompt", {"content": TEXT}, timestamp=_MOMENTS, dynamic_ref=TEXT),
    _part("user-prompt", {"content": TEXT | st.lists(CONTENT, max_size=3)}, timestamp=_MOMENTS),
    _part("tool-return", _RETURN, timestamp=_MOMENTS, outcome=_OUTCOME),
    _part(
        "retry-prompt",
        {"content": TEXT | st.lists(OBJECT, max_size=1), "tool_call_id": IDS},
        tool_name=NAMES | st.none(),
    ),
    _part("instruction-delta", {"content": TEXT}),
    _part("speech", {"speaker": st.just("user")}, transcript=TEXT, audio=BINARY),
)
RESPONSE_PART = st.one_of(
    _part("text", {"content": TEXT}, id=TEXT, provider_details=OBJECT),
    _part("thinking", {"content": TEXT}, signature=TEXT, id=TEXT),
    _part("tool-call", {**_TOOL, "args": TEXT | OBJECT | st.none()}, id=TEXT),
    _part("builtin-tool-call", {**_TOOL, "args": OBJECT}, provider_name=TEXT),
    _part("builtin-tool-return", {**_TOOL, "content": JSON}, outcome=_OUTCOME),
    _part("file", {"content": BINARY}),
    _part("compaction", {"content": TEXT | st.none()}),
)
ITEMS: st.SearchStrategy[Json] = st.one_of(
    with_more(
        {"kind": st.just("request"), "parts": st.lists(REQUEST_PART, max_size=3)},
        instructions=st.none() | TEXT,
        timestamp=_MOMENTS | st.none(),
        metadata=OBJECT | st.none(),
    ),
    with_more(
        {"kind": st.just("response"), "parts": st.lists(RESPONSE_PART, max_size=3)},
        usage=st.fixed_dictionaries({"input_tokens": st.integers(0, 99), "output_tokens": st.integers(0, 99)}),
        model_name=st.none() | TEXT,
        timestamp=_MOMENTS,
        metadata=OBJECT | st.none(),
    ),
)
EXAMPLES: list[Json] = [
    {
        "kind": "request",
        "parts": [
            {"part_kind": "system-prompt", "content": "You help in the kitchen.", "timestamp": AT},
            {"part_kind": "user-prompt", "content": "How do I boil an egg?", "timestamp": AT},
        ],
        "instructions": "Be brief.",
        "timestamp": AT,
    },
    {"kind": "request", "parts": [{"part_kind": "system-prompt", "content": "You help in the kitchen."}]},
    {
        "kind": "request",
        "parts": [
            {
                "part_kind": "user-prompt",
                "content": [
                    "Is it done?",
                    {"kind": "image-url", "url": "https://example.com/egg.png"},
                    {"kind": "binary", "data": "-__-AQ==", "media_type": "image/png", "identifier": "cb173c"},
                    {"kind": "binary", "data": "UklGRg==", "media_type": "audio/wav"},
                    {"kind": "binary", "data": "JVBERi0=", "media_type": "application/pdf"},
                    {"kind": "document-url", "url": "https://example.com/egg.pdf"},
                    {"kind": "audio-url", "url": "https://example.com/egg.mp3"},
                    {"kind": "video-url", "url": "https://example.com/egg.mp4"},
                    {"kind": "uploaded-file", "file_id": "file-1", "provider_name": "openai"},
                    {"kind": "cache-point", "ttl": "5m"},
                ],
                "timestamp": AT,
            }
        ],
    },
    {
        "kind": "response",
        "parts": [
            {"part_kind": "thinking", "content": "I must look.", "signature": "c2ln", "provider_name": "anthropic"},
            {"part_kind": "text", "content": "Wait."},
            {"part_kind": "tool-call", "tool_name": "timer", "args": '{"minutes": 8}', "tool_call_id": "call_1"},
            {"part_kind": "tool-call", "tool_name": "buy", "args": {"eggs": 6}, "tool_call_id": "call_2"},
            {"part_kind": "builtin-tool-call", "tool_name": "web_search", "args": {"q": "egg"}, "tool_call_id": "ws_1"},
            {"part_kind": "builtin-tool-return", "tool_name": "web_search", "content": [1], "tool_call_id": "ws_1"},
            {"part_kind": "file", "content": {"kind": "binary", "data": "iVBORw0KGgo=", "media_type": "image/png"}},
        ],
        "usage": {"input_tokens": 12, "output_tokens": 5, "details": {}},
        "model_name": "gpt-5",
        "timestamp": AT,
        "provider_name": "openai",
        "finish_reason": "tool_call",
    },
    {
        "kind": "request",
        "parts": [
            {
                "part_kind": "tool-return",
                "tool_name": "timer",
                "content": {"rang": True},
                "tool_call_id": "call_1",
                "timestamp": AT,
                "outcome": "success",
            }
        ],
    },
    {
        "kind": "request",
        "parts": [
            {"part_kind": "tool-return", "tool_name": "timer", "content": "It rang.", "tool_call_id": "call_1"},
            {"part_kind": "retry-prompt", "tool_name": "buy", "content": "No such shop.", "tool_call_id": "call_2"},
            {"part_kind": "user-prompt", "content": "Go on."},
        ],
    },
    {"kind": "request", "parts": [{"part_kind": "retry-prompt", "content": "Please answer in JSON."}]},
    {"kind": "request", "parts": [{"part_kind": "instruction-delta", "id": None, "content": "Be brief."}]},
    {"kind": "response", "parts": [], "model_name": "gpt-5"},
]
