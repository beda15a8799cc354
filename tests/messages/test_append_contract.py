"""The contract of commit backends: the rules of appending, as one table of cases, on both databases and in both ways.

One way is a group by itself, the other the transaction of a session. See `app.messages.append.contract`.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI
from uuid_utils import uuid7

from app.db.database import Database
from app.db.timestamps import now
from app.messages.append.contract import (
    Append,
    Appended,
    CommitBackend,
    KeyTaken,
    LeaseHeld,
    NoSuchChat,
    NoSuchParent,
    Outcome,
    VersionMismatch,
)
from app.messages.append.new_message import new_messages_of
from app.messages.append.postgres import PostgresCommitBackend
from app.messages.append.sqlite import SqliteCommitBackend
from app.messages.schemas import MessageToAppend
from tests.callers import every_item, ok
from tests.messages.appender import NOBODY, Appender, Step
from tests.profiles import count

CASES: dict[str, Sequence[Step]] = {
    "at the head": [Step((1, None, 0)), Step((2, 1, 0)), Step((3, 2, 0), messages=3), Step((6, 5, 0))],
    "after the head, by name": [
        Step((1, None, 0), parent=""),
        Step((2, 1, 0), parent=1),
        Step((3, 2, 0), parent=2, by_id=True),
    ],
    "branches": [
        Step((1, None, 0), messages=3),
        Step((4, 1, 1), parent=1),
        Step((5, 1, 2), parent=1, by_id=True, messages=2),
        Step((7, 6, 0)),
        Step((8, 3, 0), parent=3),
        Step((9, 4, 0), parent=4),
        Step((10, 4, 1), parent=4),
    ],
    "roots": [
        Step((1, None, 0), messages=2),
        Step((3, None, 1), parent=""),
        Step((4, None, 2), parent=""),
        Step((5, 4, 0)),
    ],
    "no such parent": [
        Step((1, None, 0)),
        Step(NoSuchParent, parent=2),
        Step(NoSuchParent, parent=NOBODY),
        Step(NoSuchParent, parent="x"),
        Step((2, 1, 0)),
    ],
    "no such chat": [
        Step(NoSuchChat, chat_id=NOBODY),
        Step(NoSuchChat, key="new", parent=1),
        Step(NoSuchChat, key="new", if_match="*"),
        Step(NoSuchChat, key="new", lease="ended"),
        Step((1, None, 0), key="new", parent=""),
        Step((2, 1, 0), key="new"),
    ],
    "versions": [
        Step((1, None, 0), if_match="now"),
        Step(VersionMismatch, if_match="old"),
        Step((2, 1, 0), if_match="*"),
        Step((3, 1, 1), parent=1, if_match="now"),
        Step(VersionMismatch, parent=1, if_match="old"),
    ],
    "leases": [
        Step((1, None, 0), lease="own"),
        Step(LeaseHeld, lease="other"),
        Step(LeaseHeld, lease="ended"),
        Step((2, None, 1), parent="", lease="own"),
        Step(LeaseHeld, parent="", lease="other"),
        Step(VersionMismatch, if_match="old", lease="other"),
    ],
    "again": [
        Step((1, None, 0), again="a", messages=2),
        Step((3, 2, 0)),
        Step(((1, None, 0),), again="a", messages=2),
        Step((4, 1, 1), again="b", parent=1),
        Step(((4, 1, 1),), again="b", parent=1),
        Step(((4, 1, 1),), again="b", parent=NOBODY),
        Step((5, 4, 0), again="a", age=timedelta(hours=25)),
    ],
    "keys of messages": [
        Step((1, None, 0), messages=3, names="ab"),
        Step(KeyTaken, names="b"),
        Step(KeyTaken, messages=4, names="cbda"),
        Step((4, 3, 0), names="c", messages=2),
        Step((6, 5, 0), names=["A"]),
        Step(VersionMismatch, names="a", if_match="old"),
        Step(LeaseHeld, names="a", lease="other"),
        Step(KeyTaken, names="a", if_match="now"),
        Step(KeyTaken, names="a", lease="own"),
        Step(KeyTaken, names="a", parent="key:nobody"),
        Step((7, 6, 0), names="d", again="again"),
        Step(((7, 6, 0),), names="d", again="again"),
        Step(KeyTaken, names="d", again="other"),
        Step((8, 7, 0), names="e", again="other", in_progress=True),
    ],
    "after a message, by its key": [
        Step((1, None, 0), messages=2, names="a/"),
        Step((3, 2, 0), parent="key:/"),
        Step((4, 1, 1), parent="key:a", names="c"),
        Step((5, 4, 0), parent="key:c"),
        Step((6, 2, 1), parent="key:/"),
        Step((7, 4, 1), parent="key:c", names="d"),
        Step((8, 7, 0)),
        Step(NoSuchParent, parent="key:A"),
        Step(NoSuchParent, parent="key:"),
        Step(NoSuchChat, key="new", parent="key:a"),
    ],
    "keys of messages of a chat that is created": [
        Step((1, None, 0), key="new", names="a"),
        Step(KeyTaken, key="new", names="a"),
        Step((2, 1, 0), key="new", names="b", parent="key:a"),
    ],
    "in progress": [
        Step((1, None, 0), in_progress=True),
        Step((2, 1, 0)),
        Step((3, 1, 1), parent=1, in_progress=True, lease="own"),
    ],
}


@pytest.fixture
async def backend(app: FastAPI) -> AsyncIterator[CommitBackend]:
    """A commit backend of the test's own."""
    made = backend_of(app.state.services.db)
    yield made
    await made.close()


def backend_of(db: Database) -> CommitBackend:
    """The commit backend for a database."""
    return SqliteCommitBackend(db) if db.kind == "sqlite" else PostgresCommitBackend(db)


@pytest.mark.parametrize("way", ["group", "session"])
@pytest.mark.parametrize("case", CASES)
async def test_the_rules(app: FastAPI, backend: CommitBackend, me: httpx2.AsyncClient, case: str, way: str) -> None:
    appender = Appender(app.state.services.db, backend, me, way)
    appender.chat = ok(await me.post("/chats", json={}))
    for step in CASES[case]:
        await appender.run(step)
    await appender.release()
    await appender.check()
    for step in CASES[case]:
        if step.in_progress and isinstance(step.outcome, tuple):
            path = f"{appender.path}/messages/{step.outcome[0]}"
            message = ok(await me.get(path))
            assert (message["content"], message["status"]) == ("0", "in_progress")
            if step.lease is None:
                ok(await me.post(f"{path}/chunks", json={"offset": 1, "text": "more"}))


async def test_a_group_is_one_transaction_whatever_is_in_it(
    app: FastAPI, backend: CommitBackend, me: httpx2.AsyncClient
) -> None:
    appender = Appender(app.state.services.db, backend, me, "group")
    appender.chat = chat = ok(
        await me.post("/chats", json={"key": "k", "conversation": [{"role": "user", "content": "x"}]})
    )
    steps = [
        Step((0,)),
        Step((0,), key="k"),
        Step(NoSuchChat, chat_id=NOBODY),
        Step((0,), parent="", messages=2),
        Step(NoSuchParent, parent="99"),
        Step((0,), key="k"),
        Step((0,), parent=""),
        Step((0,), key="other"),
        Step(VersionMismatch, if_match="old"),
        Step((0,), key="other"),
    ]
    appends = [await appender.append_of(step) for step in steps]
    outcomes = await backend.commit(appends)
    got: dict[str, list[tuple[int, int]]] = {}
    for step, append, outcome in zip(steps, appends, outcomes, strict=True):
        if isinstance(step.outcome, type):
            assert isinstance(outcome, step.outcome)
        else:
            assert isinstance(outcome, Appended)
            got.setdefault(outcome.chat_id, []).append((outcome.first_seq, len(append.new_messages)))
    other = ok(await me.get("/chats/key:other"))
    # Each got seqs of its own, without a gap; those that begin a branch may come after the others.
    assert {chat_id: sum(n for _, n in seqs) for chat_id, seqs in got.items()} == {
        chat["chat_id"]: 6,
        other["chat_id"]: 2,
    }
    for chat_id, first in ((chat["chat_id"], 2), (other["chat_id"], 1)):
        taken = [seq + n for seq, size in sorted(got[chat_id]) for n in range(size)]
        assert taken == [*range(first, first + len(taken))]
    messages = await every_item(me, f"/chats/{chat['chat_id']}/messages", tree="true")
    roots = [message for message in messages if message["parent_id"] is None]
    assert [message["siblings"] for message in roots] == [[message["message_id"] for message in roots]] * 3


async def test_in_a_group_an_append_sees_the_keys_of_those_before_it(
    app: FastAPI, backend: CommitBackend, me: httpx2.AsyncClient
) -> None:
    appender = Appender(app.state.services.db, backend, me, "group")
    appender.chat = chat = ok(await me.post("/chats", json={"key": "k"}))
    named = ok(await me.post(f"/chats/{chat['chat_id']}/messages", json={"role": "user", "content": "x", "key": "a"}))
    steps = [
        Step((0,)),
        Step((0,), names="b"),
        Step(KeyTaken, names="a"),
        Step((0,), names="c", key="k"),
        Step(KeyTaken, names="db", messages=2),
        Step((0,), names="e", messages=2),
        Step((0,), parent="key:b"),
        Step(KeyTaken, names="c", key="k"),
        Step((0,), names="a", key="other"),
        Step(KeyTaken, names="a", key="other"),
        Step((0,), parent="key:a", names="d"),
        Step((0,), key="other"),
    ]
    appends = [await appender.append_of(step) for step in steps]
    outcomes = await backend.commit(appends)
    for step, outcome in zip(steps, outcomes, strict=True):
        assert isinstance(outcome, step.outcome if isinstance(step.outcome, type) else Appended)
    taken = [outcome.messages.keys() for outcome in outcomes if isinstance(outcome, KeyTaken)]
    assert taken == [{"a"}, {"b"}, {"c"}, {"a"}]
    first = await every_item(me, "/chats/key:k/messages", tree="true")
    second = await every_item(me, "/chats/key:other/messages", tree="true")
    assert [message["seq"] for message in first] == [*range(1, 9)]
    assert sorted(message["key"] for message in first if "key" in message) == ["a", "b", "c", "d", "e"]
    assert [message.get("key") for message in second] == ["a", None]
    of = {message["key"]: message for message in first if "key" in message}
    assert of["d"]["parent_id"] == of["a"]["message_id"] == named["message_id"]


@pytest.mark.more_with_all
async def test_processes_that_name_the_same_chats_both_ways_never_wait_for_each_other(
    app: FastAPI, me: httpx2.AsyncClient
) -> None:
    user_id = me.headers["X-User-Id"]
    chats = [ok(await me.post("/chats", json={"key": f"k{n}"}))["chat_id"] for n in range(12)]

    def append(number: int, by_key: bool) -> Append:
        new = new_messages_of([MessageToAppend(role="user", content="x")])
        if number >= len(chats):
            # One that is created, in either order.
            return Append(user_id, None, f"new{number}", str(uuid7()), new, now())
        if by_key:
            return Append(user_id, None, f"k{number}", str(uuid7()), new, now())
        return Append(user_id, chats[number], None, None, new, now())

    async def process(number: int) -> None:
        chance, backend = random.Random(number), backend_of(app.state.services.db)
        try:
            for turn in range(count(fast=40, all=1500)):
                numbers = chance.sample(range(len(chats)), 8)
                appends = [append(each, by_key=chance.random() < 0.5) for each in numbers]
                appends += [append(100 + turn * 4 + each, by_key=True) for each in chance.sample(range(4), 2)]
                outcomes: Sequence[Outcome] = ()
                while not outcomes:
                    # Where another one has created the same chat, the writer tries again.
                    with contextlib.suppress(asyncpg.UniqueViolationError):
                        outcomes = await backend.commit(appends)
                assert all(isinstance(outcome, Appended) for outcome in outcomes)
        finally:
            await backend.close()

    await asyncio.gather(*map(process, range(3)))
