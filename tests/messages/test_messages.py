"""Messages go in, come back as they went in, are changed, and go."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from unittest.mock import ANY

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from app.models import metadata
from tests.callers import Json, every_item, ok, problem
from tests.messages.roundtrip import in_a_line, read_back, same
from tests.messages.strategies import MESSAGES
from tests.profiles import examples
from tests.statements import statements
from tests.tables import stored

HELLO: Json = {"role": "user", "content": "Hello"}
CALL: Json = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1.0}'}}],
}
RESULT: Json = {"role": "tool", "content": "4", "tool_call_id": "call_1", "name": "f"}


@pytest.fixture
async def path(me: httpx2.AsyncClient) -> str:
    """The path of a chat of mine that has no messages."""
    return (await me.post("/chats", json={})).headers["Location"]


@examples(fast=12, all=100)
@given(messages=st.lists(MESSAGES, min_size=1, max_size=5))
async def test_messages_come_back_as_they_went_in(me: httpx2.AsyncClient, messages: list[Json]) -> None:
    batch = [message | {"created_at": "2026-01-31T12:00:00.123456Z"} for message in messages]
    chat = ok(await me.post("/chats", json={"conversation": batch}))
    path = f"/chats/{chat['chat_id']}"
    ok(await me.post(f"{path}/messages", json={"messages": batch}))
    for message in batch:
        ok(await me.post(f"{path}/messages", json=message))
    ok(await me.put(path, json={"conversation": batch + batch}))
    ok(await me.post(f"{path}/messages", json={"messages": batch}))
    found = await every_item(me, f"{path}/messages")
    assert [message["seq"] for message in found] == [*range(3 * len(batch) + 1, 6 * len(batch) + 1)]
    for message, given_ in zip(found, batch * 3, strict=True):
        assert same(message, given_)
    assert ok(await me.get(path, params={"include": "conversation"}))["conversation"] == found
    ok(await me.delete(path, params={"hard": "true"}))


@examples(fast=12, all=100)
@given(message=MESSAGES)
async def test_the_answer_is_what_is_read_later(me: httpx2.AsyncClient, message: Json) -> None:
    answer = await me.post("/chats/key:answers/messages", json=message)
    assert answer.status_code == 201
    said = answer.json()
    assert same(said, message)
    for name in (said["message_id"], said["message_id"].upper(), said["seq"]):
        assert (await me.get(f"/chats/key:answers/messages/{name}")).content == answer.content
    page = await me.get("/chats/key:answers/messages", params={"last": 1})
    assert page.content == b'{"items":[%b],"next_cursor":null}' % answer.content
    whole = await me.get("/chats/key:answers", params={"include": "conversation"})
    assert whole.content.endswith(answer.content + b"]}")
    edited = await me.patch(f"/chats/key:answers/messages/{said['seq']}", json={"name": "new" * 20})
    assert edited.json() == {**said, "name": "new" * 20, "edited_at": ANY}
    assert (await me.get(f"/chats/key:answers/messages/{said['seq']}")).content == edited.content
    assert (await me.post("/chats/key:answers/messages/pop")).content == edited.content


@pytest.mark.parametrize("message", [HELLO, CALL, RESULT, {"role": "system", "content": ""}], ids=str)
async def test_one_message(me: httpx2.AsyncClient, path: str, message: Json) -> None:
    answer = await me.post(f"{path}/messages", json=message)
    assert answer.status_code == 201
    assert answer.json() == read_back(message) | {"chat_id": path.rpartition("/")[2], "seq": 1}
    assert abs(datetime.now(UTC) - datetime.fromisoformat(answer.json()["created_at"])).total_seconds() < 60


async def test_a_batch_is_answered_in_order(me: httpx2.AsyncClient, path: str) -> None:
    for first in (1, 4):
        answer = await me.post(f"{path}/messages", json={"messages": [HELLO, CALL, RESULT]})
        assert answer.status_code == 201
        said = answer.json()["messages"]
        assert [message["seq"] for message in said] == [first, first + 1, first + 2]
        assert all(same(*pair) for pair in zip(said, [HELLO, CALL, RESULT], strict=True))
        assert ok(await me.get(f"{path}/messages", params={"last": 3}))["items"] == said


async def test_when_it_was_said_never_decides_the_order(me: httpx2.AsyncClient, path: str) -> None:
    for said, kept in (
        ("2026-01-31T12:00:00.5+05:30", "2026-01-31T06:30:00.500000Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("0999-12-31T23:59:59.5Z", "0999-12-31T23:59:59.500000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ):
        answer = await me.post(f"{path}/messages", json=HELLO | {"created_at": said})
        assert ok(answer)["created_at"] == kept
        assert (await me.get(f"{path}/messages/{answer.json()['seq']}")).content == answer.content
    assert [message["seq"] for message in await every_item(me, f"{path}/messages")] == [1, 2, 3, 4, 5]


async def test_a_thousand_messages_are_one_batch_and_no_more(me: httpx2.AsyncClient, path: str) -> None:
    batch = [{"role": "user", "content": f"{n}"} for n in range(1001)]
    problem(await me.post(f"{path}/messages", json={"messages": batch}), 422)
    problem(await me.post(f"{path}/messages", json={"messages": []}), 422)
    assert ok(await me.get(path))["last_seq"] == 0
    said = ok(await me.post(f"{path}/messages", json={"messages": batch[:1000]}))["messages"]
    assert [message["content"] for message in said] == [f"{n}" for n in range(1000)]
    assert await every_item(me, f"{path}/messages") == said


WRONG: list[Json] = [
    {"role": "user"},
    {"role": "user", "content": None},
    {"role": "user", "content": None, "tool_calls": []},
    {"content": "no role"},
    {"role": "robot", "content": "x"},
    {"role": None, "content": "x"},
    {"role": "user", "content": 5},
    {"role": "user", "content": True},
    {"role": "user", "content": {"type": "text"}},
    {"role": "user", "content": ["text"]},
    {"role": "user", "content": "x", "type": ""},
    {"role": "user", "content": "x", "type": "x" * 65},
    {"role": "user", "content": "x", "name": "x" * 513},
    {"role": "user", "content": "x", "tool_calls": {}},
    {"role": "user", "content": "x", "tool_calls": ["f"]},
    {"role": "user", "content": "x", "tokens": -1},
    {"role": "user", "content": "x", "tokens": 1.0},
    {"role": "user", "content": "x", "tokens": "1"},
    {"role": "user", "content": "x", "tokens": 10**12 + 1},
    {"role": "user", "content": "x", "metadata": []},
    {"role": "user", "content": "x", "created_at": "2026-01-31T12:00:00"},
    {"role": "user", "content": "x", "created_at": 1769860800},
    {"role": "user", "content": "x", "created_at": "0001-01-01T00:00:00+14:00"},
    {"role": "user", "content": "x", "created_at": "9999-12-31T23:59:59-14:00"},
    *(
        {"role": "user", "content": "x", name: 1}
        for name in ("seq", "message_id", "user_id", "edited_at", "created_by")
    ),
]


@pytest.mark.any_database
@pytest.mark.parametrize("wrong", WRONG, ids=str)
async def test_one_bad_message_spoils_its_batch_and_nothing_else(
    app: FastAPI, me: httpx2.AsyncClient, path: str, wrong: Json
) -> None:
    ok(await me.post(f"{path}/messages", json=HELLO))
    before = await stored(app, me.headers["X-User-Id"])
    for to in (path, "/chats/key:new"):
        for body in (wrong, {"messages": [HELLO, wrong, HELLO]}, {"messages": [HELLO], "role": "user"}):
            problem(await me.post(f"{to}/messages", json=body), 422)
    assert await stored(app, me.headers["X-User-Id"]) == before


async def test_an_edit_changes_what_it_names_in_place(me: httpx2.AsyncClient, path: str) -> None:
    message = ok(await me.post(f"{path}/messages", json=HELLO | {"metadata": {"a": 1, "b": {"c": 2}}, "tokens": 5}))
    ok(await me.post(f"{path}/messages", json=HELLO))
    at = f"{path}/messages/{message['message_id']}"
    patches: list[tuple[Json, Json]] = [
        ({"content": "New"}, {"content": "New"}),
        ({"content": [{"type": "text", "text": "n"}]}, {"content": [{"type": "text", "text": "n"}]}),
        ({"metadata": {"a": None, "b": {"d": 3}}}, {"metadata": {"b": {"c": 2, "d": 3}}}),
        ({"model": "m", "name": "n"}, {"model": "m", "name": "n"}),
        ({"tokens": 7, "input_tokens": 2}, {"tokens": 7, "input_tokens": 2}),
        ({"tool_calls": [{"id": "x"}]}, {"tool_calls": [{"id": "x"}]}),
        ({}, {}),
    ]
    for patch, changed in patches:
        answer = await me.patch(at, json=patch)
        message = {**message, **changed, "edited_at": answer.json()["edited_at"]}
        assert ok(answer) == message
        assert (await me.get(f"{path}/messages/1")).content == answer.content
        assert ok(await me.get(f"{path}/messages", params={"limit": 1}))["items"] == [message]
    for name in ("metadata", "tokens", "input_tokens", "tool_calls", "model", "name"):
        del message[name]
        assert ok(await me.patch(at, json={name: None})) == {**message, "edited_at": ANY}
    assert ok(await me.get(path))["total_tokens"] == 0


@pytest.mark.any_database
@pytest.mark.parametrize(
    "patch",
    [{"role": "system"}, {"seq": 2}, {"type": "x"}, {"content": 5}, {"content": None}, {"tokens": -1}, []],
    ids=str,
)
async def test_a_wrong_edit_changes_nothing(app: FastAPI, me: httpx2.AsyncClient, path: str, patch: Any) -> None:
    ok(await me.post(f"{path}/messages", json=HELLO))
    before = await stored(app, me.headers["X-User-Id"])
    problem(await me.patch(f"{path}/messages/1", json=patch), 422)
    assert await stored(app, me.headers["X-User-Id"]) == before


async def test_an_edit_leaves_a_message_that_says_something(me: httpx2.AsyncClient, path: str) -> None:
    ok(await me.post(f"{path}/messages", json={"messages": [CALL, {"role": "assistant", "type": "reasoning"}]}))
    silencing: list[Json] = [{"tool_calls": None}, {"tool_calls": []}]
    for patch in silencing:
        problem(await me.patch(f"{path}/messages/1", json=patch), 422)
    assert ok(await me.patch(f"{path}/messages/1", json={"tool_calls": None, "content": "done"}))["content"] == "done"
    assert "content" not in ok(await me.patch(f"{path}/messages/2", json={"content": None, "name": "n"}))


async def test_a_deleted_message_is_gone_and_no_seq_changes(me: httpx2.AsyncClient, path: str) -> None:
    said = ok(await me.post(f"{path}/messages", json={"messages": [HELLO] * 5}))["messages"]
    assert (await me.delete(f"{path}/messages/3")).status_code == 204
    assert (await me.delete(f"{path}/messages/{said[4]['message_id']}")).status_code == 204
    for name in ("3", said[2]["message_id"], said[4]["message_id"], "6", "0", "-1", "x", "1.0", "٣", "9" * 30):
        for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
            problem(await me.request(method, f"{path}/messages/{name}", json=body), 404)
    assert await every_item(me, f"{path}/messages") == in_a_line([said[0], said[1], said[3]])
    assert ok(await me.post(f"{path}/messages", json=HELLO))["seq"] == 6


async def test_pop_takes_the_last_one_until_none_is_left(me: httpx2.AsyncClient, path: str) -> None:
    said = ok(await me.post(f"{path}/messages", json={"messages": [HELLO, CALL, RESULT]}))["messages"]
    ok(await me.delete(f"{path}/messages/2"))
    for message in in_a_line([said[0], said[2]])[::-1]:
        assert ok(await me.post(f"{path}/messages/pop")) == message
    empty = await me.post(f"{path}/messages/pop")
    assert (empty.status_code, empty.content) == (204, b"")
    assert ok(await me.post(f"{path}/messages", json=HELLO))["seq"] == 4


async def test_a_cleared_chat_stays(me: httpx2.AsyncClient, path: str) -> None:
    ok(await me.post(f"{path}/messages", json={"messages": [HELLO | {"tokens": 3}] * 3}))
    assert (await me.delete(f"{path}/messages")).status_code == 204
    assert ok(await me.get(f"{path}/messages")) == {"items": [], "next_cursor": None}
    chat = ok(await me.get(path))
    assert (chat["message_count"], chat["total_tokens"], chat["last_seq"]) == (0, 0, 3)
    assert (await me.delete(f"{path}/messages")).status_code == 204
    assert ok(await me.post(f"{path}/messages", json=HELLO))["seq"] == 4


async def test_who_answers_whom_stays_a_line(app: FastAPI, me: httpx2.AsyncClient, path: str) -> None:
    columns = metadata.tables["messages"].columns.keys()
    seq, parent_seq = columns.index("seq"), columns.index("parent_seq")

    async def line() -> list[tuple[int, int | None]]:
        rows = (await stored(app, me.headers["X-User-Id"]))["messages"]
        return [(row[seq], row[parent_seq]) for row in rows]

    ok(await me.post(f"{path}/messages", json=HELLO))
    ok(await me.post(f"{path}/messages", json={"messages": [HELLO] * 4}))
    assert await line() == [(1, None), (2, 1), (3, 2), (4, 3), (5, 4)]
    ok(await me.delete(f"{path}/messages/1"))
    ok(await me.delete(f"{path}/messages/3"))
    assert await line() == [(2, None), (4, 2), (5, 4)]
    ok(await me.post(f"{path}/messages/pop"))
    ok(await me.delete(f"{path}/messages/4"))
    ok(await me.post(f"{path}/messages", json=HELLO))
    assert await line() == [(2, None), (6, 2)]
    ok(await me.delete(f"{path}/messages"))
    ok(await me.post(f"{path}/messages", json={"messages": [HELLO] * 2}))
    assert await line() == [(7, None), (8, 7)]
    ok(await me.put(path, json={"conversation": [HELLO] * 2}))
    assert await line() == [(9, None), (10, 9)]


async def test_a_page_or_a_message_is_one_statement_and_a_remembered_page_too(
    app: FastAPI, me: httpx2.AsyncClient, path: str
) -> None:
    ok(await me.patch(path, json={"key": "k"}))
    ok(await me.post(f"{path}/messages", json={"messages": [HELLO] * 10}))
    for asked, first, again in (
        (f"{path}/messages/3", 1, 1),
        ("/chats/key:k/messages/3", 1, 1),
        (f"{path}/messages", 1, 1),
        (f"{path}/messages?last=3", 1, 1),
        (f"{path}/messages?max_turns=2", 1, 1),
        (f"{path}/messages?around_seq=5&limit=4", 1, 1),
        ("/chats/key:k/messages", 2, 1),
    ):
        for expected in (first, again):
            async with statements(app) as seen:
                ok(await me.get(asked))
            assert len(seen) == expected, seen
    async with statements(app) as seen:
        ok(await me.get(f"{path}?include=conversation"))
    assert len([statement for statement in seen if "SELECT" in statement]) == 2, seen


async def test_an_append_may_ask_for_a_version_of_its_chat(me: httpx2.AsyncClient, path: str) -> None:
    ok(await me.post(f"{path}/messages", json=HELLO))
    etag = (await me.get(f"{path}/messages")).headers["ETag"]
    guarded = {"If-Match": etag, "Idempotency-Key": "once"}
    first = await me.post(f"{path}/messages", json={"messages": [HELLO, HELLO]}, headers=guarded)
    assert [message["seq"] for message in ok(first)["messages"]] == [2, 3]
    # A retry is answered as ever; for others the version is another one by now.
    again = await me.post(f"{path}/messages", json={"messages": [HELLO, HELLO]}, headers=guarded)
    assert again.content == first.content
    problem(await me.post(f"{path}/messages", json=HELLO, headers={"If-Match": etag}), 412)
    problem(await me.post("/chats/key:none/messages", json=HELLO, headers={"If-Match": "*"}), 404)
    ok(await me.post(f"{path}/messages", json=HELLO, headers={"If-Match": "*"}))
    assert ok(await me.get(path))["last_seq"] == 4


async def test_of_two_appends_to_one_version_one_is_stored(me: httpx2.AsyncClient, path: str) -> None:
    ok(await me.post(f"{path}/messages", json=HELLO))
    guarded = {"If-Match": (await me.get(path)).headers["ETag"]}
    answers = await asyncio.gather(
        *(me.post(f"{path}/messages", json=HELLO | {"parent": 1}, headers=guarded) for _ in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [412] * 7
    assert len(await every_item(me, f"{path}/messages", tree=True)) == 2
