"""What the three providers' codecs make of items, as messages and as each other's."""

from typing import Any

import pytest

from app.codecs import CODECS, UndecodableItem, decode_item
from app.codecs.canonical import canonical_message
from app.codecs.message_json import function_call, tool_result
from tests.callers import Json

THOUGHT: Json = {"type": "reasoning", "text": "Eggs take eight minutes."}
TEXT: Json = {"type": "text", "text": "Eight minutes."}
CALL = function_call("call_1", "timer", '{"minutes":8}')
IMAGE: Json = {"type": "image_url", "image_url": {"url": "https://example.com/egg.png"}}
PNG = "data:image/png;base64,iVBORw0KGgo="


def written(codec: str, message: Json) -> list[Json]:
    """A message as items."""
    return CODECS[codec].encode(canonical_message(message))


@pytest.mark.parametrize(
    ("codec", "item", "message"),
    [
        ("chat_completions", {"role": "user", "content": [TEXT]}, {"role": "user", "content": "Eight minutes."}),
        (
            "chat_completions",
            {"role": "assistant", "content": "Eight minutes.", "reasoning_content": "Eggs take eight minutes."},
            {"role": "assistant", "content": [THOUGHT, TEXT]},
        ),
        (
            "chat_completions",
            {"role": "assistant", "content": None, "refusal": "No."},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        ),
        (
            "chat_completions",
            {"role": "assistant", "content": None, "function_call": {"name": "timer", "arguments": '{"minutes":8}'}},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [function_call("call_timer", "timer", '{"minutes":8}')],
            },
        ),
        (
            "chat_completions",
            {"role": "function", "name": "timer", "content": "It rang."},
            {"role": "tool", "content": "It rang.", "tool_call_id": "call_timer", "name": "timer"},
        ),
        ("chat_completions", {"role": "user", "content": "x", "name": "n" * 600}, {"role": "user", "content": "x"}),
        ("responses", {"role": "user", "content": "x"}, {"role": "user", "content": "x"}),
        (
            "responses",
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
            {"role": "assistant", "content": "x"},
        ),
        (
            "responses",
            {"type": "function_call", "call_id": "call_1", "name": "timer", "arguments": '{"minutes":8}'},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
        ),
        (
            "responses",
            {"type": "function_call_output", "call_id": "call_1", "output": "It rang."},
            {"role": "tool", "content": "It rang.", "tool_call_id": "call_1"},
        ),
        (
            "responses",
            {
                "type": "custom_tool_call_output",
                "call_id": "call_1",
                "output": [{"type": "input_file", "file_id": "f"}],
            },
            {"role": "tool", "content": [{"type": "file", "file": {"file_id": "f"}}], "tool_call_id": "call_1"},
        ),
        (
            "responses",
            {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": THOUGHT["text"]}]},
            {"role": "assistant", "type": "reasoning", "content": [THOUGHT]},
        ),
        (
            "responses",
            {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "x"},
            {"role": "assistant", "type": "reasoning"},
        ),
        ("responses", {"type": "web_search_call", "id": "ws"}, {"role": "assistant", "type": "web_search_call"}),
        ("responses", {"type": "shell_call_output", "output": []}, {"role": "tool", "type": "shell_call_output"}),
        (
            "responses",
            {"type": "additional_tools", "role": "developer"},
            {"role": "developer", "type": "additional_tools"},
        ),
        ("responses", {"id": "msg_1"}, {"role": "assistant", "type": "item_reference"}),
        ("responses", {"type": "t" * 100}, {"role": "assistant", "type": "t" * 64}),
        (
            "anthropic",
            {
                "role": "assistant",
                "model": "claude",
                "usage": {"input_tokens": 3, "output_tokens": 4},
                "content": [
                    {"type": "thinking", "thinking": THOUGHT["text"], "signature": "x"},
                    TEXT,
                    {"type": "tool_use", "id": "call_1", "name": "timer", "input": {"minutes": 8}},
                ],
            },
            {
                "role": "assistant",
                "content": [THOUGHT, TEXT],
                "tool_calls": [CALL],
                "model": "claude",
                "input_tokens": 3,
                "output_tokens": 4,
            },
        ),
        (
            "anthropic",
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": [TEXT]}]},
            {"role": "tool", "content": "Eight minutes.", "tool_call_id": "call_1"},
        ),
        (
            "anthropic",
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "x"},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": [TEXT, TEXT], "is_error": True},
                ],
            },
            {
                "role": "tool",
                "content": [tool_result("call_1", "x"), tool_result("call_2", [TEXT, TEXT], is_error=True)],
            },
        ),
        (
            "anthropic",
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1"}, TEXT]},
            {"role": "user", "content": [tool_result("call_1", None), TEXT]},
        ),
        (
            "anthropic",
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "i" * 600, "content": "x"}]},
            {"role": "tool", "content": [tool_result("i" * 600, "x")]},
        ),
    ],
)
def test_what_an_item_says(codec: str, item: Json, message: Json) -> None:
    assert decode_item(CODECS[codec], item)[0] == message


WHOLE: Json = {
    "role": "assistant",
    "content": [TEXT, tool_result("call_1", "It rang."), {"type": "text", "text": "Done."}],
    "tool_calls": [CALL, function_call("call_2", "timer", "{}")],
}


@pytest.mark.parametrize(
    ("codec", "items"),
    [
        (
            "chat_completions",
            [
                {"role": "assistant", "content": "Eight minutes.", "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": "It rang."},
                {"role": "assistant", "content": "Done.", "tool_calls": [function_call("call_2", "timer", "{}")]},
            ],
        ),
        (
            "responses",
            [
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Eight minutes.", "annotations": []}],
                },
                {"type": "function_call", "call_id": "call_1", "name": "timer", "arguments": '{"minutes":8}'},
                {"type": "function_call_output", "call_id": "call_1", "output": "It rang."},
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Done.", "annotations": []}],
                },
                {"type": "function_call", "call_id": "call_2", "name": "timer", "arguments": "{}"},
            ],
        ),
        (
            "anthropic",
            [
                {
                    "role": "assistant",
                    "content": [TEXT, {"type": "tool_use", "id": "call_1", "name": "timer", "input": {"minutes": 8}}],
                },
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "It rang."}],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "Done."},
                        {"type": "tool_use", "id": "call_2", "name": "timer", "input": {}},
                    ],
                },
            ],
        ),
    ],
)
def test_a_message_that_holds_results_is_several(codec: str, items: list[Json]) -> None:
    assert written(codec, WHOLE) == items


@pytest.mark.parametrize("codec", ["chat_completions", "responses", "anthropic"])
def test_reasoning_is_said_by_its_own_provider_alone(codec: str) -> None:
    assert written(codec, {"role": "assistant", "content": [THOUGHT]}) == []
    assert "Eggs take" not in str(written(codec, {"role": "assistant", "content": [THOUGHT, TEXT]}))
    assert written(codec, {"role": "assistant", "type": "reasoning", "content": [THOUGHT]}) == []


@pytest.mark.parametrize("codec", ["chat_completions", "responses", "anthropic"])
@pytest.mark.parametrize("text", ["", " ", "\n", "a"])
def test_every_text_is_said_as_it_is(codec: str, text: str) -> None:
    for role in ("user", "assistant", "system"):
        (item,) = written(codec, {"role": role, "content": text})
        assert decode_item(CODECS[codec], item) == ({"role": role, "content": text}, None)
    (item,) = written(codec, {"role": "tool", "content": text, "tool_call_id": "call_1"})
    assert CODECS[codec].decode(item) == {"role": "tool", "content": text, "tool_call_id": "call_1"}


@pytest.mark.parametrize("codec", ["chat_completions", "responses", "anthropic"])
def test_common_items_are_stored_once(codec: str) -> None:
    messages: list[Json] = [
        {"role": "user", "content": "How do I boil an egg?"},
        {"role": "user", "content": [TEXT, IMAGE, {"type": "image_url", "image_url": {"url": PNG}}]},
        {"role": "assistant", "content": "Eight minutes."},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "It rang.", "tool_call_id": "call_1"},
    ]
    for message in messages:
        (item,) = written(codec, message)
        assert decode_item(CODECS[codec], item)[1] is None, "nothing is kept beside the message"


@pytest.mark.parametrize(
    ("codec", "item", "path"),
    [
        ("chat_completions", {}, ("role",)),
        ("chat_completions", {"role": "user", "content": 5}, ("content",)),
        ("chat_completions", {"role": "user", "content": [TEXT, 5]}, ("content", 1)),
        ("chat_completions", {"role": "assistant", "tool_calls": "x"}, ("tool_calls",)),
        ("chat_completions", {"role": "assistant", "tool_calls": [5]}, ("tool_calls", 0)),
        ("chat_completions", {"role": "tool", "tool_call_id": 5, "content": ""}, ("tool_call_id",)),
        ("responses", {}, ("type",)),
        ("responses", {"type": 5}, ("type",)),
        ("responses", {"type": "message"}, ("role",)),
        ("responses", {"type": "message", "role": "critic", "content": ""}, ("role",)),
        ("responses", {"type": "function_call", "call_id": "x", "arguments": "{}"}, ("name",)),
        ("responses", {"type": "function_call", "call_id": "x", "name": "f", "arguments": {}}, ("arguments",)),
        ("responses", {"type": "function_call_output", "call_id": "x", "output": {}}, ("output",)),
        ("responses", {"type": "reasoning", "summary": "x", "content": 5}, ("content",)),
        ("anthropic", {"role": "developer", "content": "x"}, ("role",)),
        ("anthropic", {"role": "user", "content": [[]]}, ("content", 0)),
        ("anthropic", {"role": "assistant", "content": [TEXT, {"type": "tool_use"}]}, ("content", 1)),
        ("anthropic", {"role": "user", "content": [{"type": "tool_result"}]}, ("content", 0, "tool_use_id")),
        (
            "anthropic",
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": [5]}]},
            ("content", 0, "content", 0),
        ),
    ],
)
def test_what_is_no_item_is_refused_with_its_place(codec: str, item: Json, path: tuple[Any, ...]) -> None:
    with pytest.raises(UndecodableItem) as refused:
        CODECS[codec].decode(item)
    assert refused.value.path == path
