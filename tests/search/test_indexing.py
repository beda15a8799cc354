"""The index: what of a feed is taken, that nothing written is ever missed, and that it can be made anew."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, func, select, update
from sqlmodel import col

from app.db.timestamps import now
from app.events.events import (
    ChatCreated,
    ChatErased,
    ChatUpdated,
    Event,
    HeadMoved,
    MessageDeleted,
    MessageEdited,
    MessagesAppended,
    MessagesCleared,
)
from app.events.pruning import prune
from app.models import Bucket, Document, Indexing
from app.search import bucket_allocation
from app.search import indexer as search_indexer
from app.search.bucket_allocation import BucketRow, allocate_buckets, max_numbers_needed
from app.search.index_plan import IndexState, MessageRange, NewDocument, Progress, plan_changes
from app.search.indexer import SearchIndexer
from app.search.tokenizer import TOKENIZER_VERSION
from app.settings import Settings
from tests.callers import Json, acting, every_item, ok, problem, started
from tests.profiles import count
from tests.servers.service import StartService

USER = "ann"


def index_state(position: int) -> IndexState:
    return IndexState(USER, 100, 0, Progress(position, 1))


ROWS: list[tuple[int, list[Event]]] = [
    (3, [ChatCreated("c"), MessagesAppended("c", 1, 2)]),
    (8, [MessagesAppended("c", 3, 4), MessageEdited("c", 2, "id")]),
    (11, [MessageDeleted("c", 1, "id"), HeadMoved("c", 6, "id"), ChatUpdated("c")]),
    (13, [MessagesCleared("c", 6), ChatErased("d")]),
]


def test_a_feed_says_what_is_to_be_indexed() -> None:
    plan = plan_changes(index_state(0), ROWS, 100)
    assert plan.added == [MessageRange(USER, "c", 0, 0), MessageRange(USER, "c", 1, 2), MessageRange(USER, "c", 3, 6)]
    assert plan.reindexed == [
        MessageRange(USER, "c", 2, 2),
        MessageRange(USER, "c", 1, 1),
        MessageRange(USER, "c", 0, 0),
        MessageRange(USER, "c", 0, 0),
    ]
    assert plan.removed == [MessageRange(USER, "c", 1, 6), MessageRange(USER, "d", 0, 2**31 - 1)]
    assert plan.after.position == 13


@pytest.mark.parametrize("max_messages", range(1, 14))
def test_a_step_ends_anywhere_and_the_next_goes_on_there(max_messages: int) -> None:
    seqs: list[int] = []
    state = index_state(0)
    while True:
        rows = [row for row in ROWS if row[0] > state.progress.position] if state.progress else []
        plan = plan_changes(state, rows, max_messages)
        if not rows:
            break
        assert 0 < plan.after.position - plan.before.position <= max_messages if plan.before else False
        seqs += [seq for messages in plan.added for seq in range(messages.first, messages.last + 1)]
        state = state._replace(progress=plan.after)
    assert seqs == [*range(7)]
    assert state.progress is not None
    assert state.progress.position == 13


def test_buckets_are_filled_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_allocation, "BUCKET_SIZE", 4)
    new_documents = [NewDocument(USER, "c", seq, "user", f"{9 - seq}", " a ") for seq in range(1, 8)]
    new_documents.append(NewDocument(USER, "c", 8, "user", "0", " a " * 2000))
    new_documents[3].doc, new_documents[3].bucket = 50, 40
    numbers = iter(range(100, 100 + max_numbers_needed(new_documents)))
    last_buckets = {USER: BucketRow(USER, 90, 2, "5", "6")}
    changed = allocate_buckets(new_documents, last_buckets, lambda: next(numbers))
    assert [document.bucket for document in new_documents] == [90, 90, 102, 40, 102, 102, 102, 107]
    assert (new_documents[3].doc, len({document.doc for document in new_documents})) == (50, 8)
    rows = ((90, 4, "5", "8"), (102, 4, "2", "6"), (107, 7, "0", "0"))
    assert changed == [BucketRow(USER, *row) for row in rows]


@pytest.fixture
def user(make_user: Callable[[], str]) -> str:
    return make_user()


@pytest.fixture
async def me(app: FastAPI, admin: dict[str, str], user: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose user's id is known."""
    async with acting(app, admin | {"X-User-Id": user}) as client:
        yield client


async def seqs(client: httpx2.AsyncClient, q: str) -> list[int]:
    return sorted(hit.get("seq", 0) for hit in await every_item(client, "/search", q=q))


async def write(client: httpx2.AsyncClient, count: int, **details: Any) -> str:
    messages = [{"role": "user", "content": f"egg {number}"} for number in range(1, count + 1)]
    made = ok(await client.post("/chats", json={"conversation": messages, **details}))
    return str(made["chat_id"])


async def documents(app: FastAPI, user: str) -> int:
    async with app.state.services.db.read() as session:
        rows = await session.execute(select(func.count()).where(col(Document.user_id) == user))
        return int(rows.scalar_one())


async def forget_all(app: FastAPI, user: str) -> None:
    """As if the user was never indexed."""
    async with app.state.services.db.write() as session:
        for table in (Document, Bucket, Indexing):
            await session.execute(delete(table).where(col(table.user_id) == user))


async def is_indexed(app: FastAPI, user: str, count: int) -> None:
    async with asyncio.timeout(10):
        while await documents(app, user) != count:
            await asyncio.sleep(0.05)


async def test_what_is_written_is_indexed_behind_it(app: FastAPI, me: httpx2.AsyncClient, user: str) -> None:
    await write(me, 5, title="eggs")
    await is_indexed(app, user, 6)


async def test_whoever_was_never_indexed_is_indexed_anew(
    app: FastAPI, me: httpx2.AsyncClient, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.state.services.search, "_max_messages", 4)
    first, second = await write(me, 5, title="eggs"), await write(me, 6)
    await is_indexed(app, user, 12)
    await forget_all(app, user)
    assert await seqs(me, "egg*") == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]
    ok(await me.delete(f"/chats/{second}/messages/6"))
    ok(await me.patch(f"/chats/{first}/messages/1", json={"content": "spoon"}))
    await forget_all(app, user)
    assert await seqs(me, "egg OR spoon") == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("how", ["another tokenizer", "a feed that does not reach back", "half done"])
async def test_an_index_that_is_of_no_use_is_made_anew(
    app: FastAPI, me: httpx2.AsyncClient, user: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.state.services.search, "_max_messages", 3)
    chat_id = await write(me, 8, title="eggs")
    assert await seqs(me, "egg*") == [*range(9)]
    async with app.state.services.db.write() as session:
        everything = update(Document).where(col(Document.user_id) == user)
        if how == "another tokenizer":
            # On SQLite the index is told by a trigger of what is deleted, not of this.
            await session.execute(delete(Document).where(col(Document.user_id) == user, col(Document.seq) == 3))
            changes: Json = {"tokenizer": 0}
        elif how == "half done":
            await session.execute(delete(Document).where(col(Document.user_id) == user, col(Document.seq) > 4))
            changes = {"rebuilt_chat": chat_id, "rebuilt_seq": 4}
        else:
            await session.execute(everything.where(col(Document.seq) == 0).values(role="user"))
            changes = {"position": 1}
        await session.execute(update(Indexing).where(col(Indexing.user_id) == user).values(**changes))
    if how == "a feed that does not reach back":
        # Only what the counters have is pruned.
        ok(await me.get("/stats"))
        await prune(app.state.services.db, now())
    ok(await me.post(f"/chats/{chat_id}/messages", json={"role": "user", "content": "egg"}))
    assert await seqs(me, "egg*") == [*range(10)]
    assert await documents(app, user) == 10
    async with app.state.services.db.read() as session:
        row = (await session.execute(select(Indexing).where(col(Indexing.user_id) == user))).scalar_one()
        assert (row.tokenizer, row.rebuilt_chat, row.rebuilt_seq) == (TOKENIZER_VERSION, None, None)


async def test_a_search_that_would_wait_long_is_answered_503(
    app: FastAPI, me: httpx2.AsyncClient, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_indexer, "SEARCH_WAITS_SECONDS", 0.0)
    monkeypatch.setattr(app.state.services.search, "_max_messages", 2)
    await write(me, 60)
    await is_indexed(app, user, 60)
    await forget_all(app, user)
    answer = await me.get("/search", params={"q": "egg"})
    assert int(answer.headers["Retry-After"]) > 0
    problem(answer, 503)
    # It goes on meanwhile.
    await is_indexed(app, user, 60)
    monkeypatch.setattr(search_indexer, "SEARCH_WAITS_SECONDS", 5.0)
    assert len(await seqs(me, "egg")) == 60


async def test_two_processes_index_the_same_users(app: FastAPI, me: httpx2.AsyncClient, user: str) -> None:
    await write(me, 300, title="eggs")
    indexers = [SearchIndexer(app.state.services.db) for _ in range(4)]
    for number in range(5):
        await asyncio.gather(*(indexer.index_users([user]) for indexer in indexers))
        assert await documents(app, user) == 301 + number
        if number % 2:
            await forget_all(app, user)
        chat_id = ok(await me.get("/chats"))["items"][0]["chat_id"]
        ok(await me.post(f"/chats/{chat_id}/messages", json={"role": "user", "content": "egg"}))
    assert len(await seqs(me, "egg")) == 305
    for indexer in indexers:
        await indexer.close()


async def test_searches_at_once_wait_for_one_running(app: FastAPI, me: httpx2.AsyncClient, user: str) -> None:
    chat_id = await write(me, 1)

    async def pair(number: int) -> None:
        ok(await me.post(f"/chats/{chat_id}/messages", json={"role": "user", "content": f"word{number}"}))
        assert len(await seqs(me, f"word{number}")) == 1

    await asyncio.gather(*map(pair, range(40)))
    assert app.state.services.search._running == app.state.services.search._next == {}


async def test_what_a_user_never_wrote_is_not_indexed(
    app: FastAPI, admin: dict[str, str], make_user: Callable[[], str]
) -> None:
    nobody = make_user()
    async with acting(app, admin | {"X-User-Id": nobody}) as client:
        assert await seqs(client, "egg") == []
    async with app.state.services.db.read() as session:
        rows = await session.execute(select(Indexing).where(col(Indexing.user_id) == nobody))
        assert rows.all() == []


async def test_what_was_written_before_the_start_is_indexed_after_it(settings: Settings, admin: dict[str, str]) -> None:
    headers = admin | {"X-User-Id": "before"}
    async with started(settings.model_copy(update={"search": False})) as app, acting(app, headers) as client:
        await write(client, 3)
    async with started(settings) as app:
        await is_indexed(app, "before", 3)


async def test_long_texts(me: httpx2.AsyncClient) -> None:
    texts = ["soft " * 20_000 + "egg", "ABC " * 300_000 + "end", "漢字" * 40_000]
    chat_id = ok(await me.post("/chats", json={}))["chat_id"]
    for text in texts:
        ok(await me.post(f"/chats/{chat_id}/messages", json={"role": "user", "content": text}))
    assert await seqs(me, "soft egg") == [1]
    assert await seqs(me, "abc") == [2]
    assert await seqs(me, "字漢") == [3]
    # It stands after the first 200,000 bytes of words.
    assert await seqs(me, "end") == []


@pytest.mark.more_with_all
async def test_pairs_of_append_and_search_through_several_processes(service: StartService) -> None:
    running = service(workers=count(fast=2, all=4))
    async with (
        httpx2.AsyncClient(base_url=running.base_url, headers=running.headers("ann"), trust_env=False) as first,
        httpx2.AsyncClient(base_url=running.base_url, headers=running.headers("ann"), trust_env=False) as second,
    ):
        chat_id = ok(await first.post("/chats", json={}))["chat_id"]
        for number in range(count(fast=25, all=50)):
            # Connections of their own, so that other processes answer.
            writer, reader = (first, second) if number % 2 else (second, first)
            message = {"role": "user", "content": f"number {number}x"}
            ok(await writer.post(f"/chats/{chat_id}/messages", json=message, headers={"Connection": "close"}))
            found = ok(await reader.get("/search", params={"q": f"{number}x"}, headers={"Connection": "close"}))
            assert [hit["seq"] for hit in found["items"]] == [number + 1]
