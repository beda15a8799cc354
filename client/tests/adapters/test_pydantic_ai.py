"""Pydantic AI's history: a run's messages come back equal, and the next run goes on from them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.messages import (
    BinaryContent,
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
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import RequestUsage

from chatkeep import AsyncChatkeep, Chatkeep, ChatkeepError
from chatkeep.pydantic_ai import load, load_sync, save, save_sync
from tests.adapters.network import AsyncNetwork
from tests.conftest import Service
from tests.scripted_model import ScriptedModel

AT = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
MESSAGES: list[ModelMessage] = [
    ModelRequest(
        parts=[
            SystemPromptPart("You cook.", timestamp=AT, dynamic_ref="chef"),
            UserPromptPart(
                [
                    "What is this?",
                    ImageUrl("https://example.com/egg.png", force_download=True),
                    BinaryContent(b"\x00\xff\xfe egg", media_type="image/png", identifier="egg"),
                    DocumentUrl("https://example.com/eggs.pdf"),
                ],
                timestamp=AT,
            ),
        ],
        instructions="Be short.",
        metadata={"source": "web"},
        run_id="run-1",
    ),
    ModelResponse(
        parts=[
            ThinkingPart("An egg, I think.", signature="c2ln", provider_name="anthropic", id="t1"),
            TextPart("Let me see."),
            ToolCallPart("look", {"at": "egg", "closely": True}, tool_call_id="call_1"),
            ToolCallPart("look", '{"at": "pan', tool_call_id="call_2"),
            NativeToolCallPart("web_search", {"query": "egg"}, tool_call_id="ws_1", provider_name="openai"),
            NativeToolReturnPart("web_search", {"hits": [1, 2.5, None]}, tool_call_id="ws_1", provider_name="openai"),
            FilePart(BinaryContent(b"\x89PNG", media_type="image/png")),
        ],
        usage=RequestUsage(input_tokens=12, output_tokens=5, details={"reasoning_tokens": 2}),
        model_name="gpt-5",
        timestamp=AT,
        provider_name="openai",
        provider_details={"finish_reason": "tool_calls"},
        provider_response_id="resp_1",
        finish_reason="tool_call",
    ),
    ModelRequest(
        parts=[
            ToolReturnPart(
                "look", {"seen": ["an egg", 1]}, tool_call_id="call_1", metadata={"took": 0.5}, timestamp=AT
            ),
            ToolReturnPart("look", "Not JSON.", tool_call_id="call_2", outcome="retried", timestamp=AT),
            UserPromptPart("", timestamp=AT),
        ]
    ),
    ModelRequest(parts=[RetryFeedbackPart("Say more.", retry=RetryInfo("model_retry", attempt=1), timestamp=AT)]),
    ModelResponse(parts=[], timestamp=AT),
    ModelResponse(parts=[TextPart("An egg.")], timestamp=AT, model_name="gpt-5"),
]


def by_json(messages: list[ModelMessage]) -> list[ModelMessage]:
    """Messages as Pydantic AI itself gives them back from JSON: some of what it works out is not in it."""
    return ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(messages))


EXPECTED = by_json(MESSAGES)


async def test_messages_of_every_kind_come_back_equal(service: Service, user: str) -> None:
    async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
        assert await load(client, "key:kitchen") == []
        await save(client, "key:kitchen", [])
        assert await load(client, "key:kitchen") == []
        await save(client, "key:kitchen", MESSAGES)
        assert await load(client, "key:kitchen") == EXPECTED
        await save(client, "key:kitchen", MESSAGES[:1] * 250)
        assert await load(client, "key:kitchen") == EXPECTED + EXPECTED[:1] * 250


def test_the_same_waiting(service: Service, user: str) -> None:
    with Chatkeep(service.url, service.key, user_id=user) as client:
        assert load_sync(client, "key:kitchen") == []
        save_sync(client, "key:kitchen", [])
        save_sync(client, "key:kitchen", MESSAGES)
        assert load_sync(client, "key:kitchen") == EXPECTED
        assert load_sync(client, "key:kitchen", max_turns=1) == EXPECTED[2:]
        assert load_sync(client, "key:kitchen", max_turns=9) == EXPECTED


async def test_only_the_last_turns_with_the_results_of_their_calls(service: Service, user: str) -> None:
    turn: list[ModelMessage] = [
        ModelRequest(parts=[UserPromptPart("Do both.", timestamp=AT)]),
        ModelResponse(parts=[ToolCallPart("f", {}, "c1"), ToolCallPart("f", {}, "c2")], timestamp=AT),
        ModelRequest(parts=[ToolReturnPart("f", 1, "c1", timestamp=AT), ToolReturnPart("f", 2, "c2", timestamp=AT)]),
        ModelResponse(parts=[TextPart("Done.")], timestamp=AT),
    ]
    async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
        await save(client, "key:kitchen", turn * 60)
        for turns in (1, 2, 20):
            assert await load(client, "key:kitchen", max_turns=turns) == turn * turns
        with pytest.raises(ValueError, match="at least 1"):
            await load(client, "key:kitchen", max_turns=0)


async def test_a_run_is_saved_whole_and_once(service: Service, user: str) -> None:
    way = AsyncNetwork()
    way.lose("POST .*", "answer")
    async with AsyncChatkeep(service.url, service.key, user_id=user, transport=way) as client:
        await save(client, "key:kitchen", MESSAGES)
        assert way.sent == ["POST /chats/key:kitchen/messages"] * 2
        with pytest.raises(ChatkeepError):
            await save(client, "key:kitchen", [*MESSAGES, ModelRequest(parts=[UserPromptPart("\0")])])
        assert await load(client, "key:kitchen") == EXPECTED


def kitchen(model: Any) -> Agent[None, str]:
    agent = Agent(model, instructions="You cook.")

    @agent.tool_plain
    def minutes(egg: str) -> dict[str, Any]:
        """How long an egg boils."""
        if egg == "raw":
            raise ModelRetry("No such egg.")
        return {"egg": egg, "minutes": 8}

    return agent


async def two_runs(service: Service, user: str, model: Any) -> tuple[list[ModelMessage], list[ModelMessage]]:
    """What two runs said, the second in another process, so to speak; and what is kept of it."""
    async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
        first = await kitchen(model).run("hard", message_history=await load(client, "key:kitchen"))
        await save(client, "key:kitchen", first.new_messages())
    async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
        second = await kitchen(model).run("soft", message_history=await load(client, "key:kitchen"))
        await save(client, "key:kitchen", second.new_messages())
        return second.all_messages(), await load(client, "key:kitchen")


async def test_runs_of_the_test_model(service: Service, user: str) -> None:
    produced, stored = await two_runs(service, user, TestModel())
    assert stored == by_json(produced)
    assert len(stored) >= 6


async def test_runs_of_a_function_that_retries(service: Service, user: str) -> None:
    heard: list[list[ModelMessage]] = []

    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        heard.append(list(messages))
        last = messages[-1].parts[-1]
        if isinstance(last, UserPromptPart):
            return ModelResponse(parts=[ThinkingPart("Raw?"), ToolCallPart("minutes", {"egg": "raw"})])
        if isinstance(last, ToolReturnPart) and last.outcome == "retried":
            return ModelResponse(
                parts=[ToolCallPart("minutes", {"egg": "hard"}), ToolCallPart("minutes", {"egg": "soft"})]
            )
        return ModelResponse(parts=[TextPart("Eight.")])

    produced, stored = await two_runs(service, user, FunctionModel(model))
    assert stored == by_json(produced)
    assert len(stored) == 12
    assert by_json(heard[3][:6]) == stored[:6]


@pytest.mark.parametrize("model", [OpenAIChatModel, OpenAIResponsesModel])
async def test_runs_of_openai_models_over_http(service: Service, user: str, model: Any) -> None:
    with ScriptedModel() as scripted:
        provider = OpenAIProvider(base_url=scripted.url, api_key="none")
        produced, stored = await two_runs(service, user, model("scripted", provider=provider))
        await provider.client.close()
    assert stored == by_json(produced)
    assert [type(message) for message in stored] == [ModelRequest, ModelResponse] * 4
    assert "soft" in str(stored[-1])


async def test_two_writers(service: Service, user: str) -> None:
    async with AsyncChatkeep(service.url, service.key, user_id=user) as client:

        async def write(writer: str) -> None:
            for run in range(10):
                request = ModelRequest(parts=[UserPromptPart(f"{writer}{run}", timestamp=AT)])
                await save(client, "key:kitchen", [request, ModelResponse(parts=[TextPart(f"{writer}{run}")])])

        await asyncio.gather(write("a"), write("b"))
        stored = [str(message.parts[0].content) for message in await load(client, "key:kitchen")]  # type: ignore[union-attr]
    assert stored[::2] == stored[1::2]
    for writer in "ab":
        assert [message for message in stored[::2] if message[0] == writer] == [f"{writer}{run}" for run in range(10)]
