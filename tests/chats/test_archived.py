"""Archived chats: they are left out of the list, and all else works with them as with others."""

from datetime import UTC, datetime
from unittest.mock import ANY

import httpx2
import pytest
from fastapi import FastAPI

from app.jobs import housekeeping
from tests.callers import Json, every_item, ok, problem
from tests.chats.details import HELLO, conversation


async def keys(client: httpx2.AsyncClient, **query: str) -> set[str]:
    """The keys of a list's chats."""
    return {chat["key"] for chat in await every_item(client, "/chats", **query)}


async def archived(client: httpx2.AsyncClient, key: str = "k", **more: object) -> Json:
    """A new chat that is archived."""
    chat: Json = ok(await client.post("/chats", json={"key": key, "is_archived": True, **more}))
    return chat


async def test_a_chat_is_archived_and_comes_back(me: httpx2.AsyncClient) -> None:
    chat = ok(await me.post("/chats", json={"key": "k", "conversation": [HELLO]}))
    assert (chat["is_archived"], chat["archived_at"]) == (False, None)
    answer = await me.patch("/chats/key:k", json={"is_archived": True})
    put_away = ok(answer)
    later = {"version": chat["version"] + 1, "updated_at": ANY}
    # It is no activity: `last_activity_at` stays.
    assert put_away == {**chat, **later, "is_archived": True, "archived_at": ANY}
    assert put_away["updated_at"] > chat["updated_at"]
    age = datetime.now(UTC) - datetime.fromisoformat(put_away["archived_at"])
    assert abs(age.total_seconds()) < 60
    assert put_away["archived_at"].endswith("Z")
    assert (await me.get("/chats/key:k")).content == answer.content
    assert ok(await me.get("/chats", params={"state": "archived"}))["items"] == [put_away]
    for value in (False, None):
        ok(await me.patch("/chats/key:k", json={"is_archived": True}))
        back = ok(await me.patch("/chats/key:k", json={"is_archived": value}))
        assert (back["is_archived"], back["archived_at"]) == (False, None)


async def test_since_when_stays_while_it_is_archived(me: httpx2.AsyncClient) -> None:
    chat = await archived(me)
    assert (chat["version"], chat["is_archived"]) == (1, True)
    patched = ok(await me.patch("/chats/key:k", json={"is_archived": True, "title": "x"}))
    put = ok(await me.put("/chats/key:k", json={"is_archived": True, "title": "y"}))
    other = ok(await me.patch("/chats/key:k", json={"title": "z"}))
    assert {one["archived_at"] for one in (chat, patched, put, other)} == {chat["archived_at"]}
    # Of a chat that is replaced, nothing stays that is not given.
    assert ok(await me.put("/chats/key:k", json={"title": "x"}))["archived_at"] is None
    new = await me.put("/chats/key:new", json={"is_archived": True})
    assert (new.status_code, new.json()["is_archived"]) == (201, True)


async def test_each_state_lists_its_own(me: httpx2.AsyncClient) -> None:
    for key in ("active", "trash"):
        ok(await me.post("/chats", json={"key": key}))
    for key in ("archived", "archived trash"):
        await archived(me, key)
    for key in ("trash", "archived trash"):
        ok(await me.delete(f"/chats/key:{key}"))
    assert await keys(me) == await keys(me, state="active") == {"active"}
    assert await keys(me, state="archived") == {"archived"}
    assert await keys(me, state="deleted") == {"trash", "archived trash"}
    assert await keys(me, state="all") == {"active", "archived", "trash", "archived trash"}


async def test_all_else_works_with_an_archived_chat(me: httpx2.AsyncClient) -> None:
    chat = await archived(me, conversation=[HELLO])
    problem(await me.post("/chats", json={"key": "k"}), 409)
    assert ok(await me.put("/chats/key:k"))["chat_id"] == chat["chat_id"]
    assert ok(await me.post("/chats/key:k/messages", json={"role": "user", "content": "boiled"}))["seq"] == 2
    assert await conversation(me, "/chats/key:k") == [(1, "Hello"), (2, "boiled")]
    read = ok(await me.get("/chats/key:k", params={"include": "conversation"}))
    assert (read["archived_at"], len(read["conversation"])) == (chat["archived_at"], 2)
    assert read["last_activity_at"] > chat["last_activity_at"]
    found = ok(await me.get("/search", params={"q": "boiled"}))["items"]
    assert [one["chat_id"] for one in found] == [chat["chat_id"]]
    fork = ok(await me.post("/chats/key:k/fork", json={}))
    assert (fork["is_archived"], fork["archived_at"], fork["message_count"]) == (False, None, 2)
    assert ok(await me.post("/chats/key:k/fork", json={"is_archived": True}))["is_archived"]


async def test_it_goes_to_the_trash_and_comes_back_archived(me: httpx2.AsyncClient) -> None:
    chat = await archived(me)
    ok(await me.delete("/chats/key:k"))
    (item,) = ok(await me.get("/chats", params={"state": "deleted"}))["items"]
    assert (item["is_active"], item["archived_at"]) == (False, chat["archived_at"])
    restored = ok(await me.post("/chats/key:k/restore"))
    assert (restored["is_archived"], restored["archived_at"]) == (True, chat["archived_at"])
    assert await keys(me) == set()


async def test_it_expires_as_any_other(app: FastAPI, me: httpx2.AsyncClient) -> None:
    await archived(me, expires_at="2020-01-01T00:00:00Z")
    for _ in range(100):
        await housekeeping.run_pass(app.state.services.db)
        if await keys(me, state="deleted"):
            break
    assert await keys(me, state="deleted") == {"k"}


async def test_it_is_a_change(me: httpx2.AsyncClient) -> None:
    ok(await me.post("/chats", json={"key": "k"}))
    since = ok(await me.get("/changes", params={"since": "now"}))["cursor"]
    ok(await me.patch("/chats/key:k", json={"is_archived": True}))
    (item,) = ok(await me.get("/changes", params={"since": since}))["items"]
    assert (item["type"], item["chat"]["is_archived"]) == ("chat.updated", True)


@pytest.mark.parametrize("wrong", [{"is_archived": "true"}, {"is_archived": 1}, {"archived_at": None}], ids=str)
async def test_when_is_not_the_clients_to_say(me: httpx2.AsyncClient, wrong: Json) -> None:
    ok(await me.post("/chats", json={"key": "k"}))
    for method, path in (("POST", "/chats"), ("PATCH", "/chats/key:k"), ("PUT", "/chats/key:k")):
        problem(await me.request(method, path, json=wrong), 422)
    assert ok(await me.get("/chats/key:k"))["version"] == 1
