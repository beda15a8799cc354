"""LangChain's messages, as `message_to_dict` gives them."""

from typing import Any

from hypothesis import strategies as st

from tests.callers import Json
from tests.codecs.items.values import IDS, JSON, NAMES, OBJECT, PDF, PNG, TEXT, URLS, one, with_more

_HELD = {
    "base64": st.just("iVBORw0KGgo=") | TEXT,
    "mime_type": st.sampled_from(["image/png", "audio/wav", "video/mp4"]),
}
_MEDIA = st.sampled_from(["image", "audio", "video", "file", "text-plain"])
BLOCK = st.one_of(
    with_more(
        {"type": st.just("text"), "text": TEXT}, annotations=st.lists(OBJECT, max_size=1), index=st.integers(0, 9)
    ),
    with_more({"type": st.just("reasoning")}, reasoning=TEXT, id=TEXT, extras=OBJECT),
    with_more(
        {"type": _MEDIA}, url=URLS | st.sampled_from([PNG, PDF]), file_id=TEXT, extras=OBJECT, text=TEXT, **_HELD
    ),
    with_more({"type": _MEDIA, "source_type": st.sampled_from(["url", "base64", "id"])}, url=URLS, data=TEXT, id=TEXT),
    one("image_url", image_url=URLS | st.fixed_dictionaries({"url": URLS | TEXT})),
    one("image", source=st.fixed_dictionaries({"type": st.just("url"), "url": URLS})),
    one("input_audio", input_audio=st.fixed_dictionaries({"data": TEXT, "format": st.just("wav")})),
    one("thinking", thinking=TEXT, signature=TEXT),
    one("tool_use", id=IDS, name=NAMES, input=OBJECT),
    one("tool_call", id=IDS | st.none(), name=NAMES, args=OBJECT),
    one("tool_result", tool_use_id=IDS, content=JSON),
    one("server_tool_call", id=IDS, name=NAMES, args=OBJECT),
    one("server_tool_result", tool_call_id=IDS, status=st.sampled_from(["success", "error"]), output=JSON),
    one("non_standard", value=OBJECT),
    with_more({}, type=TEXT),
)
CONTENT = TEXT | st.lists(TEXT | BLOCK, max_size=3)
_USAGE = st.fixed_dictionaries({name: st.integers(0, 99) for name in ("input_tokens", "output_tokens", "total_tokens")})
_CALL = one("tool_call", name=NAMES, args=OBJECT, id=IDS | st.none())
_BROKEN = one(
    "invalid_tool_call", name=NAMES | st.none(), args=TEXT | st.none(), id=IDS | st.none(), error=TEXT | st.none()
)


def _message(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    data = {
        "content": CONTENT,
        "additional_kwargs": st.just({}) | OBJECT,
        "response_metadata": st.just({}) | OBJECT | st.fixed_dictionaries({"model_name": TEXT}),
        "type": st.just(kind),
        "name": st.none() | NAMES,
        "id": st.none() | TEXT,
    }
    return st.fixed_dictionaries({"type": st.just(kind), "data": with_more(data | fields)})


ITEMS: st.SearchStrategy[Json] = st.one_of(
    _message("human"),
    _message("system"),
    _message("chat", role=TEXT | st.sampled_from(["user", "assistant", "developer"])),
    _message(
        "ai",
        tool_calls=st.lists(_CALL, max_size=2),
        invalid_tool_calls=st.lists(_BROKEN, max_size=1),
        usage_metadata=st.none() | _USAGE,
    ),
    _message("tool", tool_call_id=IDS, artifact=JSON, status=st.sampled_from(["success", "error"])),
    _message("function", name=NAMES),
    st.fixed_dictionaries({"type": st.just("remove") | TEXT.filter(bool), "data": with_more({"content": TEXT})}),
)


def _data(kind: str, content: Any, **fields: Any) -> Json:
    data = {
        "content": content,
        "additional_kwargs": {},
        "response_metadata": {},
        "type": kind,
        "name": None,
        "id": None,
    }
    return {"type": kind, "data": data | fields}


def _ai(content: Any, **fields: Any) -> Json:
    return _data("ai", content, **{"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None} | fields)


EXAMPLES: list[Json] = [
    _data("system", "You help in the kitchen."),
    _data("system", "Be brief.", additional_kwargs={"__openai_role__": "developer"}),
    _data("human", "How do I boil an egg?", name="Ann", id="h1"),
    _data(
        "human",
        [
            "Look:",
            {"type": "text", "text": "Is it done?"},
            {"type": "image", "url": "https://example.com/egg.png"},
            {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"},
            {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
            {"type": "image", "source_type": "base64", "data": "iVBORw0KGgo=", "mime_type": "image/png"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
            {"type": "audio", "base64": "UklGRg==", "mime_type": "audio/wav"},
            {"type": "video", "url": "https://example.com/egg.mp4"},
            {"type": "file", "file_id": "file-1"},
            {"type": "file", "base64": "JVBERi0=", "mime_type": "application/pdf", "extras": {"filename": "egg.pdf"}},
            {"type": "text-plain", "text": "Eggs.", "mime_type": "text/plain"},
        ],
    ),
    _ai(
        [{"type": "reasoning", "reasoning": "I must look."}, {"type": "text", "text": "Wait."}],
        tool_calls=[{"name": "timer", "args": {"minutes": 8}, "id": "call_1", "type": "tool_call"}],
        invalid_tool_calls=[
            {"name": "buy", "args": '{"eggs": ', "id": "call_2", "error": "no JSON", "type": "invalid_tool_call"}
        ],
        usage_metadata={"input_tokens": 12, "output_tokens": 5, "total_tokens": 17},
        response_metadata={"model_name": "gpt-5", "finish_reason": "tool_calls"},
        id="run-1",
    ),
    _data("tool", "It rang.", name="timer", tool_call_id="call_1", artifact={"at": 8}, status="success"),
    _data("tool", "No such shop.", tool_call_id="call_2", artifact=None, status="error"),
    _ai(
        [
            {"type": "thinking", "thinking": "I must look.", "signature": "c2ln"},
            {"type": "tool_use", "id": "toolu_1", "name": "timer", "input": {"minutes": 8}},
        ],
        tool_calls=[{"name": "timer", "args": {"minutes": 8}, "id": "toolu_1", "type": "tool_call"}],
    ),
    _ai("", additional_kwargs={"refusal": "I can't help with that."}),
    _ai("Eight minutes.", additional_kwargs={"reasoning_content": "Eggs take eight minutes."}),
    _data("chat", "I disagree.", role="critic"),
    _data("function", "It rang.", name="timer"),
    {"type": "remove", "data": {"content": "", "type": "remove", "id": "h1"}},
]
