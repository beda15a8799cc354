"""ADK's own events through `format=adk`."""

from typing import Any

import pytest
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from tests.codecs.log import Log
from tests.codecs.values import BYTES, IDS, NAMES, OBJECTS, TEXT, URLS, over_http

PART = st.one_of(
    st.builds(types.Part, text=TEXT, thought=st.none() | st.booleans(), thought_signature=st.none() | BYTES),
    st.builds(
        types.Part, inline_data=st.builds(types.Blob, data=BYTES, mime_type=st.sampled_from(["image/png", "audio/wav"]))
    ),
    st.builds(
        types.Part, file_data=st.builds(types.FileData, file_uri=URLS, mime_type=st.none() | st.just("image/png"))
    ),
    st.builds(types.Part, function_call=st.builds(types.FunctionCall, id=st.none() | IDS, name=NAMES, args=OBJECTS)),
    st.builds(
        types.Part,
        function_response=st.builds(types.FunctionResponse, id=st.none() | IDS, name=NAMES, response=OBJECTS),
    ),
)
CONTENT = st.builds(types.Content, role=st.sampled_from(["user", "model"]), parts=st.lists(PART, max_size=3))
MADE: st.SearchStrategy[Event] = st.builds(
    Event,
    author=st.sampled_from(["user", "cook", "system", ""]),
    invocation_id=TEXT,
    content=st.none() | CONTENT,
    timestamp=st.floats(0, 4e9),
    actions=st.builds(EventActions, state_delta=OBJECTS, escalate=st.none() | st.booleans()),
    partial=st.none() | st.booleans(),
    branch=st.none() | TEXT,
    model_version=st.none() | TEXT,
    custom_metadata=st.none() | OBJECTS,
    long_running_tool_ids=st.none() | st.sets(IDS),
)


def part(**fields: Any) -> types.Part:
    """A part."""
    return types.Part(**fields)


def event(author: str, role: str, *parts: types.Part, **fields: Any) -> Event:
    """An event of an invocation."""
    return Event(author=author, invocation_id="e-1", content=types.Content(role=role, parts=list(parts)), **fields)


EVENTS = [
    event(
        "user",
        "user",
        part(text="Is it done?"),
        part(inline_data=types.Blob(data=b"\xfb\xff\xfe\x01", mime_type="image/png", display_name="egg.png")),
        part(file_data=types.FileData(file_uri="gs://bucket/egg.pdf", mime_type="application/pdf")),
    ),
    event(
        "cook",
        "model",
        part(text="I must look.", thought=True, thought_signature=b"\xff\x00"),
        part(function_call=types.FunctionCall(id="adk-1", name="timer", args={"minutes": 8})),
        part(function_call=types.FunctionCall(name="buy", args={})),
        model_version="gemini-3",
        finish_reason=types.FinishReason.STOP,
        usage_metadata=types.GenerateContentResponseUsageMetadata(prompt_token_count=12, candidates_token_count=5),
        long_running_tool_ids={"adk-1", "adk-0"},
        branch="root.cook",
    ),
    event(
        "cook",
        "user",
        part(function_response=types.FunctionResponse(id="adk-1", name="timer", response={"rang": True})),
        actions=EventActions(state_delta={"eggs": 6, "app:stove": None}, transfer_to_agent="waiter"),
    ),
    event(
        "cook",
        "model",
        part(executable_code=types.ExecutableCode(code="print(8)", language=types.Language.PYTHON)),
        part(code_execution_result=types.CodeExecutionResult(outcome=types.Outcome.OUTCOME_OK, output="8\n")),
    ),
    Event(author="cook", invocation_id="e-1", actions=EventActions(artifact_delta={"egg.png": 1})),
    Event(author="cook", output_transcription=types.Transcription(text="Eight minutes.", finished=True)),
    Event(author="cook", error_code="SAFETY", error_message="Blocked.", partial=True, turn_complete=False),
    Event(),
]


def dumped(event: Event, *, by_alias: bool = False) -> dict[str, Any]:
    """An event as JSON."""
    found: dict[str, Any] = event.model_dump(mode="json", exclude_none=True, by_alias=by_alias)
    return found


@pytest.mark.parametrize("by_alias", [False, True])
def test_every_kind_comes_back_equal(log: Log, by_alias: bool) -> None:
    items = [dumped(event, by_alias=by_alias) for event in EVENTS]
    found = log.through("adk", items)
    assert found == items
    assert [Event.model_validate(item) for item in found] == EVENTS


def test_names_by_alias_say_the_same(log: Log) -> None:
    plain, aliased = ([dumped(event, by_alias=by_alias) for event in EVENTS] for by_alias in (False, True))
    one, other = (log.read(None, log.write("adk", items)) for items in (plain, aliased))
    for message in one + other:
        del message["message_id"], message["chat_id"], message["parent_id"]
    assert one == other


@over_http
@given(events=st.lists(MADE, min_size=1, max_size=5))
def test_whatever_it_says_comes_back_equal(log: Log, events: list[Event]) -> None:
    items = [dumped(event) for event in events]
    found = log.through("adk", items)
    assert found == items
    assert [Event.model_validate(item) for item in found] == [Event.model_validate(item) for item in items]


def test_a_chat_of_another_api_is_one_of_adk(log: Log) -> None:
    chat = log.write(
        "responses",
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Is it done?"},
                    {"type": "input_image", "image_url": "data:image/png;base64,+//+AQ==", "detail": "auto"},
                    {"type": "input_image", "image_url": "https://example.com/egg.png", "detail": "auto"},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "I must look."}]},
            {"type": "function_call", "call_id": "call_1", "name": "timer", "arguments": '{"minutes": 8}'},
            {"type": "function_call_output", "call_id": "call_1", "output": '{"rang": true}'},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        ],
    )
    native = log.read(None, chat)
    asked, thought, called, rang, done = [Event.model_validate(item) for item in log.read("adk", chat)]
    assert asked.content
    assert asked.content.parts
    text, held, image = asked.content.parts
    assert (asked.author, asked.content.role, text.text) == ("user", "user", "Is it done?")
    assert held.inline_data
    assert (held.inline_data.data, held.inline_data.mime_type) == (b"\xfb\xff\xfe\x01", "image/png")
    assert image.file_data
    assert (image.file_data.file_uri, image.file_data.mime_type) == ("https://example.com/egg.png", "image/png")
    assert thought.content
    assert thought.content.parts
    assert (thought.content.parts[0].thought, thought.content.parts[0].text) == (True, "I must look.")
    [call], [response] = called.get_function_calls(), rang.get_function_responses()
    assert (call.id, call.name, call.args) == ("call_1", "timer", {"minutes": 8})
    assert (response.id, response.response) == ("call_1", {"rang": True})
    assert rang.content
    assert rang.content.role == "user"
    assert done.is_final_response()
    assert [event.id for event in (asked, thought, called, rang, done)] == [one["message_id"] for one in native[:5]]
