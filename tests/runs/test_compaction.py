"""What the Agents SDK's compaction asks of a session in the service's own process: the end of its history."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from agents import Agent, RunConfig, Runner
from agents.extensions.memory import EncryptedSession
from agents.memory import OpenAIResponsesCompactionSession
from agents.testing import ScriptedModel, assistant_message
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from openai import AsyncOpenAI

from app.http.errors import Conflict
from app.runs.stored_items import StoredItems
from chatkeep.openai_agents import ChatkeepSession
from tests.callers import acting, ok

pytestmark = pytest.mark.any_database

CALLS = [{"id": f"call_{k}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for k in range(2)]
# By another API: three items, none, and one.
NATIVE: list[Any] = [
    {"role": "assistant", "content": "Wait.", "tool_calls": CALLS},
    {"role": "assistant", "content": []},
    {"role": "user", "content": "And?"},
]


@pytest.fixture
def user(make_user: Callable[[], str]) -> str:
    """A user of this test's own."""
    return make_user()


@pytest.fixture
def session(app: FastAPI, user: str) -> ChatkeepSession:
    """A session of that user."""
    return ChatkeepSession("s", items=StoredItems(app.state.services, user, "key:s"))


@pytest.fixture
async def me(app: FastAPI, user: str, as_user: Callable[[str], dict[str, str]]) -> AsyncIterator[httpx2.AsyncClient]:
    """The same user by HTTP."""
    async with acting(app, as_user(user)) as client:
        yield client


def said(*texts: object) -> list[Any]:
    """Messages of the user."""
    return [{"role": "user", "content": str(one)} for one in texts]


async def read(session: ChatkeepSession, limit: int, **options: Any) -> Any:
    """The snapshot that the SDK would get."""
    found = await session._get_compaction_snapshot(limit, **options)
    assert found is not None
    return found


async def kept(me: httpx2.AsyncClient) -> list[Any]:
    """What every message of every branch says."""
    page = ok(await me.get("/chats/key:s/messages?tree=true&limit=200"))
    return [message.get("content") for message in page["items"]]


@pytest.mark.parametrize(
    ("limit", "start", "output", "left"),
    [
        (3, 1, ["new"], ["0", "1", "2", "new"]),
        (3, 0, ["new", "er"], ["0", "1", "new", "er"]),
        (9, 0, ["new"], ["new"]),
        (9, 2, [], ["0", "1"]),
        (5, 0, [], []),
    ],
)
async def test_the_end_is_replaced_and_stays_readable(
    session: ChatkeepSession, me: httpx2.AsyncClient, limit: int, start: int, output: list[str], left: list[str]
) -> None:
    await session.add_items(said(*range(5)))
    snapshot = await read(session, limit)
    assert snapshot.items == said(*range(5))[-limit:]
    assert snapshot.complete == (limit >= 5)
    assert await snapshot.replace_suffix(start, said(*output)) is True
    assert await session.get_items() == said(*left)
    assert await kept(me) == [*"01234", *output]
    # It was of the version before.
    assert await snapshot.replace_suffix(start, said("no")) is False
    await session.add_items(said("next"))
    assert await session.get_items() == said(*left, "next")


async def test_what_is_written_in_between_is_not_lost(session: ChatkeepSession, me: httpx2.AsyncClient) -> None:
    await session.add_items(said(*range(4)))
    for output in (said("new"), []):
        for start in (0, 2):
            snapshot = await read(session, 9)
            await session.add_items(said("meanwhile"))
            before = await session.get_items()
            assert await snapshot.replace_suffix(start, output) is False
            assert await session.get_items() == before
    assert len(await kept(me)) == 8


async def test_of_many_at_once_one_replaces(session: ChatkeepSession, me: httpx2.AsyncClient) -> None:
    await session.add_items(said(*range(4)))
    snapshots = [await read(session, 9) for _ in range(5)]
    work = [one.replace_suffix(2, said(f"new {k}")) for k, one in enumerate(snapshots)]
    outcomes: list[Any] = await asyncio.gather(*work, *(session.add_items(said(f"added {k}")) for k in range(3)))
    replaced = outcomes[:5].count(True)
    assert replaced <= 1
    items: list[Any] = await session.get_items()
    texts = [item["content"] for item in items]
    assert sorted(text for text in texts if text.startswith("added")) == ["added 0", "added 1", "added 2"]
    assert texts[:2] == ["0", "1"]
    assert ("2" in texts) == (replaced == 0)
    assert len(texts) == 7 - replaced
    assert len(await kept(me)) == 7 + replaced


async def test_no_message_is_split(session: ChatkeepSession, me: httpx2.AsyncClient) -> None:
    await session.add_items(said("first"))
    ok(await me.post("/chats/key:s/messages", json={"messages": NATIVE}))
    snapshot = await read(session, 9)
    assert len(snapshot.items) == 5
    for start in (2, 3):
        assert await snapshot.replace_suffix(start, said("new")) is False
    assert await snapshot.replace_suffix(4, said("new")) is True
    assert len(await session.get_items()) == 5
    assert await (await read(session, 4)).replace_suffix(0, said("newer")) is True
    assert await session.get_items() == said("first", "newer")


async def test_a_long_end(session: ChatkeepSession) -> None:
    many = said(*range(450))
    await session.add_items(many)
    for limit in (1, 199, 200, 201, 449, 450, 451):
        snapshot = await read(session, limit)
        assert (snapshot.items, snapshot.complete) == (many[-limit:], limit >= 450)
    snapshot = await read(session, 440)
    # More than a request over HTTP holds.
    assert await snapshot.replace_suffix(20, said(*range(1200))) is True
    assert await session.get_items() == many[:30] + said(*range(1200))


@pytest.mark.parametrize("output", [[], said("new")])
async def test_what_a_history_begins_with_is_deleted_where_it_is_expired(
    session: ChatkeepSession, me: httpx2.AsyncClient, output: list[Any]
) -> None:
    def sealed(age: str, count: int) -> list[Any]:
        return [{"__enc__": 1, "v": 1, "kid": "k", "payload": f"{age} {k}"} for k in range(count)]

    async def old(limit: int) -> Any:
        return await read(session, limit, prune_prefix=lambda item: item.get("payload", "").startswith("old"))

    await session.add_items([*sealed("old", 210), *sealed("fresh", 2), *sealed("old", 1), *sealed("fresh", 3)])
    snapshot = await old(4)
    await session.add_items(said("meanwhile"))
    assert await snapshot.replace_suffix(1, output) is False
    assert len(await session.get_items()) == 217
    assert await session.pop_item() == said("meanwhile")[0]

    snapshot = await old(4)
    wrong: Any = [{"role": "nobody", "content": "?"}]
    with pytest.raises(RequestValidationError):
        await snapshot.replace_suffix(1, wrong)
    assert len(await session.get_items()) == 216
    assert await snapshot.replace_suffix(1, output) is True
    assert await session.get_items() == [*sealed("fresh", 2), *sealed("old", 1), *output]
    # The end that was replaced is a branch still; what was expired is gone.
    assert len(await kept(me)) == 6 + len(output)


async def test_of_nothing_there_is_nothing_to_replace(session: ChatkeepSession, me: httpx2.AsyncClient) -> None:
    snapshot = await read(session, 9)
    assert (snapshot.items, snapshot.complete) == ([], True)
    assert await snapshot.replace_suffix(0, said("new")) is False
    await session.add_items(said("1"))
    snapshot = await read(session, 9)
    assert await snapshot.replace_suffix(1, said("new")) is False
    ok(await me.delete("/chats/key:s"))
    assert await snapshot.replace_suffix(0, said("new")) is False
    # Another chat that has the key by then is another one.
    await session.add_items(said("1"))
    assert await snapshot.replace_suffix(0, said("new")) is False
    assert await session.get_items() == said("1")


async def test_anothers_turn_is_respected(session: ChatkeepSession, me: httpx2.AsyncClient) -> None:
    await session.add_items(said("1", "2"))
    ok(await me.post("/chats/key:s/turn", json={"holder": "worker-1"}))
    for output in (said("new"), []):
        for start in (0, 1):
            with pytest.raises(Conflict):
                await (await read(session, 9)).replace_suffix(start, output)
    assert await session.get_items() == said("1", "2")


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_run_compacts_what_its_model_saw(
    session: ChatkeepSession, me: httpx2.AsyncClient, encrypted: bool
) -> None:
    summary = {"type": "compaction", "id": "cmp_1", "encrypted_content": "summary"}
    asked: list[Any] = []

    def compact(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.read())
        answer = {"id": "resp_1", "object": "response.compaction", "created_at": 0, "output": [summary]}
        return httpx2.Response(200, json=answer)

    inner: Any = session
    if encrypted:
        inner = EncryptedSession("s", inner, "a-key-of-many-characters-and-high-entropy")
    await inner.add_items(said(*range(4)))
    async with AsyncOpenAI(
        api_key="any", base_url="http://model", http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(compact))
    ) as client:
        compacting = OpenAIResponsesCompactionSession(
            "s", inner, client=client, compaction_mode="input", should_trigger_compaction=lambda _: True
        )
        agent = Agent(name="a", model=ScriptedModel(steps=[[assistant_message("Hello.")]]))
        config = RunConfig(tracing_disabled=True, session_settings={"limit": 2})
        await Runner.run(agent, "next", session=compacting, run_config=config)
    assert len(asked) == 1
    items: list[Any] = await inner.get_items()
    assert items[:2] == said(0, 1)
    assert [item["type"] for item in items[2:]] == ["compaction"]
    # The model saw 2 and 3, and the turn is a question and an answer.
    assert len(await kept(me)) == 4 + 2 + 1
