"""Keys: the names that clients give their chats, whatever characters are in them."""

import asyncio
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.callers import Json, by_key, ok, problem
from tests.profiles import examples

HELLO: Json = {"role": "user", "content": "Hello"}
KEYS = [
    "feishu:group:user123",
    "user_abc123",
    "a/b",
    "/",
    "a//b/messages/pop",
    "..",
    "a/../b",
    "100%",
    "%2F",
    "%00",
    "key:key:x",
    " with  spaces ",
    "question?mark#hash&amp=1;+,",
    "quote\"s'\\",
    "聊天/ключ/🔑",
    "e\u0301 is not \u00e9",
    "\u00a0\u2028\u200b\ufeff",
    "01932c07-1f3e-7000-8000-abcdef012345",
    "x" * 255,
    "🔑" * 255,
    "'; DROP TABLE chats; --",
]


@pytest.mark.any_database
@pytest.mark.parametrize("key", KEYS, ids=ascii)
async def test_a_chat_is_addressed_by_its_key(me: httpx2.AsyncClient, another: httpx2.AsyncClient, key: str) -> None:
    path = by_key(key)
    for name in (key, key + "x" if len(key) < 255 else "x", "/" + key if len(key) < 255 else "y"):
        ok(await me.post("/chats", json={"key": name}))
    assert ok(await another.put(path))["key"] == key
    chat = ok(await me.get(path))
    assert chat["key"] == key
    for seq in (1, 2):
        assert ok(await me.post(f"{path}/messages", json=HELLO)) | {"chat_id": chat["chat_id"], "seq": seq}
    assert ok(await me.get(f"{path}/messages/2"))["seq"] == 2
    assert ok(await me.patch(f"{path}/messages/2", json={"content": "x"}))["content"] == "x"
    page = await me.get(f"{path}/messages", params={"limit": 1})
    link = page.headers["Link"].removeprefix("<").removesuffix('>; rel="next"')
    assert [message["seq"] for message in ok(await me.get(link))["items"]] == [2]
    assert ok(await me.post(f"{path}/messages/pop"))["seq"] == 2
    assert ok(await me.put(path, json={"title": "T"}))["chat_id"] == chat["chat_id"]
    assert ok(await me.patch(path, json={"platform": "web"}))["chat_id"] == chat["chat_id"]
    assert (await me.delete(path)).status_code == 204
    assert ok(await me.post(f"{path}/restore"))["chat_id"] == chat["chat_id"]
    assert ok(await me.get("/chats", params={"platform": "web"}))["items"] == [ok(await me.get(path))]
    assert (await me.delete(path, params={"hard": "true"})).status_code == 204
    assert ok(await another.get(path))["message_count"] == 0


@examples(fast=10, all=80)
@given(key=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=255))
async def test_any_text_without_control_characters_is_a_key(me: httpx2.AsyncClient, key: str) -> None:
    created = ok(await me.put(by_key(key), json={"title": key}))
    assert (created["key"], created["title"]) == (key, key)
    assert ok(await me.get(by_key(key))) == created
    ok(await me.delete(by_key(key), params={"hard": "true"}))


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x00b", "a\nb", "\x7f", "\ud800", 5, ["k"]], ids=ascii)
async def test_what_cannot_be_a_key_is_refused(me: httpx2.AsyncClient, key: Any) -> None:
    chat = ok(await me.post("/chats", json={"title": "beside"}))
    path = f"/chats/{chat['chat_id']}"
    content = f'{{"key": {key!r}}}'.replace("'", '"').replace("\\x", "\\u00").encode()
    for method, to in (("POST", "/chats"), ("PATCH", path), ("PUT", path)):
        problem(await me.request(method, to, content=content, headers={"Content-Type": "application/json"}), 422)
    if isinstance(key, str) and key != "\ud800":
        for method, end, body in (("GET", "", None), ("POST", "/messages", HELLO), ("DELETE", "", None)):
            problem(await me.request(method, by_key(key) + end, json=body), 404)
        problem(await me.put(by_key(key), json={}), 422)
    assert ok(await me.get("/chats", params={"state": "all"}))["items"] == [chat]


async def test_a_key_names_one_chat_of_a_user(me: httpx2.AsyncClient, another: httpx2.AsyncClient) -> None:
    first = ok(await me.post("/chats", json={"key": "k"}))
    second = ok(await me.post("/chats", json={}))
    for answer in (
        await me.post("/chats", json={"key": "k", "conversation": [HELLO]}),
        await me.patch(f"/chats/{second['chat_id']}", json={"key": "k", "title": "changed"}),
        await me.put(f"/chats/{second['chat_id']}", json={"key": "k", "title": "changed", "conversation": [HELLO]}),
    ):
        problem(answer, 409)
    assert ok(await me.get("/chats"))["items"] == [second, first]
    assert ok(await another.post("/chats", json={"key": "k"}))["chat_id"] != first["chat_id"]
    assert ok(await me.patch(f"/chats/{first['chat_id']}", json={"key": "k"}))["key"] == "k"


async def test_a_key_is_free_while_its_chat_is_in_the_trash(me: httpx2.AsyncClient) -> None:
    old = ok(await me.post("/chats", json={"key": "k", "title": "old"}))
    ok(await me.delete("/chats/key:k"))
    new = ok(await me.put("/chats/key:k", json={"title": "new"}))
    assert new["chat_id"] != old["chat_id"]
    problem(await me.post(f"/chats/{old['chat_id']}/restore"), 409)
    problem(await me.get(f"/chats/{old['chat_id']}"), 404)
    # By the key it is the chat in use that is meant, and that one is in use already.
    assert ok(await me.post("/chats/key:k/restore")) == new
    ok(await me.patch("/chats/key:k", json={"key": None}))
    problem(await me.get("/chats/key:k"), 404)
    assert ok(await me.post("/chats/key:k/restore"))["chat_id"] == old["chat_id"]


async def test_a_key_in_the_trash_twice_means_the_chat_deleted_last(me: httpx2.AsyncClient) -> None:
    for title in ("first", "second"):
        ok(await me.put("/chats/key:k", json={"title": title}))
        ok(await me.delete("/chats/key:k"))
    assert ok(await me.post("/chats/key:k/restore"))["title"] == "second"
    ok(await me.delete("/chats/key:k", params={"hard": "true"}))
    assert ok(await me.post("/chats/key:k/restore"))["title"] == "first"


async def test_of_many_who_take_a_key_at_once_one_gets_it(me: httpx2.AsyncClient) -> None:
    others = [ok(await me.post("/chats", json={}))["chat_id"] for _ in range(6)]
    answers = await asyncio.gather(
        *(me.post("/chats", json={"key": "k"}) for _ in range(6)),
        *(me.patch(f"/chats/{chat_id}", json={"key": "k"}) for chat_id in others),
    )
    assert sorted(answer.status_code for answer in answers)[1:] == [409] * 11
    assert len([chat for chat in ok(await me.get("/chats"))["items"] if chat["key"] == "k"]) == 1


async def test_messages_to_a_key_create_its_chat_once(me: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(me.post("/chats/key:new/messages", json=HELLO) for _ in range(20)))
    assert sorted(ok(answer)["seq"] for answer in answers) == list(range(1, 21))
    assert len({answer.json()["chat_id"] for answer in answers}) == 1
    (chat,) = ok(await me.get("/chats"))["items"]
    assert (chat["key"], chat["message_count"], chat["last_seq"]) == ("new", 20, 20)
