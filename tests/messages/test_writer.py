"""The group-commit writer: each append succeeds or fails by itself, in order, and nothing is lost on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlmodel import col
from uuid_utils import uuid7

from app.db.database import Database
from app.db.timestamps import now
from app.http.errors import Overloaded
from app.messages.append.contract import Append, Appended, NoSuchChat, Outcome
from app.messages.append.new_message import new_message
from app.messages.append.postgres import PostgresCommitBackend
from app.messages.append.sqlite import SqliteCommitBackend
from app.messages.append.writer import AppendWriter
from app.messages.schemas import MessageIn
from app.models import Chat
from app.settings import Settings
from tests.callers import Json, acting, every_item, ok, problem, started

HELLO: Json = {"role": "user", "content": "Hello"}
NOBODY = "01932c07-1f3e-7000-8000-abcdef012345"


def batch(name: str, size: int) -> Json:
    """A batch whose messages say which one it is."""
    return {"messages": [{"role": "user", "content": name}] * size}


async def contents(client: httpx2.AsyncClient, path: str) -> list[str]:
    """What a chat's messages say; their seqs must be 1, 2, 3 …"""
    messages = await every_item(client, f"{path}/messages")
    assert [message["seq"] for message in messages] == [*range(1, len(messages) + 1)]
    return [message["content"] for message in messages]


def runs(said: Sequence[str]) -> list[tuple[str, int]]:
    """The same contents in a row, counted."""
    found: list[tuple[str, int]] = []
    for content in said:
        found = (
            [*found[:-1], (content, found[-1][1] + 1)] if found and found[-1][0] == content else [*found, (content, 1)]
        )
    return found


@asynccontextmanager
async def held(app: FastAPI, me: httpx2.AsyncClient, path: str) -> AsyncIterator[None]:
    """Nothing is written to the chat while the block runs: somebody else has it locked."""
    chat = select(Chat).where(col(Chat.user_id) == me.headers["X-User-Id"], col(Chat.chat_id) == path.split("/")[2])
    async with app.state.services.db.write() as session:
        await session.execute(chat.with_for_update())
        yield


async def test_each_of_a_group_fails_by_itself(me: httpx2.AsyncClient, me_too: httpx2.AsyncClient) -> None:
    path = (await me.post("/chats", json={})).headers["Location"]
    gone = (await me.post("/chats", json={})).headers["Location"]
    ok(await me.delete(gone))
    first = await me.post(f"{path}/messages", json=HELLO, headers={"Idempotency-Key": "k"})

    async def good(client: httpx2.AsyncClient, to: str, name: str) -> None:
        answer = await client.post(f"{to}/messages", json=batch(name, 3))
        assert answer.status_code == 201
        said = answer.json()["messages"]
        assert [m["seq"] for m in said] == [*range(said[0]["seq"], said[0]["seq"] + 3)]

    async def bad(client: httpx2.AsyncClient, to: str, status: int, body: Json, **headers: str) -> None:
        problem(await client.post(f"{to}/messages", json=body, headers=headers), status)

    async def replay(client: httpx2.AsyncClient) -> None:
        assert (
            await client.post(f"{path}/messages", json=HELLO, headers={"Idempotency-Key": "k"})
        ).content == first.content

    async with asyncio.TaskGroup() as tasks:
        for n in range(12):
            for client in (me, me_too):
                tasks.create_task(good(client, path, f"{n}{id(client)}"))
                tasks.create_task(bad(client, f"/chats/{NOBODY}", 404, HELLO))
                tasks.create_task(bad(client, gone, 404, HELLO, **{"Idempotency-Key": f"gone {n}"}))
                tasks.create_task(replay(client))
                tasks.create_task(bad(client, path, 422, batch("x", 2), **{"Idempotency-Key": "k"}))
                tasks.create_task(good(client, "/chats/key:new", f"{n}{id(client)}"))
    said = await contents(me, path)
    assert said[0] == "Hello"
    assert sorted(runs(said[1:])) == sorted((f"{n}{id(client)}", 3) for n in range(12) for client in (me, me_too))
    assert len(runs(await contents(me, "/chats/key:new"))) == 24


async def test_sixteen_writers_through_two_processes(me: httpx2.AsyncClient, me_too: httpx2.AsyncClient) -> None:
    chat = ok(await me.post("/chats", json={"key": "busy"}))
    acknowledged: dict[int, str] = {}

    async def write(number: int) -> None:
        client = (me, me_too)[number % 2]
        for lease_token in range(12):
            name, size = f"{number}-{lease_token}", 1 + (number + lease_token) % 4
            path = ("/chats/key:busy", f"/chats/{chat['chat_id']}")[lease_token % 2]
            for message in ok(await client.post(f"{path}/messages", json=batch(name, size)))["messages"]:
                assert message["seq"] not in acknowledged
                acknowledged[message["seq"]] = message["content"]

    await asyncio.gather(*map(write, range(16)))
    said = await contents(me, "/chats/key:busy")
    assert dict(enumerate(said, 1)) == acknowledged
    assert sorted(runs(said)) == sorted(
        (f"{n}-{lease_token}", 1 + (n + lease_token) % 4) for n in range(16) for lease_token in range(12)
    )
    counted = ok(await me.get("/chats/key:busy"))
    assert counted["message_count"] == counted["last_seq"] == len(said)
    assert counted["version"] == 1 + 16 * 12


async def test_writers_of_several_chats_by_key_and_by_id_never_block_each_other_for_good(
    me: httpx2.AsyncClient, me_too: httpx2.AsyncClient
) -> None:
    ids = [ok(await me.post("/chats", json={"key": f"{n}"}))["chat_id"] for n in range(4)]
    async with asyncio.timeout(60):
        answers = await asyncio.gather(
            *(
                client.post(f"/chats/{name}/messages", json=HELLO)
                for _ in range(10)
                for n, chat_id in enumerate(ids)
                for client, name in ((me, f"key:{n}"), (me_too, chat_id), (me, chat_id), (me_too, f"key:{n}"))
            )
        )
    assert {answer.status_code for answer in answers} == {201}
    for chat_id in ids:
        assert len(await contents(me, f"/chats/{chat_id}")) == 40


async def test_two_processes_that_create_one_key_at_once_spoil_nothing(
    me: httpx2.AsyncClient, me_too: httpx2.AsyncClient
) -> None:
    beside = (await me.post("/chats", json={})).headers["Location"]
    for lease_token in range(10):
        answers = await asyncio.gather(
            *(
                client.post(f"{path}/messages", json=HELLO)
                for client in (me, me_too)
                for path in (beside, f"/chats/key:{lease_token}", beside)
            )
        )
        assert {answer.status_code for answer in answers} == {201}
        assert len(await contents(me, f"/chats/key:{lease_token}")) == 2
    assert len(await contents(me, beside)) == 40


async def test_past_its_bound_the_queue_refuses_at_once(
    settings: Settings, make_user: Callable[[], str], as_user: Callable[[str], dict[str, str]]
) -> None:
    async with (
        started(settings.model_copy(update={"write_queue_size": 4})) as app,
        acting(app, as_user(make_user())) as client,
    ):
        path = (await client.post("/chats", json={})).headers["Location"]
        async with held(app, client, path):
            waiting = [asyncio.create_task(client.post(f"{path}/messages", json=HELLO)) for _ in range(10)]
            refused, waiting_still = [], set(waiting)
            while len(waiting_still) > 4:
                done, waiting_still = await asyncio.wait(waiting_still, return_when=asyncio.FIRST_COMPLETED)
                refused += [task.result() for task in done]
            for answer in refused:
                problem(answer, 503)
                assert int(answer.headers["Retry-After"]) >= 1
        for answer in await asyncio.gather(*waiting_still):
            assert answer.status_code == 201
        assert len(await contents(client, path)) == 4
        assert ok(await client.post(f"{path}/messages", json=HELLO))["seq"] == 5


async def test_who_hangs_up_harms_nobody(app: FastAPI, me: httpx2.AsyncClient) -> None:
    path = (await me.post("/chats", json={})).headers["Location"]
    async with held(app, me, path):
        waiting = [asyncio.create_task(me.post(f"{path}/messages", json=HELLO)) for _ in range(10)]
        await asyncio.sleep(0.1)
        for task in waiting[::2]:
            task.cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    kept = [ok(answer)["seq"] for answer in answers if isinstance(answer, httpx2.Response)]
    assert len(kept) == 5
    assert len(await contents(me, path)) == 10


@pytest.fixture
async def writer(app: FastAPI) -> AsyncIterator[AppendWriter]:
    """A writer of the test's own, beside that of `app`."""
    made = AppendWriter(group_of(app.state.services.db), 1000, app.state.services.db.commit_hooks)
    yield made
    await made.close()


def group_of(db: Database) -> SqliteCommitBackend | PostgresCommitBackend:
    """What commits groups on a database."""
    return SqliteCommitBackend(db) if db.kind == "sqlite" else PostgresCommitBackend(db)


def an_append(me: httpx2.AsyncClient, chat_id: str | None, key: str | None = None, content: str = "x") -> Append:
    """An append of one message."""
    new_messages = [new_message(MessageIn(role="user", content=content), now())]
    return Append(me.headers["X-User-Id"], chat_id, key, str(uuid7()) if key else None, new_messages, now())


async def test_what_was_accepted_is_written_before_the_writer_ends(app: FastAPI, me: httpx2.AsyncClient) -> None:
    chat = ok(await me.post("/chats", json={}))
    writer = AppendWriter(group_of(app.state.services.db), 1000, app.state.services.db.commit_hooks)
    # More than a group holds.
    waiting = [asyncio.create_task(writer.append(an_append(me, chat["chat_id"]))) for _ in range(300)]
    await asyncio.sleep(0)
    await writer.close()
    outcomes = await asyncio.gather(*waiting)
    assert [isinstance(one, Appended) and (one.chat_id, one.first_seq) for one in outcomes] == [
        (chat["chat_id"], seq) for seq in range(1, 301)
    ]
    with pytest.raises(Overloaded):
        await writer.append(an_append(me, chat["chat_id"]))
    assert len(await contents(me, f"/chats/{chat['chat_id']}")) == 300


async def test_what_a_database_refuses_fails_alone(app: FastAPI, me: httpx2.AsyncClient, writer: AppendWriter) -> None:
    chat = ok(await me.post("/chats", json={}))
    good = an_append(me, chat["chat_id"])
    # No client can send two messages with one message_id; the database is the last to notice.
    poison = replace(good, new_messages=[*good.new_messages, *good.new_messages])
    appends = [an_append(me, chat["chat_id"]), poison, an_append(me, NOBODY), an_append(me, chat["chat_id"]), poison]
    tasks = [asyncio.create_task(writer.append(append)) for append in appends]
    results: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
    outcomes: list[Outcome] = [results[0], results[2], results[3]]
    first = appends[0].new_messages[0].message_id
    assert outcomes == [
        Appended(chat["chat_id"], 1, None, None),
        NoSuchChat(),
        Appended(chat["chat_id"], 2, first, None),
    ]
    assert [isinstance(results[n], Exception) for n in (1, 4)] == [True, True]
    assert await contents(me, f"/chats/{chat['chat_id']}") == ["x", "x"]
    assert await writer.append(an_append(me, None, "new")) != NoSuchChat()


async def test_a_broken_connection_is_replaced(
    settings: Settings, dialect: str, make_user: Callable[[], str], as_user: Callable[[str], dict[str, str]]
) -> None:
    if dialect == "sqlite":
        return  # a file has no connection to break
    async with started(settings) as app, acting(app, as_user(make_user())) as client:
        ok(await client.post("/chats/key:k/messages", json=HELLO))
        administrator = await asyncpg.connect(settings.effective_database_url)
        await administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%chatkeep_append%'"
        )
        await administrator.close()
        answers = [await client.post("/chats/key:k/messages", json=HELLO) for _ in range(3)]
        # The first may find the connection broken: whether it was stored, nobody knows, and so it is not tried again.
        assert [answer.status_code for answer in answers[1:]] == [201, 201]
        assert answers[0].status_code in (201, 503)
        stored = sum(answer.status_code == 201 for answer in answers) + 1
        assert len(await contents(client, "/chats/key:k")) == stored
