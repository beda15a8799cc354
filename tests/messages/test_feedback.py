"""Each caller says what they think of a message: the last word of each counts, and the message stays as it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from unittest.mock import ANY

import httpx2
import pytest
from fastapi import FastAPI

from tests.callers import Json, acting, every_item, ok, problem
from tests.tables import stored

HELLO: Json = {"role": "user", "content": "Hello"}
GOOD: Json = {"rating": 1}


@pytest.fixture
async def at(me: httpx2.AsyncClient) -> str:
    """The path of the feedback on a message of mine."""
    path = (await me.post("/chats", json={"conversation": [HELLO, HELLO]})).headers["Location"]
    return f"{path}/messages/1/feedback"


@pytest.fixture
async def callers(app: FastAPI, me: httpx2.AsyncClient) -> AsyncIterator[dict[str, httpx2.AsyncClient]]:
    """Five callers that act for the same user with keys of their own, by what they are called."""
    async with AsyncExitStack() as stack:
        found = {}
        for n in range(5):
            asked = {"name": f"k{n}", "user_id": me.headers["X-User-Id"], "scopes": ["chats:read", "chats:write"]}
            key = ok(await me.post("/admin/api-keys", json=asked))
            client = acting(app, {"Authorization": f"Bearer {key['key']}"})
            found[f"key:{key['key_id']}"] = await stack.enter_async_context(client)
        yield found


async def test_what_a_caller_thinks_is_kept(me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, at: str) -> None:
    assert (await me.get(at)).content == b'{"items":[],"next_cursor":null}'
    given = {"rating": -1, "reason": "wrong", "text": "Ten minutes\nis too long. 🥚"}
    answer = await me.put(at, json=given)
    said = answer.json()
    assert answer.status_code == 200
    assert said == {"caller": "admin-key", **given, "created_at": said["updated_at"], "updated_at": ANY}
    page = await me_too.get(at)
    assert page.content == b'{"items":[%b],"next_cursor":null}' % answer.content
    name = ok(await me.get(at.removesuffix("/feedback")))["message_id"]
    assert ok(await me.get(at.replace("/1/", f"/{name.upper()}/")))["items"] == [said]
    assert ok(await me.get(at.replace("/1/", "/2/")))["items"] == []


async def test_the_last_word_counts(me: httpx2.AsyncClient, at: str) -> None:
    first = ok(await me.put(at, json={"rating": -1, "reason": "wrong", "text": "x"}))
    last = ok(await me.put(at, json=GOOD))
    assert last == {**first, "rating": 1, "reason": None, "text": None, "updated_at": last["updated_at"]}
    assert last["updated_at"] > first["updated_at"]
    assert ok(await me.get(at))["items"] == [last]


async def test_each_caller_has_their_own(
    callers: dict[str, httpx2.AsyncClient], me: httpx2.AsyncClient, at: str
) -> None:
    said = {}
    for n, (name, client) in enumerate(callers.items()):
        said[name] = ok(await client.put(at, json={"rating": (-1) ** n, "reason": str(n)}))
        assert said[name]["caller"] == name
    expected = [said[name] for name in sorted(said)]
    assert ok(await me.get(at))["items"] == expected
    for limit in (1, 2, 4, 5):
        assert await every_item(me, at, limit=limit) == expected
    first = await me.get(at, params={"limit": 2})
    assert first.headers["Link"] == f'<{at}?limit=2&cursor={ok(first)["next_cursor"]}>; rel="next"'
    gone, *others = expected
    assert (await callers[gone["caller"]].delete(at)).status_code == 204
    assert ok(await me.get(at))["items"] == others
    # There is nothing of one's own to take back.
    for client in (callers[gone["caller"]], me):
        assert (await client.delete(at)).status_code == 204
    assert ok(await me.get(at))["items"] == others


async def test_many_at_once(callers: dict[str, httpx2.AsyncClient], me: httpx2.AsyncClient, at: str) -> None:
    answers = await asyncio.gather(
        *(client.put(at, json={"rating": 1, "text": str(n)}) for n in range(5) for client in callers.values())
    )
    said = [ok(answer) for answer in answers]
    items = ok(await me.get(at))["items"]
    assert [item["caller"] for item in items] == sorted(callers)
    assert all(item in said for item in items)


async def test_it_is_no_change_of_the_chat_or_the_message(app: FastAPI, me: httpx2.AsyncClient, at: str) -> None:
    user = me.headers["X-User-Id"]
    before = await stored(app, user)
    for body in (GOOD, {"rating": -1}):
        ok(await me.put(at, json=body))
        after = await stored(app, user)
        assert {name for name in before if after[name] != before[name]} == {"feedback"}
    ok(await me.delete(at))
    assert await stored(app, user) == before


async def test_an_edit_leaves_it_and_so_does_a_turn(me: httpx2.AsyncClient, at: str) -> None:
    said = ok(await me.put(at, json=GOOD))
    ok(await me.patch(at.removesuffix("/feedback"), json={"content": "New"}))
    ok(await me.post(f"{at.partition('/messages')[0]}/turn"))
    assert ok(await me.get(at))["items"] == [said]
    ok(await me.put(at, json=GOOD))
    ok(await me.delete(at))


async def test_a_message_in_progress_takes_it(me: httpx2.AsyncClient, at: str) -> None:
    path = at.partition("/1/")[0]
    seq = ok(await me.post(path, json={"role": "assistant", "status": "in_progress"}))["seq"]
    ok(await me.put(f"{path}/{seq}/feedback", json=GOOD))


WRONG: list[Any] = [
    {},
    [],
    "x",
    1,
    {"rating": 0},
    {"rating": 2},
    {"rating": True},
    {"rating": 1.0},
    {"rating": "1"},
    {"rating": None},
    {"rating": [1]},
    {"reason": "x"},
    {**GOOD, "reason": 5},
    {**GOOD, "reason": "x" * 513},
    {**GOOD, "text": "x" * 8193},
    {**GOOD, "text": ["x"]},
    {**GOOD, "text": "a\0b"},
    {**GOOD, "caller": "user:x"},
    {**GOOD, "user_id": "x"},
    {**GOOD, "created_at": "2026-01-31T12:00:00Z"},
]


@pytest.mark.any_database
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: ascii(wrong)[:40])
async def test_a_wrong_body_stores_nothing(app: FastAPI, me: httpx2.AsyncClient, at: str, wrong: Any) -> None:
    for before in (False, True):
        if before:
            ok(await me.put(at, json=GOOD))
        tables = await stored(app, me.headers["X-User-Id"])
        problem(await me.put(at, json=wrong), 422)
        assert await stored(app, me.headers["X-User-Id"]) == tables


@pytest.mark.parametrize("text", ["", "x" * 512, "🥚" * 512, "'; --", '\x01"\\%', "null"], ids=ascii)
async def test_texts_come_back_as_they_went_in(me: httpx2.AsyncClient, at: str, text: str) -> None:
    given = {"rating": -1, "reason": text, "text": text * 16}
    said = ok(await me.put(at, json=given))
    assert {name: said[name] for name in given} == given
    assert ok(await me.get(at))["items"] == [said]


async def test_who_may_read_may_not_rate(app: FastAPI, me: httpx2.AsyncClient, at: str) -> None:
    asked = {"name": "reader", "user_id": me.headers["X-User-Id"], "scopes": ["chats:read"]}
    key = ok(await me.post("/admin/api-keys", json=asked))["key"]
    async with acting(app, {"Authorization": f"Bearer {key}"}) as reader:
        ok(await reader.get(at))
        problem(await reader.put(at, json=GOOD), 403)
        problem(await reader.delete(at), 403)


async def test_the_trash_shows_none(me: httpx2.AsyncClient, at: str) -> None:
    said = ok(await me.put(at, json=GOOD))
    path = at.partition("/messages")[0]
    ok(await me.delete(path))
    problem(await me.get(at), 404)
    problem(await me.put(at, json=GOOD), 404)
    problem(await me.delete(at), 404)
    ok(await me.post(f"{path}/restore"))
    assert ok(await me.get(at))["items"] == [said]
