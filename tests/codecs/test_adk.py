"""Events of Google's ADK, in particular. What the library makes of them: client/tests/codecs."""

from typing import Any

import pytest

from app.codecs import UndecodableItem, adk
from app.codecs.canonical import canonical_message
from tests.callers import Json


def event(author: str, *parts: Json, role: str | None = None, **more: Any) -> Json:
    """What an event says."""
    return adk.decode({"author": author, "content": {"parts": list(parts), "role": role}, **more})


def written(role: str, content: Any, **more: Any) -> list[Json]:
    """A message of ours as events."""
    return adk.encode(canonical_message({"message_id": "m1", "role": role, "content": content} | more))


CALL = {"id": "call_1", "type": "function", "function": {"name": "timer", "arguments": '{"minutes":8}'}}


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"text": "Hi."}, {"type": "text", "text": "Hi."}),
        ({"text": "Hm.", "thought": True, "thought_signature": "c2ln"}, {"type": "reasoning", "text": "Hm."}),
        (
            {"inline_data": {"data": "-__-AQ==", "mime_type": "image/png"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,+//+AQ=="}},
        ),
        (
            {"inlineData": {"data": "UklGRg==", "mimeType": "audio/wav"}},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        ),
        (
            {"inlineData": {"data": "JVBERi0=", "mimeType": "application/pdf", "displayName": "egg.pdf"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "egg.pdf"}},
        ),
        (
            {"file_data": {"file_uri": "gs://bucket/egg", "mime_type": "image/png"}},
            {"type": "image_url", "image_url": {"url": "gs://bucket/egg"}},
        ),
        (
            {"fileData": {"fileUri": "gs://bucket/egg.pdf"}},
            {"type": "file", "file": {"file_url": "gs://bucket/egg.pdf"}},
        ),
        (
            {"executable_code": {"code": "print(8)", "language": "PYTHON"}},
            {"type": "text", "text": "```python\nprint(8)\n```"},
        ),
        ({"codeExecutionResult": {"output": "8"}}, {"type": "text", "text": "```\n8\n```"}),
    ],
)
def test_parts_under_both_names(part: Json, told: Json) -> None:
    assert event("cook", {"text": "Look:"}, part)["content"] == [{"type": "text", "text": "Look:"}, told]


@pytest.mark.parametrize(
    ("author", "role", "who"),
    [
        ("user", "user", {"role": "user"}),
        ("cook", "model", {"role": "assistant", "name": "cook"}),
        ("assistant", "model", {"role": "assistant"}),
        ("system", "user", {"role": "system"}),
        ("system", "model", {"role": "assistant"}),
        ("", "user", {"role": "user"}),
        ("", "model", {"role": "assistant"}),
    ],
)
def test_who_speaks(author: str, role: str, who: Json) -> None:
    assert event(author, {"text": "Hi."}, role=role) == who | {"content": "Hi."}


def test_calls_and_results() -> None:
    call = {"id": "call_1", "name": "timer", "args": {"minutes": 8}}
    assert event("cook", {"function_call": call})["tool_calls"] == [CALL]
    assert event("cook", {"functionCall": call})["tool_calls"] == [CALL]
    for response, content in (
        ({"result": "It rang."}, "It rang."),
        ({"output": [1]}, "[1]"),
        ({"rang": True}, '{"rang":true}'),
        (None, ""),
    ):
        told = event(
            "cook", {"function_response": {"id": "call_1", "name": "timer", "response": response}}, role="user"
        )
        assert told == {"role": "tool", "tool_call_id": "call_1", "name": "timer", "content": content}
    failed = event("cook", {"functionResponse": {"id": "call_1", "name": "timer", "response": {"error": "Broken."}}})
    [part] = failed["content"]
    assert (failed["role"], part["content"], part["is_error"]) == ("tool", "Broken.", True)


def test_without_an_id_a_call_and_its_result_meet_by_the_name_of_the_function() -> None:
    [call] = event("cook", {"function_call": {"name": "timer", "args": None}})["tool_calls"]
    told = event("cook", {"function_response": {"name": "timer", "response": {"rang": True}}})
    assert (call["id"], call["function"]["arguments"], told["tool_call_id"]) == ("timer", "{}", "timer")


@pytest.mark.parametrize(
    ("content", "response"),
    [("It rang.", {"result": "It rang."}), ('{"rang": true}', {"rang": True}), ("[1]", {"result": "[1]"})],
)
def test_a_result_is_said_in_the_user_s_role(content: str, response: Json) -> None:
    [item] = written("tool", content, tool_call_id="call_1", name="timer")
    assert item["content"]["role"] == "user"
    [part] = item["content"]["parts"]
    assert part == {"function_response": {"id": "call_1", "name": "timer", "response": response}}


def test_files_of_a_result_stand_beside_it() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    [item] = written("tool", [{"type": "text", "text": "Look:"}, image], tool_call_id="call_1")
    [part] = item["content"]["parts"]
    assert part["function_response"]["response"] == {"result": "Look:"}
    blob = {"inline_data": {"data": "iVBORw0KGgo=", "mime_type": "image/png"}}
    assert part["function_response"]["parts"] == [blob]
    assert adk.decode(item)["content"] == [{"type": "text", "text": "Look:"}, image]


def test_an_answer() -> None:
    message = event(
        "cook",
        {"text": "Wait."},
        {"function_call": {"id": "call_1", "name": "timer", "args": {"minutes": 8}}},
        role="model",
        modelVersion="gemini-3",
        timestamp=1769860800.123456,
        usage_metadata={"prompt_token_count": 12, "candidates_token_count": 3, "thoughts_token_count": 2},
        custom_metadata={"a": 1},
    )
    assert message == {
        "role": "assistant",
        "content": "Wait.",
        "tool_calls": [CALL],
        "name": "cook",
        "model": "gemini-3",
        "created_at": "2026-01-31T12:00:00.123456Z",
        "input_tokens": 12,
        "output_tokens": 5,
        "metadata": {"a": 1},
    }
    [item] = adk.encode(canonical_message({"message_id": "m1"} | message))
    assert item == {
        "content": {
            "parts": [
                {"text": "Wait."},
                {"function_call": {"id": "call_1", "name": "timer", "args": {"minutes": 8}}},
            ],
            "role": "model",
        },
        "invocation_id": "m1",
        "author": "cook",
        "id": "m1",
        "timestamp": 1769860800.123456,
        "custom_metadata": {"a": 1},
        "model_version": "gemini-3",
        "usage_metadata": {"prompt_token_count": 12, "candidates_token_count": 5},
    }


def test_what_google_would_refuse_is_never_written() -> None:
    upload = {"type": "file", "file": {"file_id": "file-1", "filename": "egg.pdf"}}
    broken = {"type": "image_url", "image_url": {"url": "data:image/png;base64,???"}}
    free = {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    [item] = written("user", [upload, broken])
    text, linked = item["content"]["parts"]
    assert text == {"text": "[file egg.pdf]"}
    assert linked["file_data"]["file_uri"] == "data:image/png;base64,???"
    [item] = written("assistant", None, tool_calls=[free])
    assert item["content"]["parts"][0]["function_call"]["args"] == {"input": "ls"}


def test_several_events_of_one_message_have_ids_of_their_own() -> None:
    content = [
        {"type": "tool_result", "tool_use_id": "call_1", "content": "It rang."},
        {"type": "text", "text": "Done."},
    ]
    items = written("assistant", content, tool_calls=[CALL])
    assert [item["id"] for item in items] == ["m1", "m1-1", "m1-2"]
    assert [item["content"]["role"] for item in items] == ["model", "user", "model"]


def test_what_says_nothing_is_an_event() -> None:
    state = {"author": "cook", "actions": {"state_delta": {"eggs": 6}}}
    assert adk.decode(state) == {"role": "assistant", "content": None, "type": "event", "name": "cook"}
    assert written("assistant", None, type="event") == []


def test_what_is_heard_in_a_live_session_is_said() -> None:
    heard = {"author": "user", "inputTranscription": {"text": "Is it done?", "finished": True}}
    assert adk.decode(heard) == {"role": "user", "content": "Is it done?"}


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"actions": {}}, ("author",)),
        ({"author": 3}, ("author",)),
        ({"author": "user", "content": "Hi."}, ("content",)),
        ({"author": "user", "content": {"parts": "Hi."}}, ("content", "parts")),
        ({"author": "user", "content": {"parts": ["Hi."]}}, ("content", "parts", 0)),
    ],
)
def test_what_is_no_event_is_refused(item: Json, path: tuple[str | int, ...]) -> None:
    with pytest.raises(UndecodableItem) as refused:
        adk.decode(item)
    assert refused.value.path == path
