"""`ChatkeepSession` by itself: what is read, added, taken off and cleared, by many at once and in many event loops."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import RunContextWrapper, Session, SessionSettings
from agents.extensions.memory import EncryptedSession
from agents.memory import OpenAIResponsesCompactionSession
from openai import AsyncOpenAI

from chatkeep import AsyncChatkeep, Chatkeep, Conflict, Unprocessable
from chatkeep.openai_agents import ChatkeepSession
from chatkeep.session_items import MAX_BATCH
from tests.conftest import Service
from tests.openai_agents.agent import gist, model
from tests.scripted_model import ScriptedModel, call, text

__all__ = ["model"]

ITEMS: list[Any] = [
    {"role": "user", "content": "How do I boil an egg? 🥚"},
    {"role": "user", "content": ""},
    {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What is it?"},
            {"type": "input_image", "image_url": "https://example.org/egg.png", "detail": "low"},
            {"type": "input_file", "file_id": "file_1"},
        ],
    },
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA", "provider_data": {"model": "m"}},
    {
        "type": "function_call",
        "call_id": "call_1",
        "name": "weather",
        "arguments": "{}",
        "id": "fc_1",
        "status": "completed",
    },
    {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "rain"}]},
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "eggs"}},
    {"type": "mcp_approval_request", "id": "mcpr_1", "name": "n", "arguments": "{}", "server_label": "s"},
    {"type": "item_reference", "id": "msg_9"},
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "summary"},
    {"type": "never_heard_of", "of": [1, 2.5, None, True, {"deep": []}]},
    {"__enc__": 1, "v": 1, "kid": "hkdf-v1", "payload": "gAAAA"},
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [
            {"type": "output_text", "text": "Eight minutes.", "annotations": [], "logprobs": []},
            {"type": "refusal", "refusal": "No more."},
        ],
    },
]


@pytest.fixture
async def client(service: Service, user: str) -> AsyncIterator[AsyncChatkeep]:
    """A client that acts for a user of this test's own."""
    async with AsyncChatkeep(service.url, service.key, user_id=user) as async_client:
        yield async_client


def user_items(*texts: str) -> list[Any]:
    """Messages of the user."""
    return [{"role": "user", "content": text} for text in texts]


def numbers(items: list[Any]) -> list[int]:
    """What `said` was given, where those are numbers."""
    return [int(item["content"]) for item in items]


async def test_it_is_a_session_of_the_sdk(client: AsyncChatkeep) -> None:
    session = ChatkeepSession("s", client=client)
    assert isinstance(session, Session)
    assert session.session_settings == SessionSettings()
    assert await session.get_items() == []
    assert await session.pop_item() is None
    await session.clear_session()
    await session.add_items([])
    # Nothing of that made a chat.
    assert (await client.chats.page()).items == []


async def test_items_come_back_as_they_were_added(client: AsyncChatkeep) -> None:
    session = ChatkeepSession("a/b %2F ü", client=client)
    await session.add_items(ITEMS)
    assert await session.get_items() == ITEMS
    assert [json.dumps(item) for item in await session.get_items()] == [json.dumps(item) for item in ITEMS]
    for item in reversed(ITEMS):
        assert await session.pop_item() == item
    assert await session.pop_item() is None


async def test_the_newest_are_in_the_order_they_were_added(client: AsyncChatkeep) -> None:
    session = ChatkeepSession("s", client=client, session_settings={"limit": 3})
    await session.add_items(user_items(*map(str, range(450))))
    assert numbers(await session.get_items()) == [447, 448, 449]
    for limit in (1, 200, 201, 449, 450, 451, 2**31 - 1):
        assert numbers(await session.get_items(limit)) == list(range(450))[-limit:]
    assert await session.get_items(0) == []
    session.session_settings = None
    assert numbers(await session.get_items()) == list(range(450))


async def test_a_message_that_is_several_items_is_read_in_order(client: AsyncChatkeep) -> None:
    calls = [{"id": f"call_{k}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for k in range(2)]
    await client.messages.append("key:s", [{"role": "assistant", "content": "Wait.", "tool_calls": calls}] * 2)
    session = ChatkeepSession("s", client=client)
    kinds = ["message", "function_call", "function_call"] * 2
    assert [item["type"] for item in await session.get_items()] == kinds
    newest: list[Any] = await session.get_items(4)
    assert [item.get("call_id") for item in newest] == ["call_1", None, "call_0", "call_1"]
    # Only the last item is taken off, and what is before it stays.
    popped: list[Any] = [await session.pop_item()]
    assert [item["type"] for item in await session.get_items()] == kinds[:-1]
    popped += [await session.pop_item(), await session.pop_item()]
    assert [item.get("call_id") for item in popped] == ["call_1", "call_0", None]


async def test_items_are_added_all_or_none(client: AsyncChatkeep) -> None:
    session = ChatkeepSession("s", client=client)
    wrong: Any = {"role": "nobody", "content": "?"}
    with pytest.raises(Unprocessable):
        await session.add_items([*user_items("1"), wrong, *user_items("2")])
    unsayable: Any = {"role": "user", "content": object()}
    with pytest.raises(TypeError):
        await session.add_items([*user_items("1"), unsayable])
    assert await session.get_items() == []


async def test_more_than_a_request_holds_is_added_in_order(client: AsyncChatkeep) -> None:
    session = ChatkeepSession("s", client=client)
    count = 2 * MAX_BATCH + 5
    await session.add_items(user_items(*map(str, range(count))))
    assert numbers(await session.get_items()) == list(range(count))


async def test_many_add_at_once_and_each_ones_items_stay_together(client: AsyncChatkeep) -> None:
    sessions = [ChatkeepSession("s", client=client) for _ in range(10)]
    await asyncio.gather(*(session.add_items(user_items(*[str(k)] * 5)) for k, session in enumerate(sessions)))
    stored_numbers = numbers(await sessions[0].get_items())
    assert [stored_numbers[at : at + 5] for at in range(0, 50, 5)] == [
        [stored_numbers[at]] * 5 for at in range(0, 50, 5)
    ]
    assert sorted(stored_numbers) == sorted([*range(10)] * 5)


async def test_two_that_pop_never_get_the_same(client: AsyncChatkeep) -> None:
    sessions = [ChatkeepSession("s", client=client) for _ in range(6)]
    await sessions[0].add_items(user_items(*map(str, range(60))))
    popped = await asyncio.gather(*(session.pop_item() for session in sessions for _ in range(12)))
    assert sorted(numbers([item for item in popped if item is not None])) == list(range(60))


POPPING = """
import asyncio, sys
from chatkeep.openai_agents import ChatkeepSession

async def main():
    session = ChatkeepSession("s")
    sys.stdin.readline()
    while (item := await session.pop_item()) is not None:
        print(item["content"], flush=True)

asyncio.run(main())
"""


def test_two_processes_and_threads_that_pop_never_get_the_same(
    service: Service, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("URL", service.url), ("KEY", service.key), ("USER", user)):
        monkeypatch.setenv(f"CHATKEEP_{name}", value)
    session = ChatkeepSession("s")
    asyncio.run(session.add_items(user_items(*map(str, range(200)))))
    processes = [
        subprocess.Popen([sys.executable, "-c", POPPING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    popped: list[int] = []

    def pop_all() -> None:
        # One session, in several threads, each with an event loop for every call.
        while (item := asyncio.run(session.pop_item())) is not None:
            popped.extend(numbers([item]))

    threads = [threading.Thread(target=pop_all) for _ in range(3)]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    for thread in threads:
        thread.start()
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    for thread in threads:
        thread.join(60)
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(popped + [int(line) for output in outputs for line in output.split()]) == list(range(200))


def test_a_session_goes_from_loop_to_loop(service: Service, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("URL", service.url), ("KEY", service.key), ("USER", user)):
        monkeypatch.setenv(f"CHATKEEP_{name}", value)
    session = ChatkeepSession("s")
    for number in range(5):
        asyncio.run(session.add_items(user_items(str(number))))
        assert numbers(asyncio.run(session.get_items())) == list(range(number + 1))


async def test_users_and_chats_are_apart(client: AsyncChatkeep, user: str) -> None:
    for name in ("ada", "bob"):
        await ChatkeepSession("s", client=client, user_id=f"{user}-{name}").add_items(user_items(name))
    await ChatkeepSession("t", client=client).add_items(user_items("t"))
    await ChatkeepSession("u", client=client, chat="key:elsewhere").add_items(user_items("u"))
    assert await ChatkeepSession("s", client=client, user_id=f"{user}-ada").get_items() == user_items("ada")
    assert await ChatkeepSession("s", client=client).get_items() == []
    assert await ChatkeepSession("elsewhere", client=client).get_items() == user_items("u")
    chat = await client.chats.get("key:t")
    assert await ChatkeepSession("any", client=client, chat=chat.chat_id).get_items() == user_items("t")


async def test_clearing_leaves_the_chat(client: AsyncChatkeep) -> None:
    session = ChatkeepSession("s", client=client)
    await session.add_items(user_items("1"))
    chat = await client.chats.patch("key:s", title="Eggs")
    await session.clear_session()
    assert await session.get_items() == []
    await session.add_items(user_items("2"))
    again = await client.chats.get("key:s")
    assert (again.chat_id, again.title) == (chat.chat_id, "Eggs")
    assert await session.get_items() == user_items("2")


async def test_anothers_turn_is_respected(client: AsyncChatkeep) -> None:
    session = ChatkeepSession("s", client=client)
    await session.add_items(user_items("1"))
    turn = await client.turns.take("key:s", holder="worker-1", seconds=60)
    for write in (session.add_items(user_items("2")), session.pop_item(), session.clear_session()):
        with pytest.raises(Conflict):
            await write
    mine = ChatkeepSession("s", client=client, turn=turn.token)
    await mine.add_items(user_items("2"))
    assert await mine.pop_item() == user_items("2")[0]
    assert await session.get_items() == user_items("1")


async def test_a_write_that_is_cancelled_has_happened_when_it_raises(client: AsyncChatkeep) -> None:
    session = ChatkeepSession("s", client=client)
    await session.add_items(user_items("0"))

    async def cancelled(write: Any) -> None:
        task = asyncio.ensure_future(write)
        await asyncio.sleep(0)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task

    await cancelled(session.add_items(user_items("1", "2")))
    assert numbers(await session.get_items()) == [0, 1, 2]
    await cancelled(session.pop_item())
    assert numbers(await session.get_items()) == [0, 1]
    await cancelled(session.clear_session())
    assert await session.get_items() == []


async def test_a_closed_session_is_not_used(client: AsyncChatkeep) -> None:
    session = ChatkeepSession("s", client=client)
    await session.add_items(user_items("1"))
    await session.close()
    await session.close()
    for use in (session.get_items(), session.add_items([]), session.pop_item(), session.clear_session()):
        with pytest.raises(RuntimeError, match="ChatkeepSession is closed"):
            await use
    # What it stood on goes on.
    assert await ChatkeepSession("s", client=client).get_items() == user_items("1")


async def test_a_user_that_no_context_gives_is_nobody(client: AsyncChatkeep) -> None:
    session = ChatkeepSession("s", client=client, user_id=lambda context: context)
    with pytest.raises(RuntimeError, match="wrapper"):
        await session.get_items()
    for context in (None, "", 7):
        with pytest.raises(ValueError, match="is a text"):
            await session.get_items(wrapper=RunContextWrapper(context))


@pytest.mark.parametrize("mode", ["input", "auto"])
async def test_compaction_replaces_the_items_in_one_step(
    client: AsyncChatkeep, model: ScriptedModel, mode: Any
) -> None:
    session = ChatkeepSession("s", client=client)
    history: list[Any] = [*user_items("1"), call("weather", city="Oslo"), text("Rain."), *user_items("2")]
    async with AsyncOpenAI(base_url=model.url, api_key="any") as openai:
        compacting = OpenAIResponsesCompactionSession("s", session, client=openai, compaction_mode=mode)
        await compacting.add_items(history)
        await compacting.run_compaction({"force": True})
        items: list[Any] = await compacting.get_items()
    assert gist(items[:2]) == [("said", "user", "1"), ("said", "user", "2")]
    assert [item["type"] for item in items[2:]] == ["compaction"]
    assert await session.get_items() == items
    # What was there before is not gone: it is a branch.
    messages = [message async for message in client.messages.list("key:s", tree=True)]
    assert [message.role for message in messages[:4]] == ["user", "assistant", "assistant", "user"]
    assert len(messages) == 7


async def test_a_subclass_compacts_through_its_own_methods(client: AsyncChatkeep) -> None:
    class Shouting(ChatkeepSession):
        async def add_items(self, items: list[Any], **options: Any) -> None:
            await super().add_items([item | {"content": item["content"].upper()} for item in items], **options)

    assert await Shouting("s", client=client)._atomic_replace_items(user_items("a")) is False
    assert await ChatkeepSession("s", client=client)._atomic_replace_items(user_items("a")) is True


async def test_an_encrypted_session_stands_on_it(client: AsyncChatkeep, service: Service, user: str) -> None:
    # The SDK asks for a SessionABC, and takes whatever follows the protocol.
    inner: Any = ChatkeepSession("s", client=client)
    session = EncryptedSession("s", inner, "a-key-of-many-characters-and-high-entropy")
    await session.add_items(ITEMS)
    assert await session.get_items() == ITEMS
    assert await session.get_items(2) == ITEMS[-2:]
    assert await session.pop_item() == ITEMS[-1]
    with Chatkeep(service.url, service.key, user_id=user) as waiting:
        assert not any("egg" in str(message) for message in waiting.messages.list("key:s"))


def test_importing_the_client_does_not_import_the_sdk() -> None:
    check = "import sys, chatkeep; sys.exit('agents' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], env=dict(os.environ), check=False).returncode == 0
