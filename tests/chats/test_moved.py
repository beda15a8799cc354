"""Moved chats: appends leave the list's index alone, and the list is right all the same, told or not."""

import asyncio
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlmodel import col

from app.chats.moved import CHATS_PER_BATCH, settle_moved_chats
from app.db.timestamps import now
from app.jobs import housekeeping
from app.models import Chat, MovedChat
from tests.callers import every_item, ok

HELLO = {"role": "user", "content": "Hello"}


@pytest.fixture(autouse=True)
def _no_housekeeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chats are settled when a test says so."""
    monkeypatch.setattr(housekeeping, "IDLE_SECONDS", 3600)


async def _moved(app: FastAPI, me: httpx2.AsyncClient) -> set[str]:
    """The user's chats that are in `moved_chats`, which are those that are listed elsewhere."""
    chats = await every_item(me, "/chats", state="all")
    if not chats:
        return set()
    user_id = chats[0]["user_id"]
    async with app.state.services.db.snapshot() as session:
        moved = set(await session.scalars(select(col(MovedChat.chat_id)).where(col(MovedChat.user_id) == user_id)))
        elsewhere = select(col(Chat.chat_id)).where(
            col(Chat.user_id) == user_id, col(Chat.listed_at) != col(Chat.last_activity_at)
        )
        assert moved == set(await session.scalars(elsewhere))
    return moved


async def _listed(me: httpx2.AsyncClient) -> list[str]:
    return [chat["key"] for chat in await every_item(me, "/chats", limit=2)]


async def test_an_append_moves_a_chat_to_the_top(app: FastAPI, me: httpx2.AsyncClient) -> None:
    for key in ("a", "b", "c"):
        ok(await me.put(f"/chats/key:{key}", json={}))
    assert await _listed(me) == ["c", "b", "a"]
    for key in ("a", "b", "a"):
        ok(await me.post(f"/chats/key:{key}/messages", json=HELLO))
    assert await _listed(me) == ["a", "b", "c"]
    assert len(await _moved(app, me)) == 2
    await settle_moved_chats(app.state.services.db, now() - timedelta(minutes=1))
    assert len(await _moved(app, me)) == 2
    await settle_moved_chats(app.state.services.db, now() + timedelta(minutes=1))
    assert await _moved(app, me) == set()
    assert await _listed(me) == ["a", "b", "c"]
    # An edit tells the index itself, unless the chat waits for that already.
    ok(await me.patch("/chats/key:b/messages/1", json={"content": "Bye"}))
    assert (await _moved(app, me), await _listed(me)) == (set(), ["b", "a", "c"])
    ok(await me.post("/chats/key:c/messages", json=HELLO))
    ok(await me.patch("/chats/key:c/messages/1", json={"content": "Bye"}))
    assert (len(await _moved(app, me)), await _listed(me)) == (1, ["c", "b", "a"])


async def test_a_chat_that_moved_goes_with_all_that_belongs_to_it(app: FastAPI, me: httpx2.AsyncClient) -> None:
    ok(await me.put("/chats/key:stays", json={}))
    ok(await me.put("/chats/key:goes", json={}))
    ok(await me.post("/chats/key:goes/messages", json=HELLO))
    assert (await me.delete("/chats/key:goes")).status_code == 204
    assert [chat["key"] for chat in await every_item(me, "/chats", state="deleted")] == ["goes"]
    assert [chat["key"] for chat in await every_item(me, "/chats", state="all")] == ["goes", "stays"]
    ok(await me.post("/chats/key:goes/restore"))
    assert (await me.delete("/chats/key:goes?hard=true")).status_code == 204
    assert await _moved(app, me) == set()


async def test_settling_leaves_out_who_is_written_to(app: FastAPI, me: httpx2.AsyncClient) -> None:
    """Appends to many chats, and two processes that settle them at the same time."""
    db = app.state.services.db
    keys = [str(number) for number in range(CHATS_PER_BATCH + 20)]
    ended = asyncio.Event()

    async def settle() -> None:
        while not ended.is_set():
            await settle_moved_chats(db, now())

    async def write(mine: list[str]) -> None:
        for key in mine * 2:
            ok(await me.post(f"/chats/key:{key}/messages", json=HELLO))

    settling = [asyncio.create_task(settle()) for _ in range(2)]
    try:
        await asyncio.gather(*(write(keys[start::8]) for start in range(8)))
        last = [chat["chat_id"] for chat in await every_item(me, "/chats")]
        await _moved(app, me)
    finally:
        ended.set()
        await asyncio.gather(*settling)
    await settle_moved_chats(db, now() + timedelta(minutes=1))
    assert [chat["chat_id"] for chat in await every_item(me, "/chats")] == last
    assert await _moved(app, me) == set()
