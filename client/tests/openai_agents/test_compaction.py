"""What the SDK's compaction asks of a `ChatkeepSession`: the end of its history as it is, and another in its place."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatkeep import AsyncChatkeep, Conflict
from chatkeep.openai_agents import ChatkeepSession
from chatkeep.session_items import MAX_BATCH
from tests.conftest import Service
from tests.proxy import Fault, Proxy

CALLS = [{"id": f"call_{k}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for k in range(2)]
# By another API: three items, none, and one.
NATIVE: list[Any] = [
    {"role": "assistant", "content": "Wait.", "tool_calls": CALLS},
    {"role": "assistant", "content": []},
    {"role": "user", "content": "And?"},
]


@pytest.fixture
async def client(service: Service, user: str) -> AsyncIterator[AsyncChatkeep]:
    """A client that acts for a user of this test's own."""
    async with AsyncChatkeep(service.url, service.key, user_id=user) as made:
        yield made


@pytest.fixture
def session(client: AsyncChatkeep) -> ChatkeepSession:
    """A session of that user."""
    return ChatkeepSession("s", client=client)


def user_items(*texts: object) -> list[Any]:
    """Messages of the user."""
    return [{"role": "user", "content": str(text)} for text in texts]


async def read(session: ChatkeepSession, limit: int, **options: Any) -> Any:
    """The snapshot that the SDK would get."""
    snapshot = await session._get_compaction_snapshot(limit, **options)
    assert snapshot is not None
    return snapshot


async def kept(client: AsyncChatkeep) -> list[Any]:
    """What every message of every branch says."""
    return [message.content async for message in client.messages.list("key:s", tree=True)]


@pytest.mark.parametrize(
    ("limit", "start", "output", "left"),
    [
        (3, 1, ["new"], ["0", "1", "2", "new"]),
        (3, 0, ["new", "er"], ["0", "1", "new", "er"]),
        (9, 4, ["new"], ["0", "1", "2", "3", "new"]),
        (9, 0, ["new"], ["new"]),
        (9, 2, [], ["0", "1"]),
        (5, 0, [], []),
    ],
)
async def test_the_end_is_replaced_and_stays_readable(
    client: AsyncChatkeep, session: ChatkeepSession, limit: int, start: int, output: list[str], left: list[str]
) -> None:
    await session.add_items(user_items(*range(5)))
    snapshot = await read(session, limit)
    assert snapshot.items == user_items(*range(5))[-limit:]
    assert snapshot.complete == (limit >= 5)
    assert await snapshot.replace_suffix(start, user_items(*output)) is True
    assert await session.get_items() == user_items(*left)
    assert await kept(client) == [*"01234", *output]
    # It was of the version before.
    assert await snapshot.replace_suffix(start, user_items("no")) is False
    await session.add_items(user_items("next"))
    assert await session.get_items() == user_items(*left, "next")


async def test_what_is_written_in_between_is_not_lost(client: AsyncChatkeep, session: ChatkeepSession) -> None:
    await session.add_items(user_items(*range(4)))
    for output in (user_items("new"), []):
        for start in (0, 2):
            snapshot = await read(session, 9)
            await session.add_items(user_items("meanwhile"))
            before = await session.get_items()
            assert await snapshot.replace_suffix(start, output) is False
            assert await session.get_items() == before
    assert len(await kept(client)) == 8


async def test_of_many_at_once_one_replaces(client: AsyncChatkeep, session: ChatkeepSession) -> None:
    await session.add_items(user_items(*range(4)))
    snapshots = [await read(session, 9) for _ in range(5)]
    work = [text.replace_suffix(2, user_items(f"new {k}")) for k, text in enumerate(snapshots)]
    outcomes: list[Any] = await asyncio.gather(*work, *(session.add_items(user_items(f"added {k}")) for k in range(3)))
    replaced = outcomes[:5].count(True)
    assert replaced <= 1
    items: list[Any] = await session.get_items()
    texts = [item["content"] for item in items]
    assert sorted(text for text in texts if text.startswith("added")) == ["added 0", "added 1", "added 2"]
    assert texts[:2] == ["0", "1"]
    assert ("2" in texts) == (replaced == 0)
    assert len(texts) == 7 - replaced
    assert len(await kept(client)) == 7 + replaced


async def test_no_message_is_split(client: AsyncChatkeep, session: ChatkeepSession) -> None:
    await session.add_items(user_items("first"))
    await client.messages.append("key:s", NATIVE)
    snapshot = await read(session, 9)
    assert len(snapshot.items) == 5
    for start in (2, 3):
        assert await snapshot.replace_suffix(start, user_items("new")) is False
    assert await snapshot.replace_suffix(4, user_items("new")) is True
    items: list[Any] = await session.get_items()
    assert [item.get("type", item.get("content")) for item in items] == [
        *("first", "message", "function_call", "function_call", "new")
    ]
    assert await (await read(session, 4)).replace_suffix(0, user_items("newer")) is True
    assert await session.get_items() == user_items("first", "newer")


async def test_a_long_end(session: ChatkeepSession) -> None:
    many = user_items(*range(450))
    await session.add_items(many)
    for limit in (1, 200, 201, 449, 450, 451):
        snapshot = await read(session, limit)
        assert (snapshot.items, snapshot.complete) == (many[-limit:], limit >= 450)
    snapshot = await read(session, 440)
    assert await snapshot.replace_suffix(20, user_items(*range(MAX_BATCH + 1))) is False
    assert await snapshot.replace_suffix(20, user_items(*range(MAX_BATCH))) is True
    assert await session.get_items() == many[:30] + user_items(*range(MAX_BATCH))


@pytest.mark.parametrize("output", [[], user_items("new")])
async def test_what_a_history_begins_with_is_deleted_where_it_is_expired(
    client: AsyncChatkeep, session: ChatkeepSession, output: list[Any]
) -> None:
    def sealed(age: str, count: int) -> list[Any]:
        return [{"__enc__": 1, "v": 1, "kid": "k", "payload": f"{age} {k}"} for k in range(count)]

    await session.add_items([*sealed("old", 210), *sealed("fresh", 2), *sealed("old", 1), *sealed("fresh", 3)])
    snapshot = await read(session, 4, prune_prefix=lambda item: item.get("payload", "").startswith("old"))
    await session.add_items(user_items("meanwhile"))
    assert await snapshot.replace_suffix(1, output) is False
    assert len(await session.get_items()) == 217
    assert await session.pop_item() == user_items("meanwhile")[0]

    snapshot = await read(session, 4, prune_prefix=lambda item: item.get("payload", "").startswith("old"))
    assert await snapshot.replace_suffix(1, output) is True
    assert await session.get_items() == [*sealed("fresh", 2), *sealed("old", 1), *output]
    # The end that was replaced is a branch still; what was expired is gone.
    assert len(await kept(client)) == 6 + len(output)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("start", [0, 2])
async def test_a_request_whose_answer_is_lost_has_one_effect(
    client: AsyncChatkeep, service: Service, user: str, start: int
) -> None:
    with Proxy(service.url, service.key, "async") as proxy:
        async with AsyncChatkeep(proxy.url, service.key, user_id=user) as unlucky:
            session = ChatkeepSession("s", client=unlucky)
            await session.add_items(user_items(*range(4)))
            snapshot = await read(session, 9)
            lost = len(proxy.seen)
            # One read, or two, to find where the end begins; and the write.
            proxy.faults.extend([Fault()] * (1 if start == 0 else 2) + [Fault(lost=True)])
            assert await snapshot.replace_suffix(start, user_items("new")) is True
            assert proxy.paths()[lost:].count("POST /chats/key:s/messages") == 2
    assert await ChatkeepSession("s", client=client).get_items() == user_items(*range(start), "new")
    assert len(await kept(client)) == 5


async def test_of_nothing_there_is_nothing_to_replace(client: AsyncChatkeep, session: ChatkeepSession) -> None:
    snapshot = await read(session, 9)
    assert (snapshot.items, snapshot.complete) == ([], True)
    assert await snapshot.replace_suffix(0, user_items("new")) is False
    assert (await client.chats.page()).items == []
    await session.add_items(user_items("1"))
    snapshot = await read(session, 9)
    assert await snapshot.replace_suffix(1, user_items("new")) is False
    await client.chats.delete("key:s")
    assert await snapshot.replace_suffix(0, user_items("new")) is False
    assert (await client.chats.page()).items == []


async def test_anothers_turn_is_respected(client: AsyncChatkeep, session: ChatkeepSession) -> None:
    await session.add_items(user_items("1", "2"))
    turn = await client.turns.take("key:s", holder="worker-1", seconds=60)
    for output in (user_items("new"), []):
        for start in (0, 1):
            with pytest.raises(Conflict):
                await (await read(session, 9)).replace_suffix(start, output)
    assert await session.get_items() == user_items("1", "2")
    mine = ChatkeepSession("s", client=client, turn=turn.token)
    assert await (await read(mine, 9)).replace_suffix(0, []) is True
    assert await session.get_items() == []


async def test_who_does_something_of_its_own_is_not_passed_by(client: AsyncChatkeep, session: ChatkeepSession) -> None:
    class Shouting(ChatkeepSession):
        async def add_items(self, items: list[Any], **options: Any) -> None:
            await super().add_items([item | {"content": item["content"].upper()} for item in items], **options)

    class Plain:
        """Items of somebody who knows of no snapshots."""

    assert await Shouting("s", client=client)._get_compaction_snapshot(9) is None
    items: Any = Plain()
    assert await ChatkeepSession("s", items=items)._get_compaction_snapshot(9) is None
