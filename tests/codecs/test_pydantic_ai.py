"""Pydantic-AI's messages, in particular. What the library makes of them: client/tests/codecs."""

from typing import Any

import pytest

from app.codecs import UndecodableItem, pydantic_ai
from app.codecs.canonical import canonical_message
from tests.callers import Json
from tests.codecs.items.pydantic_ai import AT
from tests.codecs.items.values import PNG


def request(*parts: Json, **more: Any) -> Json:
    """What a request says."""
    return pydantic_ai.decode({"kind": "request", "parts": list(parts), **more})


def response(*parts: Json, **more: Any) -> Json:
    """What a response says."""
    return pydantic_ai.decode({"kind": "response", "parts": list(parts), **more})


def prompt(*content: Any) -> Any:
    """The content of what a user's prompt says."""
    return request({"part_kind": "user-prompt", "content": list(content)})["content"]


def written(role: str, content: Any, **more: Any) -> list[Json]:
    """A message of ours as those of Pydantic-AI."""
    return pydantic_ai.encode(canonical_message({"message_id": "m1", "role": role, "content": content} | more))


CALL = {"id": "call_1", "type": "function", "function": {"name": "timer", "arguments": '{"minutes":8}'}}


def file(**fields: str) -> Json:
    """A file."""
    return {"type": "file", "file": fields}


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ({"kind": "text-content", "content": "Hi."}, {"type": "text", "text": "Hi."}),
        ({"kind": "structured-content", "value": {"a": 1}, "content": ""}, {"type": "text", "text": '{"a":1}'}),
        (
            {"kind": "image-url", "url": "https://e.com/egg"},
            {"type": "image_url", "image_url": {"url": "https://e.com/egg"}},
        ),
        ({"kind": "document-url", "url": "https://e.com/egg.pdf"}, file(file_url="https://e.com/egg.pdf")),
        ({"kind": "audio-url", "url": "https://e.com/egg.mp3"}, file(file_url="https://e.com/egg.mp3")),
        ({"kind": "uploaded-file", "file_id": "file-1", "provider_name": "openai"}, file(file_id="file-1")),
        (
            {"kind": "binary", "data": "-__-AQ==", "media_type": "image/png"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,+//+AQ=="}},
        ),
        (
            {"kind": "binary", "data": "UklGRg==", "media_type": "audio/mpeg"},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}},
        ),
        (
            {"kind": "binary", "data": "JVBERi0=", "media_type": "application/pdf"},
            file(file_data="data:application/pdf;base64,JVBERi0="),
        ),
    ],
)
def test_content_of_every_kind(content: Json, part: Json) -> None:
    assert prompt("Look:", content, {"kind": "cache-point"}) == [{"type": "text", "text": "Look:"}, part]


def test_content_that_is_written() -> None:
    content: list[Json] = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,+//+AQ=="}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,???"}},
        file(file_url="https://e.com/egg.mp4"),
        file(file_id="file_1"),
        file(file_id="file-1"),
    ]
    [item] = written("user", content)
    [part] = item["parts"]
    assert part["content"] == [
        "Look:",
        {"kind": "binary", "data": "-__-AQ==", "media_type": "image/png"},
        {"kind": "image-url", "url": "data:image/png;base64,???"},
        {"kind": "video-url", "url": "https://e.com/egg.mp4", "media_type": "video/mp4"},
        {"kind": "uploaded-file", "file_id": "file_1", "provider_name": "anthropic"},
        {"kind": "uploaded-file", "file_id": "file-1", "provider_name": "openai"},
    ]


def test_who_speaks_in_a_request() -> None:
    system, user = (
        {"part_kind": "system-prompt", "content": "Be brief."},
        {"part_kind": "user-prompt", "content": "Hi."},
    )
    result = {"part_kind": "tool-return", "tool_name": "timer", "tool_call_id": "call_1", "content": "It rang."}
    assert request(system) == {"role": "system", "content": "Be brief."}
    assert request(user) == {"role": "user", "content": "Hi."}
    assert request(system, user) == {"role": "user", "content": "Hi."}
    tool = {"role": "tool", "tool_call_id": "call_1", "name": "timer", "content": "It rang."}
    assert request(result) == tool
    assert [part["type"] for part in request(result, user)["content"]] == ["tool_result", "text"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("It rang.", "It rang."),
        ({"rang": True}, '{"rang":true}'),
        ([1, None], "[1,null]"),
        (None, "null"),
        (
            ["Look:", {"kind": "binary", "data": "iVBORw0KGgo=", "media_type": "image/png"}],
            [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": PNG}}],
        ),
    ],
)
def test_what_a_tool_returns(content: Any, told: Any) -> None:
    part = {"part_kind": "tool-return", "tool_name": "timer", "tool_call_id": "call_1", "content": content}
    message = request(part)
    assert message["content"] == told
    [item] = pydantic_ai.encode(canonical_message({"message_id": "m1"} | message))
    [again] = item["parts"]
    assert again == part | {"content": "null" if content is None else content}


@pytest.mark.parametrize(
    "part",
    [
        {"part_kind": "tool-return", "content": "Broken.", "outcome": "failed"},
        {"part_kind": "tool-return", "content": "Broken.", "outcome": "retried"},
        {"part_kind": "retry-prompt", "content": "Broken."},
    ],
)
def test_calls_that_failed(part: Json) -> None:
    message = request(part | {"tool_name": "timer", "tool_call_id": "call_1"})
    [result] = message["content"]
    assert (result["tool_use_id"], result["content"], result["is_error"]) == ("call_1", "Broken.", True)
    [item] = pydantic_ai.encode(canonical_message({"message_id": "m1"} | message))
    [again] = item["parts"]
    assert (again["tool_name"], again["content"], again["outcome"]) == ("timer", "Broken.", "failed")


def test_a_response() -> None:
    message = response(
        {"part_kind": "thinking", "content": "Hm.", "signature": "c2ln"},
        {"part_kind": "text", "content": "Wait."},
        {"part_kind": "tool-call", "tool_name": "timer", "args": {"minutes": 8}, "tool_call_id": "call_1"},
        model_name="gpt-5",
        usage={"input_tokens": 12, "output_tokens": 0},
        timestamp="2026-01-31T13:00:00.123456+01:00",
        metadata={"a": 1},
    )
    assert message == {
        "role": "assistant",
        "content": [{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": "Wait."}],
        "tool_calls": [CALL],
        "model": "gpt-5",
        "created_at": AT,
        "input_tokens": 12,
        "metadata": {"a": 1},
    }
    [item] = pydantic_ai.encode(canonical_message({"message_id": "m1"} | message))
    assert item == {
        "kind": "response",
        "parts": [
            {"part_kind": "thinking", "content": "Hm."},
            {"part_kind": "text", "content": "Wait."},
            {"part_kind": "tool-call", "tool_name": "timer", "args": '{"minutes":8}', "tool_call_id": "call_1"},
        ],
        "timestamp": AT,
        "model_name": "gpt-5",
        "usage": {"input_tokens": 12},
        "metadata": {"a": 1},
    }


def test_every_moment_is_that_of_the_message() -> None:
    for message in (
        {"role": "user", "content": "Hi."},
        {"role": "tool", "tool_call_id": "call_1", "content": "It rang."},
    ):
        [item] = pydantic_ai.encode(canonical_message({"message_id": "m1", "created_at": AT} | message))
        assert {item["timestamp"], *(part["timestamp"] for part in item["parts"])} == {AT}


def test_an_answer_with_its_results_is_a_response_a_request_and_a_response() -> None:
    content = [
        {"type": "tool_result", "tool_use_id": "call_1", "content": "It rang."},
        {"type": "text", "text": "Done."},
    ]
    called, result, done = written("assistant", content, tool_calls=[CALL])
    assert [part["part_kind"] for part in called["parts"]] == ["tool-call"]
    assert [(part["part_kind"], part["tool_name"]) for part in result["parts"]] == [("tool-return", "timer")]
    assert done["parts"] == [{"part_kind": "text", "content": "Done."}]


def test_what_no_message_can_say_is_of_its_kind() -> None:
    assert request({"part_kind": "instruction-delta", "content": "Be brief."})["type"] == "instruction-delta"
    assert written("user", None, type="instruction-delta") == []


def test_a_result_whose_kind_is_no_text_is_json() -> None:
    part = {"part_kind": "tool-return", "tool_name": "timer", "tool_call_id": "call_1", "content": {"kind": ["binary"]}}
    assert request(part)["content"] == '{"kind":["binary"]}'


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"parts": []}, ("kind",)),
        ({"kind": "request", "content": "Hi."}, ("parts",)),
        ({"kind": "response", "parts": [{"content": "Hi."}]}, ("parts", 0)),
    ],
)
def test_what_is_no_message_is_refused(item: Json, path: tuple[str | int, ...]) -> None:
    with pytest.raises(UndecodableItem) as refused:
        pydantic_ai.decode(item)
    assert refused.value.path == path
