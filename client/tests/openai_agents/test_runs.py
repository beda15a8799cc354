"""Runs of two turns with a tool: what the second turn's request holds is what the first turn said."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from agents import OpenAIConversationsSession, RunContextWrapper, Runner, Session
from openai import AsyncOpenAI

from chatkeep import AsyncChatkeep, Chatkeep
from chatkeep.openai_agents import ChatkeepSession
from tests.conftest import Service
from tests.openai_agents.agent import agent, agent_of, gist, limited, model, model_client, turn
from tests.scripted_model import ScriptedModel, call, items_of, text

__all__ = ["model"]

KINDS = ("ChatkeepSession", "OpenAIConversationsSession")
# Runner.run_sync closes the generators of its thread's loop after every run, and goes on with that loop.
LOOP_GOES_ON = "ignore:asynchronous generator .* was scheduled after loop.shutdown_asyncgens:ResourceWarning"


Client = AsyncChatkeep | AsyncOpenAI


def client_of(kind: str, service: Service, user: str) -> Client:
    """What a kind of session talks to the service with."""
    if kind == "ChatkeepSession":
        return AsyncChatkeep(service.url, service.key, user_id=user)
    return AsyncOpenAI(base_url=f"{service.url}/v1", api_key=service.key, default_headers={"X-User-Id": user})


def session_with(client: Client) -> Session:
    """Our session, or the SDK's own one for OpenAI's Conversations, unmodified, against `/v1`."""
    if isinstance(client, AsyncChatkeep):
        return ChatkeepSession("thread/1", client=client)
    return OpenAIConversationsSession(openai_client=client)


@asynccontextmanager
async def session_of(kind: str, service: Service, user: str) -> AsyncIterator[Session]:
    """A session of a kind, whose connections are closed in the end."""
    async with client_of(kind, service, user) as client:
        yield session_with(client)


def two_turns(model: ScriptedModel) -> None:
    """The script of two turns, in each of which the tool is called."""
    for city in ("Oslo", "Rome"):
        model.enqueue([call("weather", city=city)], [text(f"Take an umbrella to {city}.")])


def check_two_turns(model: ScriptedModel) -> None:
    """The requests of two turns: each holds all of what was said before it, in order, once."""
    first, second, third, fourth = (items_of(request) for request in model.requests)
    assert gist(first) == [("said", "user", "Oslo?")]
    calls = [item["call_id"] for item in fourth if item.get("type") == "function_call"]
    assert gist(fourth) == [
        ("said", "user", "Oslo?"),
        ("call", calls[0], "weather", '{"city": "Oslo"}'),
        ("output", calls[0], "rain in Oslo"),
        ("said", "assistant", "Take an umbrella to Oslo."),
        ("said", "user", "Rome?"),
        ("call", calls[1], "weather", '{"city": "Rome"}'),
        ("output", calls[1], "rain in Rome"),
    ]
    assert gist(second) == gist(fourth)[:3]
    assert gist(third) == gist(fourth)[:5]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("runner", ["run", "run_streamed"])
async def test_the_second_turn_knows_the_first(
    service: Service, user: str, model: ScriptedModel, kind: str, runner: str
) -> None:
    two_turns(model)
    async with agent(model) as forecaster, session_of(kind, service, user) as session:
        assert await turn(runner, forecaster, "Oslo?", session) == "Take an umbrella to Oslo."
        assert await turn(runner, forecaster, "Rome?", session) == "Take an umbrella to Rome."
    check_two_turns(model)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings(LOOP_GOES_ON)
def test_the_second_turn_knows_the_first_in_run_sync(
    service: Service, user: str, model: ScriptedModel, kind: str
) -> None:
    two_turns(model)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    to_model, to_service = model_client(model), client_of(kind, service, user)
    try:
        session = session_with(to_service)
        for city in ("Oslo", "Rome"):
            result = Runner.run_sync(agent_of(to_model), f"{city}?", session=session)
            assert result.final_output == f"Take an umbrella to {city}."
    finally:
        asyncio.set_event_loop(None)
        closing = [
            to_model.close(),
            to_service.aclose() if isinstance(to_service, AsyncChatkeep) else to_service.close(),
        ]
        for closer in closing:
            loop.run_until_complete(closer)
        loop.close()
    check_two_turns(model)


@pytest.mark.parametrize("runner", ["run", "run_streamed"])
async def test_items_come_back_exactly(service: Service, user: str, model: ScriptedModel, runner: str) -> None:
    said = text("Take an umbrella.")
    asked = call("weather", city="Oslo")
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "It rains there."}]}
    model.enqueue([thought, asked], [said])
    async with agent(model) as forecaster, session_of("ChatkeepSession", service, user) as session:
        await turn(runner, forecaster, "Oslo?", session)
        await turn(runner, forecaster, "Thanks", session)
        output = {"type": "function_call_output", "call_id": asked["call_id"], "output": "rain in Oslo"}
        first = [{"role": "user", "content": "Oslo?"}, thought, asked, output, said]
        assert items_of(model.requests[1]) == first[:4]
        assert items_of(model.requests[2]) == [*first, {"role": "user", "content": "Thanks"}]
        assert (await session.get_items())[:6] == [*first, {"role": "user", "content": "Thanks"}]


async def test_a_run_reads_no_more_than_its_settings_say(service: Service, user: str, model: ScriptedModel) -> None:
    async with agent(model) as forecaster, session_of("ChatkeepSession", service, user) as session:
        for city in ("Oslo", "Rome"):
            await turn("run", forecaster, city, session)
        await turn("run", forecaster, "Bonn", session, run_config=limited(1))
    assert [item[2] for item in gist(items_of(model.requests[4]))] == [
        "You said: Rome The tool said: rain in Rome",
        "Bonn",
    ]


@dataclass
class Request:
    """What a run is about."""

    user: str


async def test_the_user_comes_from_the_runs_context(service: Service, user: str, model: ScriptedModel) -> None:
    async with agent(model) as forecaster, AsyncChatkeep(service.url, service.key) as client:
        session = ChatkeepSession("same", client=client, user_id=lambda request: request.user)
        for who, city in (("ada", "Oslo"), ("bob", "Rome"), ("ada", "Bonn")):
            await turn("run", forecaster, city, session, context=Request(f"{user}-{who}"))
        wrapper = RunContextWrapper(Request(f"{user}-bob"))
        assert gist(await session.get_items(wrapper=wrapper))[0] == ("said", "user", "Rome")
        with pytest.raises(RuntimeError, match="wrapper"):
            await session.get_items()
    cities = [item[2] for item in gist(items_of(model.requests[-1])) if item[:2] == ("said", "user")]
    assert cities == ["Oslo", "Bonn"]


async def test_sessions_in_parallel_do_not_mix(service: Service, user: str, model: ScriptedModel) -> None:
    async with agent(model) as forecaster, AsyncChatkeep(service.url, service.key, user_id=user) as client:

        async def talk(name: str) -> list[Any]:
            session = ChatkeepSession(name, client=client)
            for index in range(3):
                said = await turn(("run", "run_streamed")[index % 2], forecaster, f"{name}-{index}", session)
                assert said == f"You said: {name}-{index} The tool said: rain in {name}-{index}"
            return gist(await session.get_items())

        for number, items in enumerate(await asyncio.gather(*(talk(f"s{number}") for number in range(8)))):
            assert [item[2] for item in items if item[:2] == ("said", "user")] == [f"s{number}-{k}" for k in range(3)]
            assert len(items) == 12


DYING = """
import asyncio, os, signal, sys
from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
from chatkeep.openai_agents import ChatkeepSession

@function_tool
def weather(city: str) -> str:
    if city == "Rome?":
        os.kill(os.getpid(), signal.SIGKILL)
    return f"rain in {city}"

async def main():
    set_tracing_disabled(True)
    model = OpenAIResponsesModel("scripted", AsyncOpenAI(base_url=sys.argv[1], api_key="any"))
    session = ChatkeepSession("dying")
    for city in ("Oslo?", "Rome?"):
        await Runner.run(Agent(name="forecaster", tools=[weather], model=model), city, session=session)

asyncio.run(main())
"""


async def test_another_process_goes_on_where_one_died(service: Service, user: str, model: ScriptedModel) -> None:
    surroundings = {"CHATKEEP_URL": service.url, "CHATKEEP_KEY": service.key, "CHATKEEP_USER": user}
    command = [sys.executable, "-c", DYING, model.url]
    died = subprocess.run(command, env={**os.environ, **surroundings}, capture_output=True, text=True, timeout=60)
    assert died.returncode == -9, died.stderr
    async with agent(model) as forecaster, AsyncChatkeep(service.url, service.key, user_id=user) as client:
        session = ChatkeepSession("dying", client=client)
        left = gist(await session.get_items())
        first = [item[2] for item in left if item[0] == "said"]
        assert first[:3] == ["Oslo?", "You said: Oslo? The tool said: rain in Oslo?", "Rome?"]
        await turn("run", forecaster, "Bonn?", session)
        # The call that nothing answered is not sent again; all else is there once.
        sent = gist(items_of(model.requests[-1]))
        assert sent[:4] == left[:4]
        assert [item[2] for item in sent if item[:2] == ("said", "user")] == ["Oslo?", "Rome?", "Bonn?"]


def test_what_one_side_wrote_the_other_reads(service: Service, user: str, model: ScriptedModel) -> None:
    async def talk() -> str:
        async with agent(model) as forecaster, session_of("OpenAIConversationsSession", service, user) as session:
            await turn("run", forecaster, "Oslo", session)
            conversation: str = session.session_id
        chat = conversation.removeprefix("conv_")
        chat_id = "-".join([chat[:8], chat[8:12], chat[12:16], chat[16:20], chat[20:]])
        async with AsyncChatkeep(service.url, service.key, user_id=user) as client:
            items = await ChatkeepSession("any", chat=chat_id, client=client).get_items()
        assert [item[0] for item in gist(items)] == ["said", "call", "output", "said"]
        return chat_id

    chat_id = asyncio.run(talk())
    with Chatkeep(service.url, service.key, user_id=user) as client:
        messages = list(client.messages.list(chat_id))
    assert [message.role for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert gist([messages[-1].model_dump()]) == [("said", "assistant", "You said: Oslo The tool said: rain in Oslo")]
