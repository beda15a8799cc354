"""Events of Google's Agent Development Kit."""

from typing import Any

from hypothesis import strategies as st

from tests.callers import Json
from tests.codecs.items.values import IDS, JSON, NAMES, OBJECT, TEXT, URLS, with_more


def _one(name: str, /, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """A part, under its name in Python or by its alias."""
    first, *others = name.split("_")
    alias = first + "".join(other.capitalize() for other in others)
    inner = st.fixed_dictionaries({}, optional={**fields, "x-unknown": JSON})
    return st.fixed_dictionaries({name: inner}) | st.fixed_dictionaries({alias: inner})


_KINDS = st.sampled_from(["image/png", "audio/wav", "application/pdf"])
_DATA = st.sampled_from(["iVBORw0KGgo=", "-__-AQ=="]) | TEXT
BLOB = _one("inline_data", data=_DATA, mime_type=_KINDS, mimeType=_KINDS, display_name=TEXT)
LINK = _one("file_data", file_uri=URLS | TEXT, fileUri=URLS, mime_type=_KINDS)
_RESPONSE = OBJECT | st.fixed_dictionaries({"result": JSON}) | st.fixed_dictionaries({"error": TEXT})
PART = st.one_of(
    st.fixed_dictionaries({"text": TEXT}, optional={"thought": st.booleans(), "thought_signature": st.just("c2ln")}),
    BLOB,
    LINK,
    _one("function_call", id=IDS | st.none(), name=NAMES, args=OBJECT),
    _one("function_response", id=IDS, name=NAMES, response=_RESPONSE, parts=st.lists(BLOB | LINK, max_size=1)),
    _one("executable_code", code=TEXT, language=st.just("PYTHON")),
    _one("code_execution_result", output=TEXT, outcome=st.just("OUTCOME_OK")),
    st.dictionaries(TEXT, JSON, max_size=2),
)
CONTENT = with_more(
    {"parts": st.none() | st.lists(PART, max_size=3)}, role=st.sampled_from(["user", "model"]) | st.none()
)
ITEMS: st.SearchStrategy[Json] = with_more(
    {"author": st.sampled_from(["user", "cook", "system"]) | TEXT},
    content=CONTENT | st.none(),
    id=TEXT,
    invocation_id=TEXT,
    timestamp=st.floats(0, 4e9) | st.integers(0, 4 * 10**9) | TEXT,
    actions=st.fixed_dictionaries({"state_delta": OBJECT}),
    partial=st.booleans(),
    usage_metadata=st.fixed_dictionaries({"prompt_token_count": st.integers(0, 99)}),
    model_version=TEXT | st.none(),
    custom_metadata=OBJECT,
    output_transcription=st.fixed_dictionaries({"text": TEXT}),
)


def _event(author: str, role: str, *parts: Json, **more: Any) -> Json:
    return {
        "content": {"parts": list(parts), "role": role},
        "invocation_id": "e-1",
        "author": author,
        "actions": {
            "state_delta": {},
            "artifact_delta": {},
            "requested_auth_configs": {},
            "requested_tool_confirmations": {},
        },
        "node_info": {"path": ""},
        "id": "0b7e4a4c-6a0c-4f9a-9f1c-1c2d3e4f5a6b",
        "timestamp": 1790000000.123456,
        **more,
    }


EXAMPLES: list[Json] = [
    _event("user", "user", {"text": "How do I boil an egg?"}),
    _event(
        "user",
        "user",
        {"text": "Is it done?"},
        {"inline_data": {"data": "-__-AQ==", "mime_type": "image/png", "display_name": "egg.png"}},
        {"inline_data": {"data": "UklGRg==", "mime_type": "audio/wav"}},
        {"inline_data": {"data": "JVBERi0=", "mime_type": "application/pdf"}},
        {"file_data": {"file_uri": "https://example.com/egg.png", "mime_type": "image/png"}},
        {"file_data": {"file_uri": "gs://bucket/egg.pdf", "mime_type": "application/pdf"}},
    ),
    _event(
        "cook",
        "model",
        {"text": "I must look.", "thought": True, "thought_signature": "c2ln"},
        {"text": "Wait."},
        {"function_call": {"id": "adk-1", "name": "timer", "args": {"minutes": 8}}},
        {"function_call": {"name": "buy", "args": {"eggs": 6}}},
        model_version="gemini-3",
        finish_reason="STOP",
        usage_metadata={"prompt_token_count": 12, "candidates_token_count": 5, "total_token_count": 17},
        long_running_tool_ids=["adk-1"],
    ),
    _event("cook", "user", {"function_response": {"id": "adk-1", "name": "timer", "response": {"result": "It rang."}}}),
    _event(
        "cook",
        "user",
        {"function_response": {"id": "adk-1", "name": "timer", "response": {"rang": True}}},
        {"function_response": {"name": "buy", "response": {"error": "No such shop."}}},
    ),
    {
        "content": {"parts": [{"functionCall": {"id": "adk-2", "name": "timer", "args": {}}}], "role": "model"},
        "invocationId": "e-1",
        "author": "cook",
        "modelVersion": "gemini-3",
        "actions": {"stateDelta": {"eggs": 6}},
        "id": "e2",
        "timestamp": 1790000000,
    },
    _event(
        "cook",
        "model",
        {"executable_code": {"code": "print(8)", "language": "PYTHON"}},
        {"code_execution_result": {"outcome": "OUTCOME_OK", "output": "8\n"}},
    ),
    {"author": "cook", "invocation_id": "e-1", "actions": {"state_delta": {"eggs": 6}}, "id": "e3", "timestamp": 1.5},
    {"author": "cook", "output_transcription": {"text": "Eight minutes.", "finished": True}, "id": "e4"},
    {"author": "cook", "error_code": "SAFETY", "error_message": "Blocked.", "id": "e5"},
]
