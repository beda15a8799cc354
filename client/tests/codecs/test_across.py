"""What is written in one format loads in each library as its own objects."""

from collections.abc import Callable
from typing import Any

import pytest
from google.adk.events.event import Event
from langchain_core.messages import messages_from_dict
from pydantic_ai.messages import ModelMessagesTypeAdapter

from tests.codecs import test_adk, test_langchain, test_pydantic_ai
from tests.codecs.log import Json, Log

PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="
WRITTEN: dict[str | None, list[Json]] = {
    None: [
        {"role": "user", "content": ""},
        {"role": "assistant", "content": [{"type": "text", "text": "Hm."}, {"type": "unheard-of", "a": 1}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1"}]},
        {"role": "tool", "content": [{"type": "text", "text": "It"}, {"type": "text", "text": "rang."}]},
        {"role": "assistant", "type": "web_search_call"},
    ],
    "chat_completions": [
        {"role": "system", "content": "You help in the kitchen."},
        {
            "role": "user",
            "name": "Ann",
            "content": [
                {"type": "text", "text": "Is it done?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/egg", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "no address"}},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "file", "file": {"file_data": PDF, "filename": "egg.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "timer", "arguments": "no JSON"}},
                {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_2", "content": ""},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}, {"type": "text", "text": "Yes."}]},
    ],
    "responses": [
        {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {
            "role": "user",
            "content": [{"type": "input_image", "image_url": PNG}, {"type": "input_file", "file_id": "f"}],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "function_call", "call_id": "call_1", "name": "timer", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_image", "image_url": PNG}]},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAA"},
    ],
    "anthropic": [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "tool_use", "id": "toolu_1", "name": "timer", "input": {"minutes": 8}},
                {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Broken.", "is_error": True},
                {"type": "document", "source": {"type": "url", "url": "https://example.com/egg.pdf"}, "title": "Eggs"},
            ],
        },
    ],
    "ui": [
        {
            "id": "a1",
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "text": "Hm."},
                {
                    "type": "tool-timer",
                    "toolCallId": "call_1",
                    "state": "output-available",
                    "input": [1],
                    "output": {"rang": True},
                },
                {"type": "step-start"},
                {"type": "text", "text": "Done."},
                {"type": "file", "mediaType": "image/png", "url": PNG},
                {"type": "source-url", "sourceId": "s1", "url": "https://example.com"},
            ],
        }
    ],
    "langchain": test_langchain.dumped(test_langchain.MESSAGES),
    "pydantic_ai": test_pydantic_ai.dumped(test_pydantic_ai.MESSAGES),
    "adk": [test_adk.dumped(event) for event in test_adk.EVENTS],
}
LOADED: dict[str, Callable[[list[Json]], list[Any]]] = {
    "langchain": messages_from_dict,
    "pydantic_ai": ModelMessagesTypeAdapter.validate_python,
    "adk": lambda items: [Event.model_validate(item) for item in items],
}


@pytest.mark.parametrize("written", WRITTEN, ids=str)
@pytest.mark.parametrize("library", LOADED)
def test_what_another_wrote_loads_as_the_library_s_own(log: Log, written: str | None, library: str) -> None:
    chat = log.write(written, WRITTEN[written])
    items = log.read(library, chat)
    first, again = LOADED[library](items), LOADED[library](log.read(library, chat))
    assert first
    assert first == again, "nothing is made up in loading"
