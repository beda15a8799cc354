"""UIMessages of Vercel's AI SDK."""

from typing import Any

from hypothesis import strategies as st

from tests.callers import Json
from tests.codecs.items.values import IDS, JSON, NAMES, OBJECT, PDF, PNG, TEXT, URLS, with_more

_Fields = dict[str, st.SearchStrategy[Any]]
_META = {"providerMetadata": st.fixed_dictionaries({"openai": OBJECT})}
_KIND = st.sampled_from(["image/png", "image/*", "audio/mpeg", "video/mp4", "application/pdf", "text/plain"]) | TEXT


def _part(
    kind: str, fields: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]
) -> st.SearchStrategy[Json]:
    return with_more({"type": st.just(kind), **fields}, **optional)


SPOKEN = st.one_of(
    _part("text", {"text": TEXT}, state=st.sampled_from(["streaming", "done"]), **_META),
    _part("file", {"mediaType": _KIND, "url": URLS | st.sampled_from([PNG, PDF]) | TEXT}, filename=TEXT),
    _part("data-weather", {"data": JSON}, id=TEXT),
    _part("data-file", {"data": st.fixed_dictionaries({"fileId": TEXT}, optional={"mediaType": _KIND})}),
)
_STATES = ["input-streaming", "input-available", "approval-requested", "approval-responded"]
_GIVEN = {"input": JSON, "providerExecuted": st.booleans(), "callProviderMetadata": OBJECT, "title": TEXT}
_APPROVAL = st.fixed_dictionaries({"id": TEXT, "approved": st.booleans()}, optional={"reason": TEXT})


def _tools(kind: st.SearchStrategy[str], **named: st.SearchStrategy[str]) -> st.SearchStrategy[Json]:
    fields = {"type": kind, "toolCallId": IDS, **named}
    return st.one_of(
        with_more({**fields, "state": st.sampled_from(_STATES)}, approval=_APPROVAL, rawInput=TEXT, **_GIVEN),
        with_more(
            {**fields, "state": st.just("output-available"), "output": JSON}, preliminary=st.booleans(), **_GIVEN
        ),
        with_more({**fields, "state": st.just("output-error"), "errorText": TEXT}, rawInput=JSON, **_GIVEN),
        with_more({**fields, "state": st.just("output-denied"), "approval": _APPROVAL}, **_GIVEN),
    )


PART = st.one_of(
    SPOKEN,
    _part("reasoning", {"text": TEXT}, id=TEXT, **_META),
    _part("step-start", {}),
    _part("source-url", {"sourceId": TEXT, "url": URLS}, title=TEXT),
    _part("source-document", {"sourceId": TEXT, "mediaType": _KIND, "title": TEXT}, filename=TEXT),
    _part("reasoning-file", {"mediaType": _KIND, "url": URLS}),
    _tools(NAMES.map("tool-{}".format)),
    _tools(st.just("dynamic-tool"), toolName=NAMES),
    with_more({"type": TEXT}),
)
ITEMS: st.SearchStrategy[Json] = st.one_of(
    with_more({"id": TEXT, "role": st.just("assistant"), "parts": st.lists(PART, max_size=4)}, metadata=JSON),
    with_more({"id": TEXT, "role": st.just("user"), "parts": st.lists(SPOKEN, max_size=4)}, metadata=OBJECT),
    with_more({"id": TEXT, "role": st.just("system"), "parts": st.lists(SPOKEN, max_size=2)}),
)
EXAMPLES: list[Json] = [
    {"id": "sys", "role": "system", "parts": [{"type": "text", "text": "You help in the kitchen."}]},
    {
        "id": "u1",
        "role": "user",
        "metadata": {"createdAt": 1790000000000},
        "parts": [
            {"type": "text", "text": "Is it done?"},
            {"type": "file", "mediaType": "image/png", "url": "https://example.com/egg.png"},
            {"type": "file", "mediaType": "image/png", "filename": "egg.png", "url": PNG},
            {"type": "file", "mediaType": "audio/mpeg", "url": "data:audio/mpeg;base64,UklGRg=="},
            {"type": "file", "mediaType": "application/pdf", "filename": "egg.pdf", "url": PDF},
        ],
    },
    {
        "id": "a1",
        "role": "assistant",
        "metadata": {"model": "gpt-5"},
        "parts": [
            {"type": "step-start"},
            {
                "type": "reasoning",
                "text": "I must look.",
                "state": "done",
                "providerMetadata": {"openai": {"itemId": "rs_1"}},
            },
            {
                "type": "tool-timer",
                "toolCallId": "call_1",
                "state": "output-available",
                "input": {"minutes": 8},
                "output": {"rang": True},
                "callProviderMetadata": {"openai": {"itemId": "fc_1"}},
            },
            {
                "type": "dynamic-tool",
                "toolName": "search",
                "toolCallId": "call_2",
                "state": "output-error",
                "input": {"q": "eggs"},
                "errorText": "The search timed out.",
            },
            {"type": "step-start"},
            {"type": "text", "text": "It is done.", "state": "done"},
            {"type": "source-url", "sourceId": "s1", "url": "https://example.com/eggs", "title": "Eggs"},
            {"type": "source-document", "sourceId": "s2", "mediaType": "application/pdf", "title": "Eggs"},
            {"type": "data-weather", "id": "w1", "data": {"sunny": True}},
        ],
    },
    {
        "id": "a2",
        "role": "assistant",
        "parts": [
            {"type": "tool-buy", "toolCallId": "call_3", "state": "input-streaming", "input": {"eg": None}},
            {"type": "tool-buy", "toolCallId": "call_4", "state": "input-available", "input": {"eggs": 6}},
            {
                "type": "tool-buy",
                "toolCallId": "call_5",
                "state": "approval-requested",
                "input": {"eggs": 60},
                "approval": {"id": "ap_1"},
            },
            {
                "type": "tool-buy",
                "toolCallId": "call_6",
                "state": "approval-responded",
                "input": {"eggs": 6},
                "approval": {"id": "ap_2", "approved": True},
            },
            {
                "type": "tool-buy",
                "toolCallId": "call_7",
                "state": "output-denied",
                "input": {"eggs": 600},
                "approval": {"id": "ap_3", "approved": False, "reason": "Too many."},
            },
            {
                "type": "tool-web_search",
                "toolCallId": "ws_1",
                "state": "output-available",
                "providerExecuted": True,
                "input": {},
                "output": [{"title": "Eggs"}],
            },
            {"type": "file", "mediaType": "image/png", "url": PNG},
        ],
    },
    {"id": "a3", "role": "assistant", "parts": []},
    {"id": "a4", "role": "assistant", "parts": [{"type": "data-progress", "data": 50}]},
    {"id": "u2", "role": "user", "parts": [{"type": "text", "text": ""}]},
]
