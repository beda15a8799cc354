"""Nothing twice: what OpenAI's client sends again, with nothing but a count that says so, has one effect."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

import httpx2
import openai
import orjson
import pytest
from fastapi import FastAPI
from sqlmodel.ext.asyncio.session import AsyncSession

from app.messages.append.contract import Append, CommitBackend, Outcome
from app.messages.append.postgres import PostgresCommitBackend
from app.messages.append.sqlite import SqliteCommitBackend
from app.messages.append.writer import AppendWriter
from app.settings import Settings
from tests.callers import Json, ok, started
from tests.openai_api.clients import async_client
from tests.openai_api.proxy import Proxy
from tests.servers.service import ServiceProcess

# With two processes.
pytestmark = pytest.mark.more_with_all

WRITERS, CALLS = 5, 10
AGAIN = {"x-stainless-retry-count": "1"}


def said(items: Sequence[Any]) -> list[str]:
    """The texts of items."""
    return [one.content[0].text for one in items]


async def test_fifty_calls_that_are_cut_after_the_commit_have_one_effect_each(running: ServiceProcess) -> None:
    async def write(user: openai.AsyncOpenAI, conversation_id: str) -> None:
        for number in range(CALLS):
            # Some say the same as the call before.
            texts = [str(number // 2)] if number % 3 else [str(number), str(number)]
            added = await user.conversations.items.create(
                conversation_id, items=[{"role": "user", "content": text} for text in texts]
            )
            expected[conversation_id] += texts
            listed = await user.conversations.items.list(conversation_id, limit=len(texts))
            assert listed.data[::-1] == added.data

    with Proxy(
        running.base_url, lambda head: "x-stainless-retry-count: 0" in head and head.startswith("post")
    ) as proxy:
        async with async_client(running.base_url, "cut") as user, async_client(proxy.base_url, "cut") as unlucky:
            expected: dict[str, list[str]] = {}
            for _ in range(WRITERS):
                conversation = await user.conversations.create()
                expected[conversation.id] = []
            await asyncio.gather(*(write(unlucky, one) for one in expected))
            assert proxy.cut == WRITERS * CALLS
            for conversation_id, texts in expected.items():
                listed = user.conversations.items.list(conversation_id, order="asc", limit=100)
                assert said([one async for one in listed]) == texts


async def test_other_calls_that_are_cut(running: ServiceProcess) -> None:
    with Proxy(running.base_url) as proxy:
        async with async_client(running.base_url, "other") as user, async_client(proxy.base_url, "other") as unlucky:
            made = await user.conversations.create(items=[{"role": "user", "content": "x"}], metadata={"a": "b"})
            (item,) = (await unlucky.conversations.items.list(made.id)).data
            assert item.id
            updated = await unlucky.conversations.update(made.id, metadata={"c": "d"})
            assert updated.metadata == {"c": "d"}
            assert await unlucky.conversations.items.delete(item.id, conversation_id=made.id) == updated
            assert (await user.conversations.items.list(made.id)).data == []
            assert (await unlucky.conversations.delete(made.id)).deleted
            assert proxy.cut == 4
            with pytest.raises(openai.NotFoundError):
                await user.conversations.retrieve(made.id)


def chat_of(conversation_id: str) -> str:
    """The path of a conversation's chat."""
    digits = conversation_id.removeprefix("conv_")
    return f"/chats/{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def test_a_retry_is_one_only_if_the_conversation_ends_with_it(ann: openai.OpenAI, native: httpx2.Client) -> None:
    conversation = ann.conversations.create()

    def add(headers: dict[str, str], *texts: str) -> list[str | None]:
        added = ann.conversations.items.create(
            conversation.id, items=[{"role": "user", "content": text} for text in texts], extra_headers=headers
        )
        return [one.id for one in added.data]

    def all_texts() -> list[str]:
        return said(list(ann.conversations.items.list(conversation.id, order="asc")))

    # Its first attempt never arrived.
    first = add(AGAIN, "a", "b")
    assert add(AGAIN, "a", "b") == first
    assert add(AGAIN, "b") == first[1:]
    assert all_texts() == ["a", "b"]
    assert add(AGAIN, "a") != first[:1]
    assert add(AGAIN, "b", "a") == [first[1], add(AGAIN, "a")[0]]
    assert add(AGAIN, "c", "b", "a") != first
    assert all_texts() == ["a", "b", "a", "c", "b", "a"]
    # Another one said something, or what is there was edited.
    ok(native.post(f"{chat_of(conversation.id)}/messages", json={"role": "user", "content": "d"}))
    add(AGAIN, "a")
    assert all_texts()[-3:] == ["a", "d", "a"]
    ok(native.patch(f"{chat_of(conversation.id)}/messages/8", json={"content": "z"}))
    add(AGAIN, "a")
    assert all_texts()[-3:] == ["d", "z", "a"]
    # Long ago.
    early = {"role": "user", "content": "e", "created_at": "2026-01-31T12:00:00Z"}
    ok(native.post(f"{chat_of(conversation.id)}/messages", json=early))
    add(AGAIN, "e")
    assert all_texts()[-2:] == ["e", "e"]
    # Not a retry.
    add({}, "e")
    assert all_texts()[-3:] == ["e", "e", "e"]


def test_a_retry_knows_an_item_that_is_kept_whole(ann: openai.OpenAI) -> None:
    conversation = ann.conversations.create()
    call: Json = {"type": "function_call", "id": "fc_1", "call_id": "1", "name": "f", "arguments": "{}"}
    for item in (call, call | {"id": "fc_2"}, call | {"status": "incomplete"}, {"role": "user", "content": ""}):
        first = ann.conversations.items.create(conversation.id, items=[item])  # type: ignore[list-item]
        retried = ann.conversations.items.create(conversation.id, items=[item], extra_headers=AGAIN)  # type: ignore[list-item]
        assert retried == first
    assert len(ann.conversations.items.list(conversation.id).data) == 4


def test_a_call_with_a_key_of_its_own_is_known_by_that(ann: openai.OpenAI) -> None:
    conversation = ann.conversations.create(extra_headers={"Idempotency-Key": "c"})
    assert ann.conversations.create(extra_headers={"Idempotency-Key": "c"}) == conversation
    with_key = ann.conversations.items.with_raw_response
    headers = {"Idempotency-Key": "k"}
    first = with_key.create(conversation.id, items=[{"role": "user", "content": "x"}], extra_headers=headers)
    ann.conversations.items.create(conversation.id, items=[{"role": "user", "content": "y"}])
    second = with_key.create(conversation.id, items=[{"role": "user", "content": "x"}], extra_headers=headers)
    assert second.parse() == first.parse()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert said(ann.conversations.items.list(conversation.id).data) == ["y", "x"]
    with pytest.raises(openai.BadRequestError):
        with_key.create(conversation.id, items=[{"role": "user", "content": "z"}], extra_headers=headers)


def test_a_retried_deletion_of_what_no_call_deleted_finds_nothing(ann: openai.OpenAI, native: httpx2.Client) -> None:
    conversation = ann.conversations.create(items=[{"role": "user", "content": "x"}])
    (item,) = ann.conversations.items.list(conversation.id).data
    assert item.id
    ok(native.delete(f"{chat_of(conversation.id)}/messages/1"))
    with pytest.raises(openai.NotFoundError):
        ann.conversations.items.delete(item.id, conversation_id=conversation.id, extra_headers=AGAIN)
    with pytest.raises(openai.NotFoundError):
        ann.conversations.delete(f"conv_{uuid4().hex}", extra_headers=AGAIN)


class HeldBack(CommitBackend):
    """A group that waits before it is committed: a database that is slow for one process."""

    def __init__(self, group: CommitBackend) -> None:
        self.group = group
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def commit(self, appends: Sequence[Append]) -> list[Outcome]:
        """Commits the appends when it may."""
        self.begun.set()
        await self.go_on.wait()
        return await self.group.commit(appends)

    async def append_in(self, session: AsyncSession, append: Append) -> Outcome:
        """Appends in a session, at once."""
        return await self.group.append_in(session, append)

    async def close(self) -> None:
        """Closes the connection."""
        await self.group.close()


@pytest.fixture
async def slow(settings: Settings) -> AsyncIterator[tuple[FastAPI, HeldBack]]:
    """The service with a writer that is held back."""
    async with started(settings) as made:
        db = made.state.services.db
        held = HeldBack(SqliteCommitBackend(db) if db.kind == "sqlite" else PostgresCommitBackend(db))
        made.state.services.messages.writer = writer = AppendWriter(held, 10, db.commit_hooks)
        yield made, held
        await writer.close()


async def send(app: FastAPI, path: str, headers: dict[str, str], body: Json, gone: asyncio.Event) -> None:
    """Sends a call whose client hangs up when that is said."""
    pending = [{"type": "http.request", "body": orjson.dumps(body), "more_body": False}]

    async def receive() -> Json:
        if pending:
            return pending.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send_(_message: Any) -> None:
        """Nobody hears it."""

    given = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await app(
        {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [*given, (b"content-type", b"application/json")],
        },
        receive,
        send_,
    )


BODY: Json = {"items": [{"role": "user", "content": "x"}, {"role": "user", "content": "y"}]}


@pytest.mark.parametrize("process", ["the same", "another"])
async def test_a_retry_overtakes_its_first_attempt(
    slow: tuple[FastAPI, HeldBack], me: httpx2.AsyncClient, process: str
) -> None:
    app, held = slow
    made = ok(await me.post("/v1/conversations"))
    path = f"/v1/conversations/{made['id']}/items"
    headers, gone = dict(me.headers), asyncio.Event()
    first = asyncio.create_task(send(app, path, headers | {"x-stainless-retry-count": "0"}, BODY, gone))
    await held.begun.wait()
    gone.set()
    again = headers | AGAIN
    if process == "another":
        retried = ok(await me.post(path, json=BODY, headers=again))
        held.go_on.set()
        await first
    else:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://chatkeep.test") as same:
            retried = ok(await same.post(path, json=BODY, headers=again))
            held.go_on.set()
            await first
    listed = ok(await me.get(path, params={"order": "asc"}))
    assert listed["data"] == retried["data"]
    assert len(listed["data"]) == 2


async def test_who_waits_for_an_answer_gets_it_whatever_others_retried(
    slow: tuple[FastAPI, HeldBack], me: httpx2.AsyncClient
) -> None:
    app, held = slow
    made = ok(await me.post("/v1/conversations"))
    path = f"/v1/conversations/{made['id']}/items"
    headers = dict(me.headers)
    first = asyncio.create_task(send(app, path, headers | {"x-stainless-retry-count": "0"}, BODY, asyncio.Event()))
    await held.begun.wait()
    ok(await me.post(path, json=BODY, headers=headers | AGAIN))
    held.go_on.set()
    await first
    assert len(ok(await me.get(path))["data"]) == 4
