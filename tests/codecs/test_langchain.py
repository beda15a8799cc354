"""LangChain's messages, in particular. What the library makes of them: client/tests/codecs."""

from typing import Any

import pytest

from app.codecs import UndecodableItem, langchain
from app.codecs.canonical import canonical_message
from tests.callers import Json
from tests.codecs.items.values import PNG


def read(kind: str, content: Any, **more: Any) -> Json:
    """What one of LangChain's messages says."""
    return langchain.decode({"type": kind, "data": {"content": content, **more}})


def written(role: str, content: Any, **more: Any) -> list[Json]:
    """A message of ours as LangChain's."""
    return langchain.encode(canonical_message({"message_id": "m1", "role": role, "content": content} | more))


IMAGE = {"type": "image_url", "image_url": {"url": PNG}}
LINKED = {"type": "image_url", "image_url": {"url": "https://e.com/egg.png"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
PDF = {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "egg.pdf"}}


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ("Hi.", {"type": "text", "text": "Hi."}),
        ({"type": "text", "text": "Hi."}, {"type": "text", "text": "Hi."}),
        ({"type": "text-plain", "text": "Hi.", "mime_type": "text/plain"}, {"type": "text", "text": "Hi."}),
        ({"type": "reasoning", "reasoning": "Hm."}, {"type": "reasoning", "text": "Hm."}),
        ({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, {"type": "reasoning", "text": "Hm."}),
        ({"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}, IMAGE),
        ({"type": "image", "source_type": "base64", "data": "iVBORw0KGgo=", "mime_type": "image/png"}, IMAGE),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}, IMAGE),
        ({"type": "media", "mime_type": "image/png", "data": "iVBORw0KGgo="}, IMAGE),
        ({"type": "image_url", "image_url": {"url": PNG}}, IMAGE),
        ({"type": "image", "url": "https://e.com/egg.png"}, LINKED),
        ({"type": "image", "source_type": "url", "url": "https://e.com/egg.png"}, LINKED),
        ({"type": "image_url", "image_url": "https://e.com/egg.png"}, LINKED),
        ({"type": "image", "file_id": "file-1"}, {"type": "input_image", "file_id": "file-1"}),
        ({"type": "audio", "base64": "UklGRg==", "mime_type": "audio/wav"}, AUDIO),
        ({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}, AUDIO),
        (
            {"type": "file", "base64": "JVBERi0=", "mime_type": "application/pdf", "extras": {"filename": "egg.pdf"}},
            PDF,
        ),
        ({"type": "file", "base64": "JVBERi0=", "mime_type": "application/pdf", "filename": "egg.pdf"}, PDF),
        ({"type": "file", "source_type": "id", "id": "file-1"}, {"type": "file", "file": {"file_id": "file-1"}}),
        (
            {"type": "video", "url": "https://e.com/a.mp4"},
            {"type": "file", "file": {"file_url": "https://e.com/a.mp4"}},
        ),
    ],
)
def test_blocks_of_every_version_and_provider(block: Any, part: Json) -> None:
    assert read("human", ["Look:", block])["content"] == [{"type": "text", "text": "Look:"}, part]


def test_blocks_that_are_written_are_standard_ones() -> None:
    [item] = written("user", [{"type": "text", "text": "Look:"}, IMAGE, LINKED, AUDIO, PDF])
    assert item["data"]["content"] == [
        {"type": "text", "text": "Look:"},
        {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"},
        {"type": "image", "url": "https://e.com/egg.png", "mime_type": "image/png"},
        {"type": "audio", "base64": "UklGRg==", "mime_type": "audio/wav"},
        {"type": "file", "base64": "JVBERi0=", "mime_type": "application/pdf", "extras": {"filename": "egg.pdf"}},
    ]


@pytest.mark.parametrize(
    ("kind", "more", "role"),
    [
        ("human", {}, "user"),
        ("HumanMessageChunk", {}, "user"),
        ("system", {}, "system"),
        ("system", {"additional_kwargs": {"__openai_role__": "developer"}}, "developer"),
        ("AIMessageChunk", {}, "assistant"),
        ("chat", {"role": "assistant"}, "assistant"),
        ("chat", {"role": "developer"}, "developer"),
    ],
)
def test_roles(kind: str, more: Json, role: str) -> None:
    assert read(kind, "Hi.", **more) == {"role": role, "content": "Hi."}


def test_a_third_speaker_is_a_user_with_a_name() -> None:
    assert read("chat", "I disagree.", role="critic") == {"role": "user", "content": "I disagree.", "name": "critic"}


def test_calls_are_found_wherever_they_stand_and_once() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "timer", "arguments": '{"minutes":8}'}}
    standard = {"name": "timer", "args": {"minutes": 8}, "id": "call_1", "type": "tool_call"}
    block = {"type": "tool_use", "id": "call_1", "name": "timer", "input": {"minutes": 8}}
    for content, more in (
        ("", {"tool_calls": [standard]}),
        ([block], {"tool_calls": [standard]}),
        ([block], {"tool_calls": []}),
        ([standard], {}),
        ("", {"additional_kwargs": {"tool_calls": [call]}}),
    ):
        assert read("ai", content, **more) == {"role": "assistant", "content": None, "tool_calls": [call]}
    called = read("ai", "", additional_kwargs={"function_call": {"name": "timer", "arguments": "{}"}})
    assert called["tool_calls"][0]["id"] == "timer", "a function's result, too, is known by its name"


def test_a_call_without_arguments_that_are_an_object_is_invalid() -> None:
    broken = {"id": "call_1", "type": "function", "function": {"name": "buy", "arguments": '{"eggs": '}}
    free = {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    [item] = written("assistant", None, tool_calls=[broken, free])
    [invalid] = item["data"]["invalid_tool_calls"]
    assert (invalid["id"], invalid["args"], invalid["type"]) == ("call_1", '{"eggs": ', "invalid_tool_call")
    assert [call["args"] for call in item["data"]["tool_calls"]] == [{"input": "ls"}]
    assert langchain.decode(item)["tool_calls"][1] == broken


def test_results() -> None:
    result = {"role": "tool", "tool_call_id": "call_1", "name": "timer", "content": "It rang."}
    assert read("tool", "It rang.", tool_call_id="call_1", name="timer", status="success") == result
    failed = read("tool", "Broken.", tool_call_id="call_1", status="error")
    part = {"type": "tool_result", "tool_use_id": "call_1", "content": "Broken.", "is_error": True}
    assert failed == {"role": "tool", "content": [part]}
    [item] = langchain.encode(canonical_message({"message_id": "m1"} | failed))
    assert (item["data"]["status"], item["data"]["content"], item["data"]["id"]) == ("error", "Broken.", "m1")
    assert read("function", "It rang.", name="timer")["tool_call_id"] == "timer"


def test_what_is_known_of_an_answer() -> None:
    used = {"input_tokens": 12, "output_tokens": 5, "total_tokens": 17}
    message = read(
        "ai",
        "Eight minutes.",
        response_metadata={"model_name": "gpt-5"},
        usage_metadata=used,
        additional_kwargs={"reasoning_content": "Eggs take eight."},
    )
    assert [part["type"] for part in message["content"]] == ["reasoning", "text"]
    assert (message["model"], message["input_tokens"], message["output_tokens"]) == ("gpt-5", 12, 5)
    [item] = langchain.encode(canonical_message({"message_id": "m1"} | message))
    assert item["data"]["usage_metadata"] == used
    assert item["data"]["response_metadata"] == {"model_name": "gpt-5"}


def test_a_refusal_is_where_langchain_has_it() -> None:
    message = read("ai", "", additional_kwargs={"refusal": "No."})
    assert message["content"] == [{"type": "refusal", "refusal": "No."}]
    [item] = langchain.encode(canonical_message({"message_id": "m1"} | message))
    assert (item["data"]["content"], item["data"]["additional_kwargs"]) == ("", {"refusal": "No."})


def test_what_langchain_has_not_is_of_its_type() -> None:
    assert langchain.decode({"type": "remove", "data": {"id": "x"}}) == {
        "role": "assistant",
        "content": None,
        "type": "remove",
    }


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"data": {"content": ""}}, ("type",)),
        ({"type": "human", "content": ""}, ("data",)),
        ({"type": "human", "data": {}}, ("data", "content")),
        ({"type": "human", "data": {"content": ["Hi.", 3]}}, ("data", "content", 1)),
    ],
)
def test_what_is_no_message_is_refused(item: Json, path: tuple[str | int, ...]) -> None:
    with pytest.raises(UndecodableItem) as refused:
        langchain.decode(item)
    assert refused.value.path == path
