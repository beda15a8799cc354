"""LangChain's history: what goes in comes back, in one request, waiting or awaited, alone or beside other writers."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any

import pytest
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.history import RunnableWithMessageHistory

from chatkeep import AsyncChatkeep, Chatkeep, ChatkeepError
from chatkeep.langchain import ChatkeepHistory
from tests.adapters.network import AsyncNetwork, Network
from tests.conftest import Service

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")

MESSAGES: list[BaseMessage] = [
    SystemMessage("You cook."),
    HumanMessage("How do I boil an egg?", id="h-1", name="ann"),
    HumanMessage(
        [
            {"type": "text", "text": "And this one?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/egg.png"}},
            {"type": "image", "source_type": "base64", "data": "AAEC", "mime_type": "image/png"},
        ]
    ),
    AIMessage(
        "",
        id="run-1",
        tool_calls=[{"name": "timer", "args": {"minutes": 8, "soft": False}, "id": "call_1", "type": "tool_call"}],
        invalid_tool_calls=[
            {"name": "timer", "args": "{", "id": "call_2", "error": "no JSON", "type": "invalid_tool_call"}
        ],
        usage_metadata={"input_tokens": 12, "output_tokens": 5, "total_tokens": 17},
        response_metadata={"model_name": "gpt-5", "finish_reason": "tool_calls", "logprobs": None},
        additional_kwargs={"refusal": None},
    ),
    ToolMessage("It rings.", tool_call_id="call_1", name="timer", artifact={"at": 1.5}, status="success"),
    ToolMessage([{"type": "text", "text": "It broke."}], tool_call_id="call_2", status="error"),
    AIMessage(
        [
            {"type": "reasoning", "reasoning": "Eight minutes, then."},
            {"type": "text", "text": "Eight minutes.", "annotations": []},
            {"type": "something_new", "value": [1, 2.5, None]},
        ]
    ),
    AIMessageChunk(content="Nine", chunk_position="last"),
    ChatMessage(content="Hm.", role="critic"),
    FunctionMessage(content="8", name="minutes"),
    HumanMessage(""),
]


def same(actual: Sequence[BaseMessage], expected: Sequence[BaseMessage]) -> None:
    """Holds messages against others, each with its class and every field."""
    assert [(type(message), message.model_dump()) for message in actual] == [
        (type(message), message.model_dump()) for message in expected
    ]


def test_messages_of_every_kind_come_back_equal(service: Service, user: str) -> None:
    with Chatkeep(service.url, service.key, user_id=user) as client:
        history = ChatkeepHistory("key:kitchen", client)
        assert history.messages == []
        history.add_messages(MESSAGES)
        same(history.messages, MESSAGES)
        history.add_user_message("More")
        history.add_ai_message("No more")
        same(history.messages, [*MESSAGES, HumanMessage("More"), AIMessage("No more")])
        assert "Eight minutes." in str(history)
        history.clear()
        assert history.messages == []
        ChatkeepHistory("key:elsewhere", client).clear()


async def test_messages_of_every_kind_come_back_equal_when_awaited(service: Service, user: str) -> None:
    async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
        history = ChatkeepHistory("key:kitchen", async_client=client)
        assert await history.aget_messages() == []
        await history.aadd_messages(MESSAGES)
        same(await history.aget_messages(), MESSAGES)
        await history.aclear()
        assert await history.aget_messages() == []
        await ChatkeepHistory("key:elsewhere", async_client=client).aclear()
        with pytest.raises(TypeError, match="AsyncChatkeep only"):
            _ = history.messages


async def test_without_an_async_client_awaiting_waits_in_a_thread(service: Service, user: str) -> None:
    with Chatkeep(service.url, service.key, user_id=user) as client:
        history = ChatkeepHistory("key:kitchen", client)
        await history.aadd_messages(MESSAGES[:2])
        same(await history.aget_messages(), MESSAGES[:2])
        await history.aclear()
        assert await history.aget_messages() == []


def test_a_history_needs_a_client() -> None:
    with pytest.raises(TypeError, match="needs a Chatkeep"):
        ChatkeepHistory("key:kitchen")


def test_messages_are_added_in_one_request_or_not_at_all(service: Service, user: str) -> None:
    way = Network()
    with Chatkeep(service.url, service.key, user_id=user, transport=way) as client:
        history = ChatkeepHistory("key:kitchen", client)
        history.add_messages([])
        assert way.sent == []
        history.add_messages(MESSAGES)
        assert way.sent == ["POST /chats/key:kitchen/messages"]
        with pytest.raises(ChatkeepError):
            history.add_messages([HumanMessage("first"), HumanMessage("\0")])
        with pytest.raises(ValueError, match="At most 1000"):
            history.add_messages([HumanMessage("x")] * 1001)
        same(history.messages, MESSAGES)


async def test_what_is_sent_again_is_there_once(service: Service, user: str) -> None:
    way = AsyncNetwork()
    way.lose("POST .*", "answer")
    async with AsyncChatkeep(service.url, service.key, user_id=user, transport=way) as client:
        history = ChatkeepHistory("key:kitchen", async_client=client)
        await history.aadd_messages(MESSAGES[:3])
        assert len(way.sent) == 2
        same(await history.aget_messages(), MESSAGES[:3])


def test_only_the_last_turns(service: Service, user: str) -> None:
    with Chatkeep(service.url, service.key, user_id=user) as client:
        calls = [{"name": "f", "args": {}, "id": "c1"}, {"name": "f", "args": {}, "id": "c2"}]
        turn = [
            HumanMessage("Do it"),
            AIMessage("", tool_calls=calls),
            ToolMessage("1", tool_call_id="c1"),
            ToolMessage("2", tool_call_id="c2"),
            AIMessage("Done"),
        ]
        ChatkeepHistory("key:kitchen", client).add_messages(turn * 60)
        same(ChatkeepHistory("key:kitchen", client, max_turns=2).messages, turn * 2)
        # More than a page of them.
        same(ChatkeepHistory("key:kitchen", client, max_turns=50).messages, turn * 50)
        same(ChatkeepHistory("key:kitchen", client).messages, turn * 60)


def batches(writer: str) -> list[list[HumanMessage]]:
    return [[HumanMessage(f"{writer}/{batch}/{number}") for number in range(3)] for batch in range(10)]


def whole(messages: list[BaseMessage]) -> None:
    """Checks that the messages of two writers are all there, each batch together and each writer's in its order."""
    prompts = [str(message.content).split("/") for message in messages]
    runs = [(words, list(group)) for words, group in groupby(prompts, key=lambda words: tuple(words[:2]))]
    assert all([words[2] for words in group] == ["0", "1", "2"] for _, group in runs)
    for writer in "ab":
        assert [batch for (who, batch), _ in runs if who == writer] == [str(number) for number in range(10)]


def test_two_threads_write_into_one_history(service: Service, user: str) -> None:
    with Chatkeep(service.url, service.key, user_id=user) as client, ThreadPoolExecutor() as threads:

        def write(writer: str) -> None:
            for batch in batches(writer):
                ChatkeepHistory("key:kitchen", client).add_messages(batch)

        list(threads.map(write, "ab"))
        whole(ChatkeepHistory("key:kitchen", client).messages)


async def test_two_tasks_write_into_one_history(service: Service, user: str) -> None:
    async with AsyncChatkeep(service.url, service.key, user_id=user) as client:

        async def write(writer: str) -> None:
            for batch in batches(writer):
                await ChatkeepHistory("key:kitchen", async_client=client).aadd_messages(batch)

        await asyncio.gather(write("a"), write("b"))
        whole(await ChatkeepHistory("key:kitchen", async_client=client).aget_messages())


class Heard(GenericFakeChatModel):
    """LangChain's own model for tests, which also tells what it was asked."""

    heard: list[list[BaseMessage]]

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Any:
        self.heard.append(messages)
        return super()._generate(messages, *args, **kwargs)


def chain(model: Heard, history: Any) -> RunnableWithMessageHistory:
    prompt = ChatPromptTemplate.from_messages(
        [("system", "You cook."), MessagesPlaceholder("history"), ("human", "{question}")]
    )
    return RunnableWithMessageHistory(
        prompt | model, history, input_messages_key="question", history_messages_key="history"
    )


def session(name: str) -> RunnableConfig:
    return {"configurable": {"session_id": name}}


def test_a_runnable_remembers(service: Service, user: str) -> None:
    model = Heard(heard=[], messages=iter(["Eight minutes.", "Five.", "Who are you?"]))
    with Chatkeep(service.url, service.key, user_id=user) as client:

        def history(session_id: str) -> BaseChatMessageHistory:
            return ChatkeepHistory(f"key:{session_id}", client)

        runnable = chain(model, history)
        runnable.invoke({"question": "How long does an egg boil?"}, session("ann"))
        runnable.invoke({"question": "And a soft one?"}, session("ann"))
        runnable.invoke({"question": "And a soft one?"}, session("bob"))
        prompts = [[(message.type, message.content) for message in messages] for messages in model.heard]
        assert prompts[1] == [
            ("system", "You cook."),
            ("human", "How long does an egg boil?"),
            ("ai", "Eight minutes."),
            ("human", "And a soft one?"),
        ]
        assert len(prompts[2]) == 2
        assert [message.content for message in history("ann").messages][-1] == "Five."


async def test_a_runnable_that_is_awaited_remembers(service: Service, user: str) -> None:
    model = Heard(heard=[], messages=iter(["Eight minutes.", "Five."]))
    async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
        runnable = chain(model, lambda session_id: ChatkeepHistory(f"key:{session_id}", async_client=client))
        await runnable.ainvoke({"question": "How long does an egg boil?"}, session("ann"))
        async for _ in runnable.astream({"question": "And a soft one?"}, session("ann")):
            pass
        assert [message.content for message in model.heard[1]][1:] == [
            "How long does an egg boil?",
            "Eight minutes.",
            "And a soft one?",
        ]
        stored = await ChatkeepHistory("key:ann", async_client=client).aget_messages()
        assert [isinstance(message, AIMessage) for message in stored] == [False, True, False, True]
        assert stored[-1].content == "Five."
