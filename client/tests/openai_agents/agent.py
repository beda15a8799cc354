"""The agent of these tests: it has one tool, and a model that is served over HTTP."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from agents import Agent, OpenAIResponsesModel, RunConfig, Runner, Session, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

from tests.scripted_model import Json, ScriptedModel


@function_tool
def weather(city: str) -> str:
    """What the weather is in a city."""
    return f"rain in {city}"


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    """A model of this test's own."""
    set_tracing_disabled(True)
    with ScriptedModel() as served:
        yield served


def model_client(model: ScriptedModel) -> AsyncOpenAI:
    """A client of the model, to be closed."""
    return AsyncOpenAI(base_url=model.url, api_key="any")


def agent_of(client: AsyncOpenAI) -> Agent[Any]:
    """The agent with a client of its model."""
    return Agent(name="forecaster", tools=[weather], model=OpenAIResponsesModel("scripted", client))


@asynccontextmanager
async def agent(model: ScriptedModel) -> AsyncIterator[Agent[Any]]:
    """The agent, whose connections to its model are closed in the end."""
    async with model_client(model) as client:
        yield agent_of(client)


async def turn(runner: str, agent: Agent[Any], said: str, session: Session, **options: Any) -> str:
    """One turn by `Runner.run` or `Runner.run_streamed`; what the agent said in the end."""
    if runner == "run":
        return str((await Runner.run(agent, said, session=session, **options)).final_output)
    streamed = Runner.run_streamed(agent, said, session=session, **options)
    events = [event.type async for event in streamed.stream_events()]
    assert "raw_response_event" in events
    return str(streamed.final_output)


def limited(limit: int) -> RunConfig:
    """A run that reads no more than that of its session."""
    return RunConfig(session_settings={"limit": limit})


def gist(items: Sequence[Any]) -> list[tuple[str, ...]]:
    """What items say, without their ids and in one form for texts and parts."""
    return [_gist(item) for item in items]


def _gist(item: Json) -> tuple[str, ...]:
    if item.get("type") == "function_call":
        return ("call", item["call_id"], item["name"], item["arguments"])
    if item.get("type") == "function_call_output":
        return ("output", item["call_id"], _text(item["output"]))
    return ("said", item["role"], _text(item["content"]))


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
