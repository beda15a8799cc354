"""Sessions of the OpenAI Agents SDK over the service's own stores, in its own process."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from agents import Agent, RunConfig, RunContextWrapper, Runner, Session, function_tool
from agents.memory import OpenAIResponsesCompactionSession
from agents.testing import ScriptedModel, assistant_message, function_call
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError

from app.http.errors import Conflict, NotFound, Unprocessable
from app.runs.stored_items import StoredItems
from chatkeep.openai_agents import ChatkeepSession
from tests.callers import acting, ok

pytestmark = pytest.mark.any_database

QUIET = RunConfig(tracing_disabled=True)
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}", "id": "fc_1"}
ITEMS: list[Any] = [
    {"role": "user", "content": "How do I boil an egg? 🥚"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
    CALL,
    {"type": "function_call_output", "call_id": "call_1", "output": "done"},
    {"type": "never_heard_of", "of": [1, 2.5, None, True]},
    {"__enc__": 1, "v": 1, "kid": "k", "payload": "gAAA"},
    {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Eight minutes.", "annotations": []}],
    },
]


def said(*texts: str) -> list[Any]:
    """Messages of the user."""
    return [{"role": "user", "content": one} for one in texts]


@pytest.fixture
def user(make_user: Callable[[], str]) -> str:
    """A user of this test's own."""
    return make_user()


@pytest.fixture
def session(app: FastAPI, user: str) -> ChatkeepSession:
    """A session of that user."""
    return ChatkeepSession("s", items=StoredItems(app.state.services, user, "key:s"))


async def test_it_does_what_a_session_does(session: ChatkeepSession) -> None:
    assert isinstance(session, Session)
    assert await session.get_items() == []
    assert await session.pop_item() is None
    await session.clear_session()
    await session.add_items([])
    await session.add_items(ITEMS)
    assert await session.get_items() == ITEMS
    assert await session.get_items(3) == ITEMS[-3:]
    assert await session.get_items(0) == []
    for item in reversed(ITEMS):
        assert await session.pop_item() == item
    await session.add_items(ITEMS)
    await session.clear_session()
    assert await session.get_items() == []


async def test_the_newest_of_many(session: ChatkeepSession) -> None:
    # More than a request over HTTP holds, in one step.
    many = said(*map(str, range(1205)))
    await session.add_items(many)
    for limit in (None, 1, 200, 201, 1205, 5000):
        assert await session.get_items(limit) == (many if limit is None else many[-limit:])


async def test_what_one_side_writes_the_other_reads(
    session: ChatkeepSession, user: str, client: httpx2.AsyncClient, as_user: Callable[[str], dict[str, str]]
) -> None:
    caller = as_user(user)
    await session.add_items(ITEMS)
    read = await client.get("/chats/key:s/messages?format=responses", headers=caller)
    assert read.json()["items"][:3] == ITEMS[:3]
    calls = [{"id": f"call_{k}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for k in range(2)]
    native = {"role": "assistant", "content": "Wait.", "tool_calls": calls}
    assert (await client.post("/chats/key:s/messages", headers=caller, json=native)).status_code == 201
    newest: list[Any] = await session.get_items(3)
    assert [item.get("call_id") for item in newest] == [None, "call_0", "call_1"]
    # Only the last item is taken off, and what is before it stays.
    popped: list[Any] = [await session.pop_item(), await session.pop_item(), await session.pop_item()]
    assert [item.get("call_id") for item in popped] == ["call_1", "call_0", None]
    assert await session.get_items() == ITEMS


async def test_nobody_sees_anothers(
    app: FastAPI, session: ChatkeepSession, user: str, make_user: Callable[[], str]
) -> None:
    await session.add_items(said("mine"))
    chat_id = (
        await app.state.services.db.driver.fetch_one("SELECT CAST(chat_id AS TEXT) FROM chats WHERE user_id = $1", user)
    )[0]
    other = make_user()
    for chat in ("key:s", chat_id):
        items = StoredItems(app.state.services, other, chat)
        assert await items.newest(None) == []
        assert await items.pop() is None
        await items.clear()
    by_id = StoredItems(app.state.services, other, chat_id)
    with pytest.raises(NotFound):
        await by_id.append(said("theirs"))
    with pytest.raises(NotFound):
        await by_id.replace(said("theirs"))
    await StoredItems(app.state.services, other, "key:s").append(said("theirs"))
    assert await session.get_items() == said("mine")


async def test_what_no_request_could_say_is_not_stored(session: ChatkeepSession) -> None:
    wrong: list[tuple[Any, type[Exception]]] = [
        ({"role": "nobody", "content": "?"}, RequestValidationError),
        ({"role": "user", "content": "\0"}, Unprocessable),
        ({"role": "user", "content": "\ud800"}, Unprocessable),
        ({"type": "x", "number": float("nan")}, Unprocessable),
        ({"type": "x", "number": 2**60}, Unprocessable),
        ({"role": "user", "content": object()}, TypeError),
    ]
    for item, error in wrong:
        with pytest.raises(error):
            await session.add_items([*said("1"), item])
    assert await session.get_items() == []


async def test_two_that_pop_never_get_the_same(app: FastAPI, user: str, session: ChatkeepSession) -> None:
    await session.add_items(said(*map(str, range(40))))
    others = [ChatkeepSession("s", items=StoredItems(app.state.services, user, "key:s")) for _ in range(5)]
    popped: list[Any] = await asyncio.gather(*(one.pop_item() for one in others for _ in range(10)))
    assert sorted(int(one["content"]) for one in popped if one) == list(range(40))


async def test_anothers_turn_is_respected(
    session: ChatkeepSession, user: str, client: httpx2.AsyncClient, as_user: Callable[[str], dict[str, str]]
) -> None:
    await session.add_items(said("1"))
    taken = await client.post("/chats/key:s/turn", headers=as_user(user), json={"holder": "worker-1"})
    assert taken.status_code == 201, taken.text
    for write in (session.add_items(said("2")), session.pop_item(), session.clear_session()):
        with pytest.raises(Conflict):
            await write
    with pytest.raises(Conflict):
        await session._atomic_replace_items(said("2"))
    assert await session.get_items() == said("1")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_run_of_two_turns(session: ChatkeepSession, streamed: bool) -> None:
    @function_tool
    def weather(city: str) -> str:
        return f"rain in {city}"

    asked = function_call("weather", {"city": "Oslo"}, call_id="call_1")
    model = ScriptedModel(steps=[[asked], [assistant_message("Take an umbrella.")], [assistant_message("Bye.")]])
    agent = Agent(name="forecaster", model=model, tools=[weather])
    for text in ("Oslo?", "Thanks"):
        if streamed:
            running = Runner.run_streamed(agent, text, session=session, run_config=QUIET)
            async for _ in running.stream_events():
                pass
        else:
            await Runner.run(agent, text, session=session, run_config=QUIET)
    held: Any = model.calls[2].input
    assert held[0] == {"role": "user", "content": "Oslo?"}
    assert [item.get("call_id") for item in held] == [None, "call_1", "call_1", None, None]
    assert held[:3] == model.calls[1].input
    assert (await session.get_items())[: len(held)] == held


async def test_the_user_comes_from_the_runs_context(app: FastAPI, user: str) -> None:
    session = ChatkeepSession(
        "s",
        user_id=lambda context: context,
        items=lambda who: StoredItems(app.state.services, f"{user}-{who}", "key:s"),
    )
    for who in ("ada", "bob"):
        agent = Agent(name="a", model=ScriptedModel(steps=[[assistant_message(f"Hello {who}.")]]))
        await Runner.run(agent, f"I am {who}", session=session, context=who, run_config=QUIET)
    for who in ("ada", "bob"):
        items: list[Any] = await session.get_items(wrapper=RunContextWrapper(who))
        assert items[0]["content"] == f"I am {who}"
        assert len(items) == 2
    with pytest.raises(RuntimeError, match="wrapper"):
        await session.pop_item()


async def test_compaction_replaces_the_items_in_one_step(
    session: ChatkeepSession, user: str, client: httpx2.AsyncClient, as_user: Callable[[str], dict[str, str]]
) -> None:
    assert isinstance(OpenAIResponsesCompactionSession("s", session), Session)
    assert await session._atomic_replace_items([]) is False
    assert await session._atomic_replace_items(said("0")) is True
    await session.add_items(ITEMS)
    assert await session._atomic_replace_items(said("summary")) is True
    assert await session.get_items() == said("summary")
    await session.add_items(said("next"))
    assert await session.get_items() == said("summary", "next")
    # What was there before is not gone: it is a branch.
    read = await client.get("/chats/key:s/messages?tree=true", headers=as_user(user))
    assert len(read.json()["items"]) == 1 + len(ITEMS) + 2


async def test_items_follow_the_head_wherever_it_was_put(
    app: FastAPI, session: ChatkeepSession, user: str, as_user: Callable[[str], dict[str, str]]
) -> None:
    await session.add_items(said("one", "two", "three"))
    async with acting(app, as_user(user)) as client:
        ok(await client.patch("/chats/key:s", json={"head": 1}))
    await session.add_items(said("four"))
    assert await session.get_items() == said("one", "four")
