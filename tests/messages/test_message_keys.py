"""A client's own ids for messages: unique in their chat, and names wherever a message is named."""

import asyncio
import itertools
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.messages.append.sqlite import _TAKEN
from app.models import metadata
from tests.callers import Json, every_item, ok, problem
from tests.messages.keyed import NOBODY, B, keys, said, version
from tests.profiles import count
from tests.tables import stored

BAD_KEYS: tuple[Any, ...] = ("", "x" * 256, "a\nb", "\x7f", 1, [])
REPLAYED = {"Idempotency-Replayed": "true"}


@pytest.fixture
def path(keyed_path: str) -> str:
    """The path of the messages of a chat of mine, which has three: a, without a key, and b."""
    return keyed_path


async def test_a_key_is_wherever_its_message_is(me: httpx2.AsyncClient, path: str) -> None:
    chat = path.removesuffix("/messages")
    first = ok(await me.get(f"{path}/1"))
    assert first["key"] == "a"
    assert ok(await me.get(f"{path}/key:a")) == first
    assert "key" not in ok(await me.get(f"{path}/2"))
    appended = ok(await me.post(path, json=said("four", key="c")))
    assert list(appended)[:8] == [*"message_id chat_id seq parent_id role type content created_at".split()]
    assert ok(await me.get(f"{path}/key:c")) == appended
    batch = ok(await me.post(path, json={"messages": [said("five", key="d"), said("six", key="e", model="m")]}))
    opened = ok(await me.post(path, json=said("seven", key="f", status="in_progress")))
    assert (opened["key"], opened["status"]) == ("f", "in_progress")
    everything = await every_item(me, path)
    assert everything[3:] == [appended, *batch["messages"], opened]
    assert [message.get("key") for message in everything] == ["a", None, "b/ü %2F", *"cdef"]
    assert ok(await me.get(chat, params={"include": "conversation"}))["conversation"] == everything
    assert [message.get("key") for message in (await export(me, chat))["messages"]] == ["a", None, "b/ü %2F", *"cdef"]
    changes = ok(await me.get("/changes", params={"since": "start", "include": "messages", "limit": 200}))["items"]
    told = {change["seq"]: change["message"] for change in changes if change.get("message")}
    assert told[4] == appended
    put = ok(await me.put(chat, json={"conversation": [said("anew", key="a")]}))
    assert (put["message_count"], await keys(me, path)) == (1, ["a"])


async def export(client: httpx2.AsyncClient, chat: str) -> Json:
    """A chat as its export has it."""
    whole: Json = ok(await client.get(f"{chat}/export", params={"format": "json"}))
    return whole


@pytest.mark.parametrize("key", BAD_KEYS, ids=repr)
async def test_what_is_no_key(me: httpx2.AsyncClient, path: str, key: Any) -> None:
    problem(await me.post(path, json=said(key=key)), 422)
    problem(await me.post(path, json={"messages": [said(), said(key=key)]}), 422)
    problem(await me.post("/chats", json={"conversation": [said(key=key)]}), 422)
    problem(await me.put(f"{path}/1", json=said(key=key)), 422)
    assert await keys(me, path) == ["a", None, "b/ü %2F"]


async def test_the_longest_key_and_none(me: httpx2.AsyncClient, path: str) -> None:
    longest = "é" * 255
    ok(await me.post(path, json=said(key=longest)))
    assert ok(await me.get(f"{path}/key:{longest}"))["seq"] == 4
    assert "key" not in ok(await me.post(path, json=said(key=None)))


async def test_a_key_is_of_one_chat(me: httpx2.AsyncClient, path: str) -> None:
    other = ok(await me.post("/chats", json={"conversation": [said("other", key="a")]}))
    assert ok(await me.get(f"/chats/{other['chat_id']}/messages/key:a"))["content"] == "other"
    assert ok(await me.get(f"{path}/key:a"))["content"] == "one"
    problem(await me.get(f"/chats/{other['chat_id']}/messages/{B}"), 404)
    # A key may look like another name: it is none.
    for key in ("1", NOBODY, "key:a"):
        named = ok(await me.post(path, json=said(key=key)))
        assert ok(await me.get(f"{path}/key:{key}")) == named
    assert ok(await me.get(f"{path}/1"))["key"] == "a"


async def test_whatever_names_a_message_takes_its_key(me: httpx2.AsyncClient, path: str) -> None:
    chat = path.removesuffix("/messages")
    third = ok(await me.get(f"{path}/{B}"))
    assert third["seq"] == 3
    branch = ok(await me.post(path, json=said("other", parent="key:a", key="C")))
    assert (branch["seq"], branch["parent_id"]) == (4, ok(await me.get(f"{path}/1"))["message_id"])
    after = ok(await me.post(path, json={"messages": [said(), said()], "parent": "key:b/ü %2F"}))["messages"]
    assert after[0]["parent_id"] == third["message_id"]
    assert ok(await me.patch(chat, json={"head": "key:C"}))["head_id"] == branch["message_id"]
    at_b = await every_item(me, path, head="key:b/ü %2F")
    assert [message["seq"] for message in at_b] == [1, 2, 3]
    diff = ok(await me.get(f"{chat}/diff", params={"a": "key:b/ü %2F", "b": "key:C"}))
    assert (diff["shared"]["head_seq"], diff["a"]["head_seq"], diff["b"]["head_seq"]) == (1, 3, 4)
    fork = ok(await me.post(f"{chat}/fork", json={"at": "key:b/ü %2F"}))
    assert (fork["message_count"], fork["forked_at"]) == (3, third["message_id"])
    assert await keys(me, f"/chats/{fork['chat_id']}/messages") == ["a", None, "b/ü %2F"]
    assert ok(await me.patch(f"{path}/{B}", json={"content": "edited"}))["edited_at"]
    assert len(ok(await me.get(f"{path}/{B}/revisions"))["items"]) == 1
    assert ok(await me.put(f"{path}/{B}/feedback", json={"rating": 1}))["rating"] == 1
    assert len(ok(await me.get(f"{path}/{B}/feedback"))["items"]) == 1
    ok(await me.delete(f"{path}/{B}/feedback"))
    ok(await me.delete(f"{path}/{B}"))
    for method, rest in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/revisions"), ("GET", "/stream")):
        body = {"content": "x"} if method == "PATCH" else None
        problem(await me.request(method, f"{path}/{B}{rest}", json=body), 404)
    problem(await me.post(path, json=said(parent="key:b/ü %2F")), 422)
    problem(await me.patch(chat, json={"head": "key:b"}), 422)
    problem(await me.get(path, params={"head": "key:c"}), 404)
    problem(await me.get(path, params={"head": "key:"}), 422)


async def test_an_answer_is_written_by_its_key(me: httpx2.AsyncClient, path: str) -> None:
    for round_ in range(2):
        ok(await me.post(path, json=said("", key="x", role="assistant", status="in_progress")))
        ok(await me.post(f"{path}/key:x/chunks", json={"offset": 0, "text": f"Round {round_}"}))
        ok(await me.post(f"{path}/key:x/chunks", json={"offset": 7, "text": "."}))
        done = ok(await me.post(f"{path}/key:x/complete", json={"offset": 8}))
        assert (done["content"], done["key"], done["status"]) == (f"Round {round_}.", "x", "completed")
        assert (await me.get(f"{path}/key:x/stream")).status_code == 200
        # The key is free again, and names the next one.
        ok(await me.delete(f"{path}/key:x"))


async def test_a_key_that_is_taken(app: FastAPI, me: httpx2.AsyncClient, path: str) -> None:
    first = ok(await me.get(f"{path}/1"))
    before = await stored(app, me.headers["X-User-Id"])
    details = problem(await me.post(path, json=said("again", key="a")), 409)
    assert (details["key"], details["message_id"], details["seq"]) == ("a", first["message_id"], 1)
    assert "a" in details["detail"]
    batch = [said(), said(key="new"), said(key="b/ü %2F"), said(key="a")]
    details = problem(await me.post(path, json={"messages": batch}), 409)
    assert [message["seq"] for message in details["messages"]] == [1, 3]
    problem(await me.post(path, json=said(key="a", status="in_progress")), 409)
    problem(await me.post(path, json=said(key="a"), headers={"Idempotency-Key": "k"}), 409)
    assert await stored(app, me.headers["X-User-Id"]) == before


async def test_a_key_twice_in_a_request(app: FastAPI, me: httpx2.AsyncClient, path: str) -> None:
    before = await stored(app, me.headers["X-User-Id"])
    twice = [said(key="new"), said(), said(key="new")]
    for query in ({}, {"on_conflict": "skip"}, {"on_conflict": "replace"}):
        problem(await me.post(path, json={"messages": twice}, params=query), 422)
    problem(await me.post("/chats", json={"conversation": twice}), 422)
    problem(await me.put("/chats/key:k", json={"conversation": twice}), 422)
    problem(await me.post(path, json=said(), params={"on_conflict": "append"}), 422)
    assert await stored(app, me.headers["X-User-Id"]) == before


async def test_skip(app: FastAPI, me: httpx2.AsyncClient, path: str) -> None:
    first = ok(await me.get(f"{path}/1"))
    skip = {"on_conflict": "skip"}
    before = await stored(app, me.headers["X-User-Id"])
    response = await me.post(path, json=said("again", key="a", role="system"), params=skip)
    assert (response.status_code, response.json()) == (200, first)
    response = await me.post(path, json={"messages": [said(key="b/ü %2F"), said(key="a")]}, params=skip)
    assert (response.status_code, [one["seq"] for one in response.json()["messages"]]) == (200, [3, 1])
    assert await stored(app, me.headers["X-User-Id"]) == before
    batch = [said("four"), said(key="b/ü %2F"), said("five", key="c"), said(key="a"), said("six")]
    response = await me.post(path, json={"messages": batch}, params=skip)
    messages = response.json()["messages"]
    assert response.status_code == 201
    assert [(one["seq"], one["content"]) for one in messages] == [
        (4, "four"),
        (3, "three"),
        (5, "five"),
        (1, "one"),
        (6, "six"),
    ]
    assert await every_item(me, path) == sorted([*messages, ok(await me.get(f"{path}/2"))], key=lambda one: one["seq"])
    new = await me.post(path, json=said("seven", key="d"), params=skip)
    assert (new.status_code, new.json()["seq"]) == (201, 7)


async def test_replace(me: httpx2.AsyncClient, path: str) -> None:
    replace = {"on_conflict": "replace"}
    first = ok(await me.get(f"{path}/1"))
    changed = await me.post(path, json=said("uno", key="a", model="m"), params=replace)
    assert changed.status_code == 200
    assert changed.json() == {**first, "content": "uno", "model": "m", "edited_at": changed.json()["edited_at"]}
    before = await version(me, path)
    batch = [said("new", key="c"), said("uno", key="a"), said("drei", key="b/ü %2F")]
    response = await me.post(path, json={"messages": batch}, params=replace)
    messages = response.json()["messages"]
    assert (response.status_code, [one["seq"] for one in messages]) == (201, [4, 1, 3])
    assert messages[1].keys() == first.keys() | {"edited_at"}
    assert [one["content"] for one in await every_item(me, path)] == ["uno", "two", "drei", "new"]
    assert len(ok(await me.get(f"{path}/1/revisions"))["items"]) == 2
    # All or nothing: where one of them is refused, none is changed or appended.
    after = await version(me, path)
    assert after > before
    ok(await me.post(path, json=said("", key="open", role="assistant", status="in_progress")))
    after = await version(me, path)
    batch = [said("other", key="d"), said("other", key="a"), said("other", key="open")]
    problem(await me.post(path, json={"messages": batch}, params=replace), 409)
    problem(await me.post(path, json=said("x", key="a", status="in_progress"), params=replace), 409)
    assert (await version(me, path), (await keys(me, path))[3:]) == (after, ["c", "open"])
    assert ok(await me.get(f"{path}/1"))["content"] == "uno"


async def test_a_retry_gets_the_first_answer(app: FastAPI, me: httpx2.AsyncClient, path: str) -> None:
    batch = {"messages": [said("x", key="a"), said("y", key="c")]}
    requests: list[tuple[str, str, Json, Json]] = [
        ("POST", path, {}, said("p", key="p")),
        ("POST", path, {"on_conflict": "skip"}, said("q", key="a")),
        ("POST", path, {"on_conflict": "skip"}, batch),
        ("POST", path, {"on_conflict": "replace"}, {"messages": [said("x", key="a"), said("y", key="d")]}),
        ("PUT", f"{path}/key:a", {}, said("z")),
        ("PUT", f"{path}/key:e", {}, said("z")),
        ("PUT", f"{path}/1", {}, said("zz")),
    ]
    for number, (method, address, query, body) in enumerate(requests):
        headers = {"Idempotency-Key": f"k{number}"}
        first = await me.request(method, address, params=query, json=body, headers=headers)
        ok(first)
        before = await stored(app, me.headers["X-User-Id"])
        again = await me.request(method, address, params=query, json=body, headers=headers)
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        assert again.headers.items() >= {name.lower(): value for name, value in REPLAYED.items()}.items()
        assert "Idempotency-Replayed" not in first.headers
        problem(await me.request(method, address, params=query, json=said("else", key="a"), headers=headers), 422)
        assert await stored(app, me.headers["X-User-Id"]) == before


async def test_a_key_is_free_when_its_message_is_gone(me: httpx2.AsyncClient, path: str) -> None:
    ok(await me.delete(f"{path}/key:a"))
    assert ok(await me.post(path, json=said(key="a")))["seq"] == 4
    assert ok(await me.post(f"{path}/pop"))["key"] == "a"
    assert ok(await me.put(f"{path}/key:a", json=said()))["seq"] == 5
    ok(await me.delete(path))
    assert ok(await me.post(path, json={"messages": [said(key="a"), said(key="b/ü %2F")]}))["messages"][0]["seq"] == 6


@pytest.mark.parametrize("query", [{}, {"on_conflict": "skip"}, {"on_conflict": "replace"}], ids=str)
async def test_processes_that_give_a_key_at_once(
    me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, path: str, query: Json
) -> None:
    rounds = count(fast=4, all=60)
    for number in range(rounds):
        texts = [f"{number} {writer}" for writer in range(8)]
        responses = await asyncio.gather(
            *(
                client.post(path, json=said(content, key=f"k{number}"), params=query)
                for client, content in zip(itertools.cycle((me, me_too)), texts, strict=False)
            )
        )
        statuses = sorted(response.status_code for response in responses)
        assert statuses == ([200] * 7 + [201] if query else [201] + [409] * 7)
        assert len({response.json()["message_id"] for response in responses}) == 1
    assert await keys(me, path) == ["a", None, "b/ü %2F", *(f"k{number}" for number in range(rounds))]


async def test_a_key_is_looked_up_by_its_index(app: FastAPI, me: httpx2.AsyncClient, path: str) -> None:
    db = app.state.services.db
    for condition in ("key = 'a'", "key IN ('a', 'b') AND key IS NOT NULL"):
        sql = f"SELECT seq FROM messages WHERE user_id = 'u' AND chat_id = '{NOBODY}' AND {condition}"
        async with db.read() as session:
            if db.kind == "postgres":
                await session.execute(text("SET LOCAL enable_seqscan = off"))
                rows = await session.execute(text(f"EXPLAIN {sql}"))
            else:
                rows = await session.execute(text(f"EXPLAIN QUERY PLAN {sql}"))
            assert "uq_messages_key" in str(rows.all())
    if db.kind == "sqlite":
        async with db.read() as session:
            connection = await session.connection()
            rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {_TAKEN}", ("u", NOBODY, '["a"]'))
            assert "uq_messages_key" in str(rows.all())
    assert "key" not in metadata.tables["revisions"].columns
