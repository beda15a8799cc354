"""Pydantic-AI's own messages through `format=pydantic_ai`."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import (
    AudioUrl,
    BinaryContent,
    CachePoint,
    DocumentUrl,
    FilePart,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    NativeToolCallPart,
    NativeToolReturnPart,
    RetryFeedbackPart,
    RetryInfo,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UploadedFile,
    UserPromptPart,
    VideoUrl,
)
from pydantic_ai.usage import RequestUsage

from tests.codecs.log import Log
from tests.codecs.values import BYTES, IDS, JSON, NAMES, OBJECTS, TEXT, URLS, over_http

AT = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
MOMENTS = st.datetimes(timezones=st.just(UTC)).filter(lambda moment: moment.year > 1)
CONTENT = st.one_of(
    TEXT,
    st.builds(ImageUrl, URLS),
    st.builds(DocumentUrl, URLS),
    st.builds(BinaryContent, BYTES, media_type=st.sampled_from(["image/png", "audio/wav", "application/pdf"])),
    st.builds(TextContent, TEXT),
    st.builds(UploadedFile, TEXT.filter(bool), provider_name=st.just("openai")),
)
USER = st.builds(UserPromptPart, TEXT | st.lists(CONTENT, max_size=3), timestamp=MOMENTS)
RETURN: st.SearchStrategy[ToolReturnPart[Any]] = st.builds(
    ToolReturnPart,
    tool_name=NAMES,
    content=JSON,
    tool_call_id=IDS,
    timestamp=MOMENTS,
    outcome=st.sampled_from(["success", "failed", "denied"]),
)
SYSTEM = st.builds(SystemPromptPart, TEXT, timestamp=MOMENTS)
ARGS = TEXT | OBJECTS | st.none()
CALL: st.SearchStrategy[ToolCallPart[Any]] = st.builds(ToolCallPart, tool_name=NAMES, args=ARGS, tool_call_id=IDS)
MADE: st.SearchStrategy[ModelMessage] = st.one_of(
    st.builds(
        ModelRequest,
        st.lists(USER | RETURN | SYSTEM, max_size=3),
        instructions=st.none() | TEXT,
        timestamp=st.none() | MOMENTS,
        metadata=st.none() | OBJECTS,
    ),
    st.builds(
        ModelResponse,
        st.lists(st.builds(TextPart, TEXT) | st.builds(ThinkingPart, TEXT, signature=TEXT) | CALL, max_size=3),
        usage=st.builds(RequestUsage, input_tokens=st.integers(0, 99), output_tokens=st.integers(0, 99)),
        model_name=st.none() | TEXT,
        timestamp=MOMENTS,
    ),
)
MESSAGES: list[ModelMessage] = [
    ModelRequest(
        [
            SystemPromptPart("You help in the kitchen.", timestamp=AT),
            UserPromptPart(
                [
                    "Is it done?",
                    ImageUrl("https://example.com/egg.png", vendor_metadata={"detail": "low"}),
                    AudioUrl("https://example.com/egg.mp3"),
                    VideoUrl("https://example.com/egg.mp4"),
                    DocumentUrl("https://example.com/egg.pdf"),
                    BinaryContent(b"\xfb\xff\xfe\x01", media_type="image/png"),
                    BinaryContent(b"RIFF", media_type="audio/wav"),
                    UploadedFile("file-1", provider_name="openai"),
                    CachePoint(),
                ],
                timestamp=AT,
            ),
        ],
        instructions="Be brief.",
        timestamp=AT,
        run_id="run-1",
    ),
    ModelResponse(
        [
            ThinkingPart("I must look.", signature="c2ln", provider_name="anthropic"),
            TextPart("Wait.", id="msg_1", provider_name="openai"),
            ToolCallPart("timer", '{"minutes": 8}', tool_call_id="call_1"),
            ToolCallPart("buy", {"eggs": 6}, tool_call_id="call_2"),
            NativeToolCallPart("web_search", {"q": "egg"}, tool_call_id="ws_1", provider_name="openai"),
            NativeToolReturnPart("web_search", [{"title": "Eggs"}], tool_call_id="ws_1", timestamp=AT),
            FilePart(BinaryContent(b"\x89PNG", media_type="image/png")),
        ],
        usage=RequestUsage(input_tokens=12, output_tokens=5),
        model_name="gpt-5",
        timestamp=AT,
        provider_name="openai",
        finish_reason="tool_call",
    ),
    ModelRequest([ToolReturnPart("timer", {"rang": True}, tool_call_id="call_1", timestamp=AT, metadata={"a": 1})]),
    ModelRequest([ToolReturnPart("buy", "No such shop.", tool_call_id="call_2", outcome="retried", timestamp=AT)]),
    ModelRequest([RetryFeedbackPart("Answer in JSON.", retry=RetryInfo(cause="no_output"), timestamp=AT)]),
    ModelResponse([], timestamp=AT),
]


def dumped(messages: list[ModelMessage]) -> list[dict[str, Any]]:
    """Messages as JSON."""
    found: list[dict[str, Any]] = ModelMessagesTypeAdapter.dump_python(messages, mode="json")
    return found


def loaded(items: list[dict[str, Any]]) -> list[ModelMessage]:
    """Messages from JSON."""
    return ModelMessagesTypeAdapter.validate_python(items)


def test_every_kind_comes_back_equal(log: Log) -> None:
    items = dumped(MESSAGES)
    assert log.through("pydantic_ai", items) == items
    assert loaded(log.through("pydantic_ai", items)) == loaded(items)


@over_http
@given(messages=st.lists(MADE, min_size=1, max_size=5))
def test_whatever_it_says_comes_back_equal(log: Log, messages: list[ModelMessage]) -> None:
    items = dumped(messages)
    assert log.through("pydantic_ai", items) == items
    assert loaded(log.through("pydantic_ai", items)) == loaded(items)


def test_a_chat_of_another_api_is_one_of_pydantic_ai(log: Log) -> None:
    chat = log.write(
        "anthropic",
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Is it done?"},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/egg.png"}},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "+//+AQ=="},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "I must look.", "signature": "c2ln"},
                    {"type": "text", "text": "Wait."},
                    {"type": "tool_use", "id": "toolu_1", "name": "timer", "input": {"minutes": 8}},
                    {"type": "tool_use", "id": "toolu_2", "name": "buy", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": '{"rang": true}'},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": "No such shop.", "is_error": True},
                    {"type": "text", "text": "Go on."},
                ],
            },
        ],
    )
    asked, called, answered = loaded(log.read("pydantic_ai", chat))
    [prompt] = asked.parts
    assert isinstance(prompt, UserPromptPart)
    assert not isinstance(prompt.content, str)
    text, image, held = prompt.content
    assert text == "Is it done?"
    assert isinstance(image, ImageUrl)
    assert image.url == "https://example.com/egg.png"
    assert isinstance(held, BinaryContent)
    assert (held.data, held.media_type) == (b"\xfb\xff\xfe\x01", "image/png")
    assert datetime.now(UTC) - prompt.timestamp < timedelta(minutes=5)
    thought, spoken, first, second = called.parts
    assert isinstance(thought, ThinkingPart)
    assert isinstance(spoken, TextPart)
    assert (thought.content, spoken.content) == ("I must look.", "Wait.")
    assert isinstance(first, ToolCallPart)
    assert isinstance(second, ToolCallPart)
    assert first.args_as_dict() == {"minutes": 8}
    one, two, more = answered.parts
    assert isinstance(one, ToolReturnPart)
    assert isinstance(two, ToolReturnPart)
    assert (one.tool_call_id, one.content, one.outcome) == ("toolu_1", {"rang": True}, "success")
    assert (two.tool_call_id, two.content, two.outcome) == ("toolu_2", "No such shop.", "failed")
    assert isinstance(more, UserPromptPart)
    assert more.content == "Go on."
    assert loaded(log.read("pydantic_ai", chat)) == [asked, called, answered], "its moments are those of the chat"
