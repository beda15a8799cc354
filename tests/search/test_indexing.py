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
from app.events.log import Entry
from app.events.pruning import prune
from app.models import Bucket, Document, Indexing
from app.search import bucket_allocation, indexer
from app.search.bucket_allocation import Filled, enough_numbers, fill
from app.search.index_plan import Draft, Progress, Span, Standing, gather
from app.search.indexer import Index
from app.search.tokenizer import TOKENIZER
from app.settings import Settings
from tests.callers import Json, acting, every_item, ok, problem, started
from tests.servers.service import StartService

USER = "ann"


def standing(position: int) -> Standing:
    return Standing(USER, 100, 0, Progress(position, 1))


ROWS: list[tuple[int, list[Entry]]] = [
    (3, [["chat.created", "c"], ["appended", "c", 1, 2]]),
    (8, [["appended", "c", 3, 4], ["edited", "c", 2, "id"]]),
    (11, [["deleted", "c", 1, "id"], ["head", "c", 6, "id"], ["chat.updated", "c"]]),
    (13, [["cleared", "c", 6], ["chat.erased", "d"]]),
]


def test_a_feed_says_what_is_to_be_indexed() -> None:
    step = gather(standing(0), ROWS, 100)
    assert step.added == [Span(USER, "c", 0, 0), Span(USER, "c", 1, 2), Span(USER, "c", 3, 6)]
    assert step.renewed == [
        Span(USER, "c", 2, 2),
        Span(USER, "c", 1, 1),
        Span(USER, "c", 0, 0),
        Span(USER, "c", 0, 0),
    ]
    assert step.forgotten == [Span(USER, "c", 1, 6), Span(USER, "d", 0, 2**31 - 1)]
    assert step.after.position == 13


@pytest.mark.parametrize("room", range(1, 14))
def test_a_step_ends_anywhere_and_the_next_goes_on_there(room: int) -> None:
    seqs: list[int] = []
    at = standing(0)
    while True:
        rows = [row for row in ROWS if row[0] > at.progress.position] if at.progress else []
        step = gather(at, rows, room)
        if not rows:
            break
        assert 0 < step.after.position - step.before.position <= room if step.before else False
        seqs += [seq for span in step.added for seq in range(span.first, span.last + 1)]
        at = at._replace(progress=step.after)
    assert seqs == [*range(7)]
    assert at.progress is not None
    assert at.progress.position == 13


def test_buckets_are_filled_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_allocation, "BUCKET_SIZE", 4)
    drafts = [Draft(USER, "c", seq, "user", f"{9 - seq}", " a ") for seq in range(1, 8)]
    drafts.append(Draft(USER, "c", 8, "user", "0", " a " * 2000))
    drafts[3].doc, drafts[3].bucket = 50, 40
    numbers = iter(range(100, 100 + enough_numbers(drafts)))
    last = {USER: Filled(USER, 90, 2, "5", "6")}
    changed = fill(drafts, last, lambda: next(numbers))
    assert [draft.bucket for draft in drafts] == [90, 90, 102, 40, 102, 102, 102, 107]
    assert (drafts[3].doc, len({draft.doc for draft in drafts})) == (50, 8)
    assert changed == [Filled(USER, 90, 4, "5", "8"), Filled(USER, 102, 4, "2", "6"), Filled(USER, 107, 7, "0", "0")]


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
    monkeypatch.setattr(app.state.services.search, "_room", 4)
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
    monkeypatch.setattr(app.state.services.search, "_room", 3)
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
        assert (row.tokenizer, row.rebuilt_chat, row.rebuilt_seq) == (TOKENIZER, None, None)


async def test_a_search_that_would_wait_long_is_answered_503(
    app: FastAPI, me: httpx2.AsyncClient, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "SEARCH_WAITS_SECONDS", 0.0)
    monkeypatch.setattr(app.state.services.search, "_room", 2)
    await write(me, 60)
    await is_indexed(app, user, 60)
    await forget_all(app, user)
    answer = await me.get("/search", params={"q": "egg"})
    assert int(answer.headers["Retry-After"]) > 0
    problem(answer, 503)
    # It goes on meanwhile.
    await is_indexed(app, user, 60)
    monkeypatch.setattr(indexer, "SEARCH_WAITS_SECONDS", 5.0)
    assert len(await seqs(me, "egg")) == 60


async def test_two_processes_index_the_same_users(app: FastAPI, me: httpx2.AsyncClient, user: str) -> None:
    await write(me, 300, title="eggs")
    indexes = [Index(app.state.services.db) for _ in range(4)]
    for number in range(5):
        await asyncio.gather(*(index.digest([user]) for index in indexes))
        assert await documents(app, user) == 301 + number
        if number % 2:
            await forget_all(app, user)
        chat_id = ok(await me.get("/chats"))["items"][0]["chat_id"]
        ok(await me.post(f"/chats/{chat_id}/messages", json={"role": "user", "content": "egg"}))
    assert len(await seqs(me, "egg")) == 305
    for index in indexes:
        await index.close()


async def test_searches_at_once_wait_for_one_catching_up(app: FastAPI, me: httpx2.AsyncClient, user: str) -> None:
    chat_id = await write(me, 1)

    async def pair(number: int) -> None:
        ok(await me.post(f"/chats/{chat_id}/messages", json={"role": "user", "content": f"word{number}"}))
        assert len(await seqs(me, f"word{number}")) == 1

    await asyncio.gather(*map(pair, range(40)))
    assert app.state.services.search._catching_up == app.state.services.search._next == {}


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


async def test_pairs_of_append_and_search_through_four_processes(service: StartService) -> None:
    running = service(workers=4)
    async with (
        httpx2.AsyncClient(base_url=running.base_url, headers=running.headers("ann"), trust_env=False) as first,
        httpx2.AsyncClient(base_url=running.base_url, headers=running.headers("ann"), trust_env=False) as second,
    ):
        chat_id = ok(await first.post("/chats", json={}))["chat_id"]
        for number in range(50):
            # Connections of their own, so that other processes answer.
            writer, reader = (first, second) if number % 2 else (second, first)
            message = {"role": "user", "content": f"number {number}x"}
            ok(await writer.post(f"/chats/{chat_id}/messages", json=message, headers={"Connection": "close"}))
            found = ok(await reader.get("/search", params={"q": f"{number}x"}, headers={"Connection": "close"}))
            assert [hit["seq"] for hit in found["items"]] == [number + 1]
