"""Agents of Google ADK, run by its Runner with our sessions: they remember, on another machine too."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from google.adk.agents import BaseAgent, LlmAgent, ParallelAgent, RunConfig, SequentialAgent
from google.adk.agents.run_config import StreamingMode  # type: ignore[attr-defined]
from google.adk.errors import StaleSessionError
from google.adk.events.event import Event
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.tools.tool_context import ToolContext
from google.genai import types

from chatkeep import AsyncChatkeep
from chatkeep.adk import ChatkeepSessionService
from tests.conftest import Service

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")


class Scripted(BaseLlm):
    """Calls the first tool there is with what the user said, and then says what the tool said."""

    model: str = "scripted"
    heard: list[LlmRequest]

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        self.heard.append(llm_request.model_copy(deep=True))
        last = llm_request.contents[-1].parts or []
        tools = list(llm_request.tools_dict)
        if tools and last[-1].text is not None:
            parts = [types.Part.from_function_call(name=tools[0], args={"egg": last[-1].text})]
        else:
            response = last[-1].function_response
            text = f"{len(llm_request.contents)}: {response.response if response else last[-1].text}"
            if stream:
                half = types.Content(role="model", parts=[types.Part(text=text[: len(text) // 2])])
                yield LlmResponse(content=half, partial=True)
            parts = [types.Part(text=text)]
        yield LlmResponse(content=types.Content(role="model", parts=parts), model_version="scripted-1")


def minutes(egg: str, tool_context: ToolContext) -> dict[str, Any]:
    """How long an egg boils."""
    state = tool_context.state
    state["last"] = egg
    state["user:eggs"] = state.get("user:eggs", 0) + 1
    state["app:eggs"] = state.get("app:eggs", 0) + 1
    state["temp:hob"] = "hot"
    return {"egg": egg, "minutes": 8}


def cook(model: Scripted) -> LlmAgent:
    return LlmAgent(name="cook", model=model, instruction="You cook.", tools=[minutes], output_key="answer")


def asked(text: str) -> types.Content:
    return types.Content(role="user", parts=[types.Part(text=text)])


async def run(service: ChatkeepSessionService, agent: Any, text: str, **options: Any) -> list[Event]:
    """What a run says, in a session that the runner makes if need be."""
    runner = Runner(app_name="kitchen", agent=agent, session_service=service, auto_create_session=True)
    try:
        loaded = runner.run_async(user_id="ann", session_id="s", new_message=asked(text), **options)
        return [event async for event in loaded]
    finally:
        await runner.close()


async def test_two_turns_with_tools_on_two_machines(service: Service, user: str) -> None:
    model = Scripted(heard=[])
    for text in ("hard", "soft"):
        async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
            events = await run(ChatkeepSessionService(client), cook(model), text)
    async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
        session_service = ChatkeepSessionService(client)
        session = await session_service.get_session(app_name="kitchen", user_id="ann", session_id="s")
        assert session is not None
        assert [event.author for event in session.events] == ["user", "cook", "cook", "cook"] * 2
        assert session.events[5:] == events
        answer = session.events[-1].content.parts[0].text  # type: ignore[union-attr,index]
        assert session.state == {"last": "soft", "answer": answer, "user:eggs": 2, "app:eggs": 2}
        # The model heard the first turn in the second one.
        heard = [content.parts for content in model.heard[-1].contents]
        assert len(heard) == 7
        assert heard[0][0].text == "hard"  # type: ignore[index]
        # The same is there for whoever reads chats.
        shown = [(message.role, message.name) async for message in client.messages.list("key:adk:kitchen:ann:s")]
        assert [role for role, _ in shown] == ["user", "assistant", "tool", "assistant"] * 2
        calls = [
            message.tool_calls async for message in client.messages.list("key:adk:kitchen:ann:s") if message.tool_calls
        ]
        assert [call[0]["function"]["name"] for call in calls] == ["minutes", "minutes"]


async def test_what_is_streamed_is_kept_once_it_is_whole(service: Service, user: str) -> None:
    async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
        session_service = ChatkeepSessionService(client)
        agent = LlmAgent(name="cook", model=Scripted(heard=[]))
        events = await run(session_service, agent, "hard", run_config=RunConfig(streaming_mode=StreamingMode.SSE))
        assert [bool(event.partial) for event in events] == [True, False]
        session = await session_service.get_session(app_name="kitchen", user_id="ann", session_id="s")
        assert session is not None
        assert session.events[1:] == events[1:]


async def test_agents_that_follow_each_other_and_agents_beside_each_other(service: Service, user: str) -> None:
    async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
        session_service = ChatkeepSessionService(client)
        first = LlmAgent(name="first", model=Scripted(heard=[]), output_key="temp:draft")
        second = LlmAgent(
            name="second", model=Scripted(heard=[]), instruction="Improve {temp:draft}.", output_key="text"
        )
        names = [f"b{number}" for number in range(4)]
        beside: list[BaseAgent] = [LlmAgent(name=name, model=Scripted(heard=[]), output_key=name) for name in names]
        parallel = ParallelAgent(name="parallel", sub_agents=beside)
        await run(session_service, SequentialAgent(name="all", sub_agents=[first, second, parallel]), "hard")
        session = await session_service.get_session(app_name="kitchen", user_id="ann", session_id="s")
        assert session is not None
        assert len(session.events) == 7
        assert sorted(session.state) == ["b0", "b1", "b2", "b3", "text"]
        assert "Improve" in str(second.model.heard[0].config.system_instruction)  # type: ignore[union-attr]


async def test_a_run_on_a_session_that_went_on_is_refused(service: Service, user: str) -> None:
    async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
        session_service = ChatkeepSessionService(client)

        async def meanwhile(callback_context: Any) -> None:
            await client.messages.append("key:adk:kitchen:ann:s", {"role": "user", "content": "by hand"})

        agent = LlmAgent(name="cook", model=Scripted(heard=[]), before_agent_callback=meanwhile)
        with pytest.raises(StaleSessionError):
            await run(session_service, agent, "hard")
        assert await run(session_service, LlmAgent(name="cook", model=Scripted(heard=[])), "soft")


def test_the_runner_that_waits(service: Service, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATKEEP_URL", service.url)
    monkeypatch.setenv("CHATKEEP_KEY", service.key)
    monkeypatch.setenv("CHATKEEP_USER", user)
    session_service = ChatkeepSessionService()
    runner = Runner(
        app_name="kitchen", agent=cook(Scripted(heard=[])), session_service=session_service, auto_create_session=True
    )
    for text in ("hard", "soft"):
        # Each run has an event loop of its own, in a thread of its own.
        events = list(runner.run(user_id="ann", session_id="s", new_message=asked(text)))
        assert len(events) == 3
    assert events[-1].content.parts[0].text.startswith("7: ")  # type: ignore[union-attr,index]
