"""Whatever is written, the counters say what is there: random sequences of all writes, against a recount."""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, insert, update
from sqlmodel import col

from app.events.pruning import prune
from app.jobs import housekeeping
from app.models import Change, Feed, Usage
from tests.callers import Json, acting, ok
from tests.profiles import count
from tests.stats.recount import named, recounted, recounted_time_buckets, rows, time_buckets

STEPS = 40
MOMENTS = (
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:14:59.999999Z",
    "1883-11-18T12:03:58-04:56",
    "1969-12-31T23:59:59.999999Z",
    "1969-12-31T23:44:59+00:00",
    "1970-01-01T00:00:00Z",
    "2000-02-29T23:45:00+05:45",
    "2026-03-29T02:30:00+01:00",
    "2026-10-25T02:59:59.5+05:30",
    "9999-12-31T23:59:59.999999Z",
)
ROLES = ("user", "assistant", "system", "developer", "tool")
MODELS = (None, "gpt-5", "claude", 'é"\t\u0007🥚', "null")
PLATFORMS = (None, "web", "slack", 'é"\n\\', "null")


class Run:
    """One sequence of writes of one user, by two processes."""

    def __init__(self, app: FastAPI, clients: list[httpx2.AsyncClient], seed: int) -> None:
        self.app = app
        self.clients = clients
        self.random = random.Random(seed)
        self.chats: list[str] = []

    @property
    def client(self) -> httpx2.AsyncClient:
        """Either of the processes."""
        return self.random.choice(self.clients)

    def tokens(self) -> Json:
        """What a message says of its tokens and its model."""
        names = ("tokens", "input_tokens", "output_tokens")
        said: Json = {name: self.random.choice((0, 7, 1000, 10**12)) for name in names if self.random.random() < 0.4}
        return said | ({"model": model} if (model := self.random.choice(MODELS)) else {})

    def message(self) -> Json:
        """A message to append."""
        said = {"role": self.random.choice(ROLES), "content": "x", **self.tokens()}
        return said | ({"created_at": self.random.choice(MOMENTS)} if self.random.random() < 0.5 else {})

    def messages(self, most: int) -> list[Json]:
        """Some messages."""
        return [self.message() for _ in range(self.random.randrange(1, most))]

    def details(self) -> Json:
        """A chat's details."""
        return {"platform": self.random.choice(PLATFORMS)} if self.random.random() < 0.8 else {}

    async def seqs(self, chat: str) -> list[int]:
        """The messages that are there."""
        query: Json = {"tree": "true", "limit": 200}
        return [one["seq"] for one in ok(await self.client.get(f"{chat}/messages", params=query))["items"]]

    async def step(self) -> None:
        """Does one thing, if it can be done."""
        kinds: list[Callable[[str], Any]] = [self.append, self.append, self.alter, self.describe, self.trash]
        if len(self.chats) < 2 or self.random.random() < 0.1:
            await self.create()
        elif self.random.random() < 0.1:
            ok(await self.client.get("/stats"))
        else:
            chat = self.random.choice(self.chats)
            if (await self.client.get(chat)).status_code == 404:
                ok(await self.client.post(f"{chat}/restore"))
            await self.random.choice(kinds)(chat)

    async def create(self) -> None:
        """A new chat, in one of the ways."""
        way, key = self.random.randrange(4), f"/chats/key:{self.random.getrandbits(60)}"
        if way == 0:
            body = {**self.details(), "conversation": self.messages(4)}
        elif way == 1:
            body = {**self.details(), "expires_at": "2020-01-01T00:00:00Z"}
        elif way == 2:
            body = {**self.details(), **({"conversation": self.messages(3)} if self.random.random() < 0.5 else {})}
            self.chats.append(f"/chats/{ok(await self.client.put(key, json=body))['chat_id']}")
            return
        else:
            answer = ok(await self.client.post(f"{key}/messages", json=self.message()))
            self.chats.append(f"/chats/{answer['chat_id']}")
            return
        self.chats.append(f"/chats/{ok(await self.client.post('/chats', json=body))['chat_id']}")
        if way == 1:
            await housekeeping.run_pass(self.app.state.services.db)

    async def append(self, chat: str) -> None:
        """Appends a message, some, a branch, or an answer in chunks."""
        way, seqs = self.random.randrange(5), await self.seqs(chat)
        if way == 0:
            ok(await self.client.post(f"{chat}/messages", json=self.message()))
        elif way == 1:
            ok(await self.client.post(f"{chat}/messages", json={"messages": self.messages(6)}))
        elif way == 2:
            parent = {"parent": self.random.choice([*seqs, None])}
            body = {"messages": self.messages(3)} if self.random.random() < 0.5 else self.message()
            ok(await self.client.post(f"{chat}/messages", json=body | parent))
        elif way == 3:
            body = self.message() | {"role": "assistant", "status": "in_progress", "content": "x"}
            answer = f"{chat}/messages/{ok(await self.client.post(f'{chat}/messages', json=body))['seq']}"
            ok(await self.client.post(f"{answer}/chunks", json={"offset": 1, "text": "yz"}))
            if self.random.random() < 0.5:
                ok(await self.client.post(f"{answer}/complete", json={"offset": 3, **self.tokens()}))
            else:
                ok(await self.client.post(f"{answer}/fail", json=self.tokens()))
        else:
            at = {"at": self.random.choice(seqs)} if seqs and self.random.random() < 0.7 else {}
            self.chats.append(f"/chats/{ok(await self.client.post(f'{chat}/fork', json=at))['chat_id']}")

    async def alter(self, chat: str) -> None:
        """Edits or removes messages."""
        way, seqs = self.random.randrange(6), await self.seqs(chat)
        if way == 0:
            ok(await self.client.post(f"{chat}/messages/pop"))
        elif way == 1 and self.random.random() < 0.3:
            ok(await self.client.delete(f"{chat}/messages"))
        elif way == 2 and seqs:
            ok(await self.client.delete(f"{chat}/messages/{self.random.choice(seqs)}"))
        elif way == 3:
            ok(await self.client.put(chat, json={**self.details(), "conversation": self.messages(4)}))
        elif seqs:
            names = ("tokens", "input_tokens", "output_tokens", "model")
            change = {**dict.fromkeys(names), **self.tokens()} if self.random.random() < 0.3 else self.tokens()
            body = change | {"content": "changed"}
            ok(await self.client.patch(f"{chat}/messages/{self.random.choice(seqs)}", json=body))

    async def describe(self, chat: str) -> None:
        """Says something else of a chat."""
        if self.random.random() < 0.5:
            ok(await self.client.put(chat, json=self.details()))
        else:
            ok(await self.client.patch(chat, json={"platform": self.random.choice(PLATFORMS)}))

    async def trash(self, chat: str) -> None:
        """Deletes a chat, softly or for good."""
        way = self.random.randrange(4)
        if way == 0:
            ok(await self.client.delete(chat, params={"hard": "true"}))
        if way == 1:
            ok(await self.client.delete(chat))
            ok(await self.client.delete(chat, params={"hard": "true"}))
        if way < 2:
            self.chats.remove(chat)
        else:
            ok(await self.client.delete(chat))


@pytest.mark.timeout(count(fast=180, all=900))
async def test_the_counters_say_what_is_there(
    app: FastAPI, second: FastAPI, make_user: Callable[[], str], as_user: Callable[[str], dict[str, str]], seed: int
) -> None:
    for number in range(seed, seed + count(fast=4, all=30)):
        user_id = make_user()
        async with acting(app, as_user(user_id)) as one, acting(second, as_user(user_id)) as other:
            run = Run(app, [one, other], number)
            for _ in range(STEPS):
                await run.step()
            assert named(ok(await one.get("/stats"))) == await recounted(app, user_id), number
            assert await time_buckets(app, user_id) == await recounted_time_buckets(app, user_id), number


async def test_all_together(
    app: FastAPI, client: httpx2.AsyncClient, admin: dict[str, str], me: httpx2.AsyncClient
) -> None:
    before = ok(await client.get("/stats", params={"all_users": "true"}, headers=admin))
    body = {"platform": "all", "conversation": [{"role": "user", "content": "x", "model": "all", "tokens": 5}] * 3}
    ok(await me.post("/chats", json=body))
    ok(await me.delete(f"/chats/{ok(await me.post('/chats', json=body))['chat_id']}"))
    after = ok(await client.get("/stats", params={"all_users": "true"}, headers=admin))
    grown = {name: after[name] - before[name] for name in after if name.startswith("total_")}
    assert grown == {
        "total_conversations": 2,
        "total_messages": 6,
        "total_tokens": 30,
        "total_input_tokens": 0,
        "total_output_tokens": 0,
        "total_users": 1,
    }
    assert after["deleted_conversations"] == before["deleted_conversations"] + 1
    counted = {"messages": 6, "input_tokens": 0, "output_tokens": 0, "total_tokens": 30}
    assert {"model": "all", **counted} in after["by_model"]
    assert {"platform": "all", "conversations": 2, **counted} in after["by_platform"]
    assert after["average_messages_per_conversation"] == after["total_messages"] / after["total_conversations"]


async def test_the_longest_is_found_again(me: httpx2.AsyncClient) -> None:
    async def longest() -> int:
        found: int = ok(await me.get("/stats"))["longest_conversation_messages"]
        return found

    assert await longest() == 0
    message = {"role": "user", "content": "x"}
    for key, messages in (("a", 3), ("b", 5)):
        ok(await me.post(f"/chats/key:{key}/messages", json={"messages": [message] * messages}))
    assert await longest() == 5
    ok(await me.post("/chats/key:b/messages/pop"))
    assert await longest() == 4
    ok(await me.delete("/chats/key:b"))
    assert await longest() == 4
    ok(await me.post("/chats/key:b/restore"))
    ok(await me.delete("/chats/key:b", params={"hard": "true"}))
    assert await longest() == 3
    ok(await me.delete("/chats/key:a/messages"))
    answer = ok(await me.get("/stats"))
    assert (answer["longest_conversation_messages"], answer["longest_conversation_user"]) == (0, None)


async def test_when_somebody_was_active(me: httpx2.AsyncClient) -> None:
    answer = ok(await me.get("/stats"))
    assert (answer["first_activity_at"], answer["last_activity_at"]) == (None, None)
    began = datetime.now(UTC)
    ok(await me.post("/chats/key:a/messages", json={"role": "user", "content": "x", "created_at": MOMENTS[0]}))
    first = ok(await me.get("/stats"))
    assert began - timedelta(seconds=1) < datetime.fromisoformat(first["first_activity_at"]) <= datetime.now(UTC)
    ok(await me.patch("/chats/key:a", json={"title": "x"}))
    last = ok(await me.get("/stats"))
    assert last["first_activity_at"] == first["first_activity_at"] <= first["last_activity_at"]
    assert last["last_activity_at"] > first["last_activity_at"]


async def test_what_is_written_is_added_up_by_itself(app: FastAPI, me: httpx2.AsyncClient) -> None:
    ok(await me.post("/chats/key:a/messages", json={"role": "user", "content": "x"}))
    async with asyncio.timeout(20):
        while [row.messages for row in await rows(app, Usage, me.headers["X-User-Id"])] != [1]:
            await asyncio.sleep(0.05)


async def test_what_is_not_added_up_is_not_pruned(
    app: FastAPI, me: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any) -> None:
        """As if it had stopped."""

    monkeypatch.setattr(app.state.services.counters, "_aggregate_batch", nothing)
    user_id = me.headers["X-User-Id"]
    ok(await me.post("/chats/key:a/messages", json={"role": "user", "content": "x"}))
    await prune(app.state.services.db, datetime.now(UTC) + timedelta(days=1))
    # Another process may have been there before.
    counted = sum(row.position for row in await rows(app, Usage, user_id))
    assert [row.position for row in await rows(app, Change, user_id)] == ([2] if counted == 0 else [])
    monkeypatch.undo()
    assert ok(await me.get("/stats"))["total_messages"] == 1
    await prune(app.state.services.db, datetime.now(UTC) + timedelta(days=1))
    assert await rows(app, Change, user_id) == []
    assert ok(await me.get("/stats"))["total_messages"] == 1


async def test_nothing_is_added_twice(app: FastAPI, second: FastAPI, me: httpx2.AsyncClient) -> None:
    """Two processes add up at once, in different orders, while others write."""
    user_id = me.headers["X-User-Id"]
    done = asyncio.Event()

    async def write(chat: int) -> None:
        for number in range(30):
            ok(await me.post(f"/chats/key:{chat}/messages", json={"role": "user", "content": "x", "tokens": number}))

    async def add_up(one: FastAPI) -> None:
        while not done.is_set():
            await one.state.services.counters.aggregate([user_id, "nobody"])
            await asyncio.sleep(0)

    adding = [asyncio.create_task(add_up(one)) for one in (app, second, app, second)]
    await asyncio.gather(*(write(chat) for chat in range(5)))
    done.set()
    await asyncio.gather(*adding)
    assert named(ok(await me.get("/stats"))) == await recounted(app, user_id)
    assert await time_buckets(app, user_id) == await recounted_time_buckets(app, user_id)


async def test_one_whose_counters_cannot_be_added_up_holds_up_nobody(
    app: FastAPI, me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, make_user: Callable[[], str], admin: Json
) -> None:
    user_id, other = me.headers["X-User-Id"], make_user()
    async with acting(app, admin | {"X-User-Id": other}) as somebody:
        for one in (me, somebody):
            ok(await one.post("/chats/key:a/messages", json={"role": "user", "content": "x"}))
    broken = {"user_id": user_id, "position": 3, "at": datetime.now(UTC), "events": [], "deltas": [["messages", None]]}
    async with app.state.services.db.write() as session:
        await session.execute(insert(Change).values(broken))
        await session.execute(update(Feed).where(col(Feed.user_id) == user_id).values(position=3))
    with pytest.raises(ValueError, match="unpack"):
        await app.state.services.counters.aggregate([user_id, other])
    assert [row.messages for row in await rows(app, Usage, other)] == [1]
    async with app.state.services.db.write() as session:
        await session.execute(delete(Change).where(col(Change.user_id) == user_id, col(Change.position) == 3))
    assert ok(await me.get("/stats"))["total_messages"] == 1
