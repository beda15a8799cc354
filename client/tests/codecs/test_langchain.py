"""LangChain's own messages through `format=langchain`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
    messages_to_dict,
)
from langchain_core.messages import content as blocks

from tests.codecs.log import Log
from tests.codecs.values import IDS, JSON, NAMES, OBJECTS, TEXT, URLS, over_http

PNG = "iVBORw0KGgo="
MESSAGES: list[BaseMessage] = [
    SystemMessage("You help in the kitchen."),
    SystemMessage("Be brief.", additional_kwargs={"__openai_role__": "developer"}),
    HumanMessage("How do I boil an egg?", name="Ann", id="h1"),
    HumanMessage(""),
    HumanMessage(
        content_blocks=[
            blocks.create_text_block("Is it done?"),
            blocks.create_image_block(url="https://example.com/egg.png"),
            blocks.create_image_block(base64=PNG, mime_type="image/png"),
            blocks.create_image_block(file_id="file-1"),
            blocks.create_audio_block(base64="UklGRg==", mime_type="audio/wav"),
            blocks.create_video_block(url="https://example.com/egg.mp4"),
            blocks.create_file_block(base64="JVBERi0=", mime_type="application/pdf", filename="egg.pdf"),
            blocks.create_plaintext_block("Eggs."),
            blocks.create_non_standard_block({"type": "guard", "level": 3}),
        ]
    ),
    HumanMessage(
        [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}}, "Look."]
    ),
    AIMessage(
        content_blocks=[
            blocks.create_reasoning_block("I must look."),
            blocks.create_text_block("Wait.", annotations=[{"type": "citation", "url": "https://example.com"}]),
            {"type": "tool_call", "name": "timer", "args": {"minutes": 8}, "id": "call_1"},
        ],
        invalid_tool_calls=[
            {"name": "buy", "args": '{"eggs": ', "id": "call_2", "error": "no JSON", "type": "invalid_tool_call"}
        ],
        usage_metadata={
            "input_tokens": 12,
            "output_tokens": 5,
            "total_tokens": 17,
            "output_token_details": {"reasoning": 3},
        },
        response_metadata={"model_name": "gpt-5", "finish_reason": "tool_calls", "logprobs": None},
        id="run-1",
    ),
    ToolMessage("It rang.", tool_call_id="call_1", name="timer", artifact={"at": [8, None]}),
    ToolMessage([{"type": "text", "text": "No such shop."}], tool_call_id="call_2", status="error"),
    AIMessage("", tool_calls=[{"name": "timer", "args": {}, "id": None, "type": "tool_call"}]),
    AIMessage("", additional_kwargs={"refusal": "I can't help with that."}),
    AIMessage("Eight minutes.", additional_kwargs={"reasoning_content": "Eggs take eight minutes."}),
    AIMessageChunk(content="Eight", id="run-2", tool_call_chunks=[], usage_metadata=None),
    ChatMessage(content="I disagree.", role="critic"),
    FunctionMessage(content="It rang.", name="timer"),
    RemoveMessage("h1"),
]
SAID = TEXT | st.lists(
    TEXT
    | st.fixed_dictionaries({"type": st.just("text"), "text": TEXT})
    | st.fixed_dictionaries({"type": st.just("image"), "url": URLS})
    | st.fixed_dictionaries({"type": st.just("reasoning"), "reasoning": TEXT})
    | OBJECTS,
    max_size=3,
)
CALLS = st.lists(
    st.fixed_dictionaries({"name": NAMES, "args": OBJECTS, "id": IDS | st.none(), "type": st.just("tool_call")}),
    max_size=2,
)
MORE = {
    "name": st.none() | NAMES,
    "id": st.none() | TEXT,
    "additional_kwargs": OBJECTS,
    "response_metadata": OBJECTS,
}
MADE: st.SearchStrategy[BaseMessage] = st.one_of(
    st.builds(HumanMessage, SAID, **MORE),
    st.builds(SystemMessage, SAID, **MORE),
    st.builds(AIMessage, SAID, tool_calls=CALLS, **MORE),
    st.builds(ToolMessage, SAID, tool_call_id=IDS, artifact=JSON, status=st.sampled_from(["success", "error"])),
)


def dumped(messages: list[BaseMessage]) -> list[dict[str, Any]]:
    """Messages as JSON."""
    found: list[dict[str, Any]] = json.loads(json.dumps(messages_to_dict(messages)))
    return found


def test_every_kind_comes_back_equal(log: Log) -> None:
    assert messages_from_dict(log.through("langchain", dumped(MESSAGES))) == MESSAGES


@over_http
@given(messages=st.lists(MADE, min_size=1, max_size=5))
def test_whatever_it_says_comes_back_equal(log: Log, messages: list[BaseMessage]) -> None:
    items = dumped(messages)
    assert log.through("langchain", items) == items
    assert messages_from_dict(log.through("langchain", items)) == messages_from_dict(items)


def test_a_chat_of_another_api_is_one_of_langchain(log: Log) -> None:
    chat = log.write(
        "chat_completions",
        [
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Is it done?"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/egg.png"}},
                    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}},
                    {
                        "type": "file",
                        "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "timer", "arguments": '{"minutes": 8}'}},
                    {"id": "call_2", "type": "function", "function": {"name": "buy", "arguments": '{"eggs": '}},
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "It rang."},
            {"role": "assistant", "content": None, "refusal": "I can't help with that."},
        ],
    )
    native = log.read(None, chat)
    system, user, called, result, refused = messages_from_dict(log.read("langchain", chat))
    assert isinstance(system, SystemMessage)
    assert system.additional_kwargs == {"__openai_role__": "developer"}
    assert isinstance(user, HumanMessage)
    assert [block["type"] for block in user.content_blocks] == ["text", "image", "audio", "file"]
    assert isinstance(called, AIMessage)
    assert called.tool_calls == [{"name": "timer", "args": {"minutes": 8}, "id": "call_1", "type": "tool_call"}]
    assert [call["args"] for call in called.invalid_tool_calls] == ['{"eggs": ']
    assert isinstance(result, ToolMessage)
    assert (result.tool_call_id, result.content, result.status) == ("call_1", "It rang.", "success")
    assert refused.additional_kwargs == {"refusal": "I can't help with that."}
    ids = [message.id for message in (system, user, called, result, refused)]
    assert ids == [message["message_id"] for message in native]


def test_a_message_with_its_results_is_several(log: Log) -> None:
    part = {"type": "tool-timer", "toolCallId": "call_1", "state": "output-error", "input": {}, "errorText": "Broken."}
    text = {"type": "text", "text": "It is broken."}
    chat = log.write("ui", [{"id": "a1", "role": "assistant", "parts": [part, {"type": "step-start"}, text]}])
    called, failed, answered = messages_from_dict(log.read("langchain", chat))
    assert isinstance(called, AIMessage)
    assert [call["id"] for call in called.tool_calls] == ["call_1"]
    assert isinstance(failed, ToolMessage)
    assert (failed.status, failed.content) == ("error", "Broken.")
    assert answered.content == "It is broken."
    assert len({called.id, failed.id, answered.id}) == 3, "LangChain takes messages of one id for one"


@pytest.mark.parametrize("content", [None, 3, {"type": "text"}, [3]])
def test_content_of_no_kind_is_refused(log: Log, content: Any) -> None:
    item = message_to_dict(HumanMessage(""))
    item["data"]["content"] = content
    with pytest.raises(AssertionError, match="content"):
        log.write("langchain", [item])
