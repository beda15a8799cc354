"""Deleting chats: to the trash and back, when they expire, and for good."""

import asyncio
from typing import Any
from unittest.mock import ANY

import httpx2
import pytest
from fastapi import FastAPI

from app.jobs import housekeeping
from app.models import Idempotency
from tests.callers import by_key, ok, problem
from tests.chats.details import ANSWER, DETAILS, HELLO, conversation
from tests.tables import stored


async def test_a_deleted_chat_is_nowhere_but_in_the_trash(me: httpx2.AsyncClient) -> None:
    chat = ok(await me.post("/chats", json={"key": "k", "conversation": [HELLO]}))
    assert (await me.delete("/chats/key:k")).status_code == 204
    for name in (chat["chat_id"], "key:k"):
        path = f"/chats/{name}"
        for method, end, body in (
            ("GET", "", None),
            ("GET", "?include=conversation", None),
            ("PATCH", "", {}),
            ("DELETE", "", None),
            ("GET", "/messages", None),
            ("GET", "/messages?last=1", None),
            ("GET", "/messages/1", None),
            ("PATCH", "/messages/1", {"content": "x"}),
            ("DELETE", "/messages/1", None),
            ("DELETE", "/messages", None),
            ("POST", "/messages/pop", None),
        ):
            problem(await me.request(method, path + end, json=body), 404)
    problem(await me.put(f"/chats/{chat['chat_id']}", json={}), 404)
    problem(await me.post(f"/chats/{chat['chat_id']}/messages", json=HELLO), 404)
    assert ok(await me.get("/chats"))["items"] == []
    for state in ("deleted", "all"):
        (item,) = ok(await me.get("/chats", params={"state": state}))["items"]
        assert item == {
            **chat,
            "is_active": False,
            "deleted_at": ANY,
            "updated_at": ANY,
            "version": chat["version"] + 1,
        }
        assert item["deleted_at"] is not None


@pytest.mark.parametrize("name", ["id", "key"])
async def test_a_restored_chat_is_as_it_was(me: httpx2.AsyncClient, name: str) -> None:
    chat = ok(await me.post("/chats", json={**DETAILS, "key": "k", "conversation": [HELLO, ANSWER]}))
    path = "/chats/key:k" if name == "key" else f"/chats/{chat['chat_id']}"
    messages = (await me.get(f"{path}/messages")).content
    ok(await me.delete(path))
    restored = await me.post(f"{path}/restore")
    assert restored.status_code == 200
    assert restored.json() == {**chat, "version": chat["version"] + 2, "updated_at": ANY}
    assert (await me.get(path)).content == restored.content
    assert (await me.get(path)).headers["ETag"] == restored.headers["ETag"]
    assert (await me.get(f"{path}/messages")).content == messages
    assert (await me.post(f"{path}/restore")).content == restored.content
    assert ok(await me.post(f"{path}/messages", json=HELLO))["seq"] == 3


async def is_expired(app: FastAPI, me: httpx2.AsyncClient, path: str) -> None:
    """Keeps house until a chat is in the trash: the service itself may be at it already, and not be through."""
    async with asyncio.timeout(20):
        while (await me.get(path)).is_success:
            await housekeeping.run_pass(app.state.services.db)


async def test_a_chat_may_expire_at_the_last_moment_there_is(app: FastAPI, me: httpx2.AsyncClient) -> None:
    last, first = "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00.000000Z"
    created = await me.put("/chats/key:k", json={"expires_at": last})
    assert created.json()["expires_at"] == last
    assert (await me.get("/chats/key:k")).content == created.content
    assert (await me.get("/chats", params={"created_before": last})).content[10:-21] == created.content
    assert ok(await me.get("/chats", params={"created_before": first}))["items"] == []
    await housekeeping.run_pass(app.state.services.db)
    ok(await me.delete("/chats/key:k"))
    assert ok(await me.post("/chats/key:k/restore"))["expires_at"] == last
    assert ok(await me.patch("/chats/key:k", json={"expires_at": first}))["expires_at"] == first
    await is_expired(app, me, "/chats/key:k")
    assert ok(await me.post("/chats/key:k/restore"))["expires_at"] is None


async def test_an_expired_chat_goes_to_the_trash_and_comes_back_for_good(app: FastAPI, me: httpx2.AsyncClient) -> None:
    past, future = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
    ok(await me.post("/chats", json={"key": "past", "expires_at": past}))
    ok(await me.post("/chats", json={"key": "future", "expires_at": future}))
    ok(await me.post("/chats", json={"key": "never"}))
    await is_expired(app, me, "/chats/key:past")
    assert {chat["key"] for chat in ok(await me.get("/chats"))["items"]} == {"future", "never"}
    assert ok(await me.post("/chats/key:past/restore"))["expires_at"] is None
    await housekeeping.run_pass(app.state.services.db)
    assert len(ok(await me.get("/chats"))["items"]) == 3


@pytest.mark.parametrize("from_trash", [False, True])
async def test_what_is_deleted_for_good_leaves_nothing(app: FastAPI, me: httpx2.AsyncClient, from_trash: bool) -> None:
    numbers = iter(range(100))

    async def post(path: str, body: Any = None) -> httpx2.Response:
        answer = await me.post(path, json=body, headers={"Idempotency-Key": f"k{next(numbers)}"})
        assert answer.is_success, answer.text
        return answer

    beside = (await post("/chats", {"key": "beside", "conversation": [HELLO]})).json()["chat_id"]
    await post("/chats/key:beside/messages", HELLO)
    path = (await post("/chats", {"key": "a/b", "title": "secret", "conversation": [HELLO]})).headers["Location"]
    for name in (path, path.upper().replace("CHATS", "chats"), by_key("a/b")):
        await post(f"{name}/messages", HELLO)
        await post(f"{name}/messages/pop")
        await post(f"{name}/restore")
    ok(await me.patch(path, json={"key": "renamed"}))
    await post("/chats/key:renamed/messages", HELLO)
    if from_trash:
        ok(await me.delete(path))
    assert (await me.delete(path, params={"hard": "true"})).status_code == 204

    for method, end in (("GET", ""), ("POST", "/restore"), ("DELETE", "?hard=true"), ("DELETE", "")):
        problem(await me.request(method, path + end), 404)
    assert [chat["key"] for chat in ok(await me.get("/chats", params={"state": "all"}))["items"]] == ["beside"]
    tables = await stored(app, me.headers["X-User-Id"])
    assert {row[1] for row in tables["messages"]} == {beside}
    chat_id = list(Idempotency.model_fields).index("chat_id")
    assert [row[chat_id] for row in tables["idempotency"]] == [beside, beside]
    assert await conversation(me, "/chats/key:beside") == [(1, "Hello"), (2, "Hello")]
