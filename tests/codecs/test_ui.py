"""UIMessages of Vercel's AI SDK, in particular."""

from typing import Any

import pytest

from app.codecs import UndecodableItem, ui
from app.codecs.canonical import canonical_message
from tests.callers import Json


def answer(*parts: Json) -> Json:
    """What an assistant's UIMessage says."""
    return ui.decode({"id": "a", "role": "assistant", "parts": list(parts)})


def written(role: str, content: Any, **more: Any) -> list[Json]:
    """A message of ours as UIMessages."""
    return ui.encode(canonical_message({"message_id": "m1", "role": role, "content": content} | more))


def tool(state: str, **more: Any) -> Json:
    """A part of a tool."""
    return {"type": "tool-timer", "toolCallId": "call_1", "state": state, "input": {"minutes": 8}} | more


CALL = {"id": "call_1", "type": "function", "function": {"name": "timer", "arguments": '{"minutes":8}'}}
RESULT = {"type": "tool_result", "tool_use_id": "call_1"}


@pytest.mark.parametrize(
    ("part", "result"),
    [
        (tool("input-available"), None),
        (tool("approval-requested", approval={"id": "ap_1"}), None),
        (tool("approval-responded", approval={"id": "ap_1", "approved": True}), None),
        (tool("output-available", output="It rang."), {"content": "It rang."}),
        (tool("output-available", output={"rang": True}), {"content": '{"rang":true}'}),
        (
            tool("output-available", output=[{"type": "image_url", "image_url": {"url": "https://e.com/a.png"}}]),
            {"content": [{"type": "image_url", "image_url": {"url": "https://e.com/a.png"}}]},
        ),
        (tool("output-error", errorText="Broken."), {"content": "Broken.", "is_error": True}),
        (
            tool("output-denied", approval={"id": "ap_1", "approved": False, "reason": "Too long."}),
            {"content": "Too long.", "is_error": True},
        ),
        (
            tool("output-denied", approval={"id": "ap_1", "approved": False}),
            {"content": "Tool call execution denied.", "is_error": True},
        ),
    ],
)
def test_a_part_of_a_tool_is_a_call_and_its_result(part: Json, result: Json | None) -> None:
    message = answer(part)
    assert message["tool_calls"] == [CALL]
    assert message["content"] == (None if result is None else [RESULT | result])
    assert answer({**part, "type": "dynamic-tool", "toolName": "timer"}) == message


def test_a_call_that_is_still_being_written_is_none() -> None:
    assert answer({"type": "text", "text": "Wait."}, tool("input-streaming")) == {
        "role": "assistant",
        "content": "Wait.",
    }


def test_what_a_call_was_given_is_what_the_model_wrote() -> None:
    for given, arguments in (({}, "{}"), (None, "{}"), ("ls -l", "ls -l"), ([1], "[1]"), (3, "3")):
        [call] = answer(tool("input-available", input=given))["tool_calls"]
        assert call["function"]["arguments"] == arguments
    [call] = answer(tool("output-error", input=None, rawInput='{"minutes": ', errorText="no JSON"))["tool_calls"]
    assert call["function"]["arguments"] == '{"minutes": '


def test_steps_are_kept_apart() -> None:
    step = {"type": "step-start"}
    parts = [tool("output-available", output="It rang."), step, {"type": "text", "text": "Done."}]
    message = answer(*parts)
    assert message["content"] == [RESULT | {"content": "It rang."}, {"type": "text", "text": "Done."}]
    [item] = written("assistant", message["content"], tool_calls=message["tool_calls"])
    assert item["parts"] == parts


def test_a_result_by_itself_stays_one() -> None:
    [item] = written("tool", '{"rang": true}', tool_call_id="call_1", name="timer")
    [part] = item["parts"]
    assert (item["id"], item["role"]) == ("m1", "assistant")
    assert (part["type"], part["toolName"], part["state"]) == ("dynamic-tool", "timer", "output-available")
    assert (part["toolCallId"], part["input"], part["output"]) == ("call_1", {}, {"rang": True})
    again = {"role": "tool", "tool_call_id": "call_1", "name": "timer", "content": '{"rang":true}'}
    assert ui.decode(item) == again


def test_results_that_a_user_brings_are_a_message_before() -> None:
    content = [RESULT | {"content": "It rang.", "is_error": True}, {"type": "text", "text": "Go on."}]
    results, spoken = written("user", content)
    assert (results["id"], results["role"], results["parts"][0]["errorText"]) == ("m1-results", "assistant", "It rang.")
    assert spoken == {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Go on."}]}


@pytest.mark.parametrize(
    ("part", "file"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://e.com/egg"}},
            {"type": "file", "mediaType": "image/*", "url": "https://e.com/egg"},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}},
            {"type": "file", "mediaType": "audio/mpeg", "url": "data:audio/mpeg;base64,UklGRg=="},
        ),
        (
            {"type": "file", "file": {"file_data": "JVBERi0=", "filename": "egg.pdf"}},
            {
                "type": "file",
                "mediaType": "application/pdf",
                "filename": "egg.pdf",
                "url": "data:application/pdf;base64,JVBERi0=",
            },
        ),
        (
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "data-file", "data": {"fileId": "file-1", "mediaType": "application/octet-stream"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "no address"}},
            {"type": "data-file", "data": {"url": "no address", "mediaType": "image/*"}},
        ),
    ],
)
def test_files_are_files_where_the_sdk_could_fetch_them(part: Json, file: Json) -> None:
    [item] = written("user", [part])
    assert item["parts"] == [file]
    assert canonical_message(ui.decode(item)).parts, "it is read again"


def test_what_the_sdk_refuses_is_never_written() -> None:
    assert written("user", "") == [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": ""}]}]
    assert written("assistant", "") == [{"id": "m1", "role": "assistant", "parts": []}]
    assert written("developer", "Be brief.")[0]["role"] == "system"
    assert written("assistant", None, type="web_search_call") == []


def test_metadata_are_those_of_the_message() -> None:
    item = {"id": "u", "role": "user", "metadata": {"mood": "good"}, "parts": [{"type": "text", "text": "Hi."}]}
    message = ui.decode(item)
    assert message == {"role": "user", "content": "Hi.", "metadata": {"mood": "good"}}
    assert ui.encode(canonical_message({"message_id": "u"} | message)) == [item]


def test_what_no_message_can_say_is_of_its_type() -> None:
    assert answer({"type": "data-weather", "data": 3}) == {"role": "assistant", "content": None, "type": "data-weather"}
    assert len(answer({"type": "data-" + "x" * 99, "data": 3})["type"]) == 64


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"id": "a", "role": "tool", "parts": []}, ("role",)),
        ({"id": 3, "role": "user", "parts": []}, ("id",)),
        ({"id": "a", "role": "user", "content": "Hi."}, ("parts",)),
        ({"id": "a", "role": "user", "parts": ["Hi."]}, ("parts", 0)),
        ({"id": "a", "role": "user", "parts": [{"type": "text", "text": "Hi."}, {"text": "Hi."}]}, ("parts", 1)),
    ],
)
def test_what_is_no_ui_message_is_refused(item: Json, path: tuple[str | int, ...]) -> None:
    with pytest.raises(UndecodableItem) as refused:
        ui.decode(item)
    assert refused.value.path == path


def test_results_are_joined_to_their_calls_and_strays_stay() -> None:
    calls = [{"id": f"call_{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in (1, 2)]
    chat: list[Json] = [
        {"role": "assistant", "content": "Let me see.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_2", "content": "two"},
        {"role": "tool", "tool_call_id": "call_2", "content": "two again"},
        {"role": "user", "content": "And?"},
    ]
    asked, stray, last = ui.join([item for message in chat for item in ui.encode(canonical_message(message))])
    states = {
        part["toolCallId"]: (part["state"], part.get("output")) for part in asked["parts"] if "toolCallId" in part
    }
    assert states == {"call_1": ("input-available", None), "call_2": ("output-available", "two")}
    assert [part["output"] for part in stray["parts"]] == ["two again"]
    assert last["role"] == "user"


@pytest.mark.parametrize("call_id", [None, 1, [], {}])
def test_what_only_looks_like_a_result_stays_as_it_came(call_id: Any) -> None:
    looks_like = {"type": "dynamic-tool", "callProviderMetadata": {"chatkeep": {"resultOnly": True}}}
    item = {
        "id": "m1",
        "role": "assistant",
        "parts": [looks_like | ({} if call_id is None else {"toolCallId": call_id})],
    }
    assert ui.decode(item)["role"] == "assistant"
    assert ui.join([item, item]) == [item, item]
