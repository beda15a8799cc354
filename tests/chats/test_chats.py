"""A chat's life: created, read, changed, replaced, deleted, restored, and gone for good."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import ANY

import httpx2
import pytest

from tests.callers import Json, every_item, ok, problem
from tests.chats.details import ANSWER, DETAILS, HELLO, conversation

EMPTY: Json = {
    "key": None,
    "title": None,
    "summary": None,
    "summary_until_seq": None,
    "platform": None,
    "tags": [],
    "is_pinned": False,
    "is_archived": False,
    "metadata": {},
    "expires_at": None,
}
COUNTS: Json = {"message_count": 0, "input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "last_seq": 0}
TREE: Json = {"head_id": None, "forked_from": None, "forked_at": None, "source": None}
LIFE: Json = {"created_at": ANY, "updated_at": ANY, "last_activity_at": ANY, "is_active": True}
LIFE |= {"archived_at": None, "deleted_at": None}
# What any client can get wrong in a body that is otherwise good.
NOBODY = "01932c07-1f3e-7000-8000-abcdef012345"


def details(chat: Json) -> Json:
    """What the client says about a chat, of all that it is answered."""
    return {name: chat[name] for name in EMPTY}


@pytest.mark.parametrize("given", [DETAILS, {}, EMPTY], ids=["full", "minimal", "nulls"])
async def test_a_chat_is_answered_as_it_was_created(me: httpx2.AsyncClient, given: Json) -> None:
    answer = await me.post("/chats", json=given)
    assert answer.status_code == 201
    chat = answer.json()
    assert chat == {
        **EMPTY,
        **given,
        **COUNTS,
        **LIFE,
        **TREE,
        "chat_id": ANY,
        "user_id": me.headers["X-User-Id"],
        "version": 1,
    }
    assert list(chat["metadata"]) == list(given.get("metadata", {}))
    assert chat["created_at"] == chat["updated_at"] == chat["last_activity_at"]
    written = datetime.fromisoformat(chat["created_at"])
    assert written.tzinfo == UTC
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=1)

    assert answer.headers["Location"] == f"/chats/{chat['chat_id']}"
    for path in (answer.headers["Location"], f"/chats/{chat['chat_id'].upper()}"):
        read = await me.get(path)
        assert (read.content, read.headers["ETag"]) == (answer.content, answer.headers["ETag"])


async def test_a_chat_begins_with_its_conversation(me: httpx2.AsyncClient) -> None:
    chat = ok(await me.post("/chats", json={"title": "Eggs", "conversation": [HELLO, ANSWER]}))
    assert (chat["message_count"], chat["last_seq"], chat["version"]) == (2, 2, 2)
    assert (chat["input_tokens"], chat["output_tokens"], chat["total_tokens"]) == (3, 4, 7)
    path = f"/chats/{chat['chat_id']}"
    messages = await every_item(me, f"{path}/messages")
    stored = {"message_id": ANY, "chat_id": chat["chat_id"], "type": "message", "created_at": ANY}
    assert messages == [
        {**HELLO, **stored, "seq": 1, "parent_id": None},
        {**ANSWER, **stored, "seq": 2, "parent_id": messages[0]["message_id"]},
    ]
    assert chat["head_id"] == messages[1]["message_id"]
    whole = await me.get(path, params={"include": "conversation"})
    assert ok(whole) == {**chat, "conversation": messages}
    assert whole.headers["ETag"] == (await me.get(path)).headers["ETag"]
    assert (await me.get(path, params={"include": "all"})).status_code == 422


async def test_a_chat_with_a_bad_message_is_not_created(me: httpx2.AsyncClient) -> None:
    problem(await me.post("/chats", json={"conversation": [HELLO, {"role": "user"}]}), 422)
    assert ok(await me.get("/chats", params={"state": "all"}))["items"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_id": "ada"},
        {"chat_id": NOBODY},
        {"created_by": "ada"},
        {"version": 7},
        {"tags": "kitchen"},
        {"tags": [""]},
        {"tags": ["x"] * 65},
        {"tags": [1]},
        {"title": "x" * 1025},
        {"title": 5},
        {"summary": "x" * 65537},
        {"summary_until_seq": 0},
        {"summary_until_seq": 2**31},
        {"summary_until_seq": "1"},
        {"platform": ""},
        {"platform": "x" * 65},
        {"is_pinned": "true"},
        {"is_pinned": 1},
        {"metadata": []},
        {"metadata": "{}"},
        {"expires_at": "2999-01-31T12:00:00"},
        {"expires_at": 32_000_000_000},
        {"expires_at": "32000000000"},
        {"expires_at": "soon"},
        {"conversation": {}},
        {"conversation": [HELLO | {"seq": 7}]},
    ],
    ids=str,
)
async def test_wrong_details_are_refused_and_nothing_is_stored(me: httpx2.AsyncClient, wrong: Json) -> None:
    details = problem(await me.post("/chats", json={"title": "Eggs", **wrong}), 422)
    assert details["errors"][0]["loc"][:2] == ["body", *wrong]
    assert ok(await me.get("/chats", params={"state": "all"}))["items"] == []


async def test_a_known_version_is_not_sent_again(me: httpx2.AsyncClient) -> None:
    chat = ok(await me.post("/chats", json={"key": "k", "conversation": [HELLO]}))
    for path in (
        f"/chats/{chat['chat_id']}",
        "/chats/key:k",
        "/chats/key:k?include=conversation",
        "/chats/key:k/messages",
    ):
        etag = (await me.get(path)).headers["ETag"]
        for known in (etag, f"W/{etag}", f'"1-x", {etag}', "*"):
            answer = await me.get(path, headers={"If-None-Match": known})
            assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
        assert (await me.get(path, headers={"If-None-Match": '"1-x"'})).status_code == 200
        ok(await me.post("/chats/key:k/messages", json=HELLO))
        answer = await me.get(path, headers={"If-None-Match": etag})
        assert answer.status_code == 200
        assert answer.headers["ETag"] != etag


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
async def test_a_change_to_another_version_is_refused(me: httpx2.AsyncClient, method: str) -> None:
    created = await me.post("/chats", json={"key": "k", "title": "first"})
    path, stale = created.headers["Location"], created.headers["ETag"]
    ok(await me.post(f"{path}/messages", json=HELLO))
    before = await me.get(path)
    body = None if method == "DELETE" else {"title": "second"}
    for wrong in (stale, f"W/{before.headers['ETag']}", "", '"0"'):
        problem(await me.request(method, path, json=body, headers={"If-Match": wrong}), 412)
        assert (await me.get(path)).content == before.content
    right = f"{stale}, {before.headers['ETag']}"
    assert (await me.request(method, path, json=body, headers={"If-Match": right})).is_success
    assert (await me.get(path)).content != before.content


# RFC 7396, appendix A: what there is, the patch, and what comes of it.
MERGES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), MERGES, ids=str)
async def test_metadata_is_merged_as_the_rfc_says(me: httpx2.AsyncClient, target: Any, patch: Any, result: Any) -> None:
    chat = ok(await me.post("/chats", json={"metadata": {"beside": 1, "it": target}}))
    path = f"/chats/{chat['chat_id']}"
    assert ok(await me.patch(path, json={"metadata": {"it": patch}}))["metadata"] == {"beside": 1, "it": result}
    assert ok(await me.patch(path, json={"metadata": {"it": None}}))["metadata"] == {"beside": 1}
    assert ok(await me.patch(path, json={"metadata": None}))["metadata"] == {}


async def test_a_patch_changes_what_it_names_and_nothing_else(me: httpx2.AsyncClient) -> None:
    chat = ok(await me.post("/chats", json=DETAILS))
    path = f"/chats/{chat['chat_id']}"
    for name, value in {
        "key": "new/key",
        "title": "New",
        "summary": "",
        "summary_until_seq": 1,
        "platform": "web",
        "tags": ["a"],
        "is_pinned": False,
        "expires_at": "3000-01-01T00:00:00.000000Z",
    }.items():
        for patched in (value, None):
            answer = await me.patch(path, json={name: patched})
            version = chat["version"] + 1
            stored = EMPTY[name] if patched is None else patched
            chat = {**chat, name: stored, "version": version, "updated_at": answer.json()["updated_at"]}
            assert ok(answer) == chat
            assert (await me.get(path)).content == answer.content
            assert (await me.get(path)).headers["ETag"] == answer.headers["ETag"]
    assert details(ok(await me.patch(path, json={}))) == details(chat)


@pytest.mark.parametrize("wrong", [{"user_id": "ada"}, {"message_count": 1}, {"tags": [None]}, [], "x", None], ids=str)
async def test_a_wrong_patch_changes_nothing(me: httpx2.AsyncClient, wrong: Any) -> None:
    created = await me.post("/chats", json=DETAILS)
    problem(await me.patch(created.headers["Location"], json=wrong), 422)
    assert (await me.get(created.headers["Location"])).content == created.content


async def test_replacing_keeps_nothing_but_the_key(me: httpx2.AsyncClient) -> None:
    chat = ok(await me.post("/chats", json={**DETAILS, "conversation": [HELLO]}))
    path = f"/chats/{chat['chat_id']}"
    answer = await me.put(path, json={"title": "Only this"})
    replaced = ok(answer)
    assert details(replaced) == {**EMPTY, "key": DETAILS["key"], "title": "Only this"}
    assert replaced["created_at"] == chat["created_at"]
    assert await conversation(me, path) == [(1, "Hello")]
    assert details(ok(await me.put(path, json={"key": "k2"}))) == {**EMPTY, "key": "k2"}
    problem(await me.put(f"/chats/{NOBODY}", json={"title": "x"}), 404)


async def test_replacing_the_conversation_goes_on_with_the_seqs(me: httpx2.AsyncClient) -> None:
    chat = ok(await me.post("/chats", json={"conversation": [HELLO, ANSWER]}))
    path = f"/chats/{chat['chat_id']}"
    chat = ok(await me.put(path, json={"title": "New", "conversation": [ANSWER, HELLO, ANSWER]}))
    assert (chat["message_count"], chat["last_seq"], chat["total_tokens"]) == (3, 5, 14)
    assert await conversation(me, path) == [(3, "Hi!"), (4, "Hello"), (5, "Hi!")]
    chat = ok(await me.put(path, json={"conversation": []}))
    assert (chat["message_count"], chat["last_seq"], chat["total_tokens"]) == (0, 5, 0)
    assert ok(await me.post(f"{path}/messages", json=HELLO))["seq"] == 6


async def test_a_chat_is_replaced_whole_or_not_at_all(me: httpx2.AsyncClient) -> None:
    created = await me.post("/chats", json={"title": "old", "conversation": [HELLO]})
    path = created.headers["Location"]
    problem(await me.put(path, json={"title": "new", "conversation": [HELLO, {"role": "?", "content": ""}]}), 422)
    assert (await me.get(path)).content == created.content
    assert await conversation(me, path) == [(1, "Hello")]


async def test_a_reader_sees_one_conversation_or_the_other(me: httpx2.AsyncClient) -> None:
    path = (await me.post("/chats", json={"title": "0", "conversation": [HELLO | {"content": "0"}] * 3})).headers[
        "Location"
    ]

    async def write(number: int) -> None:
        ok(await me.put(path, json={"title": f"{number}", "conversation": [HELLO | {"content": f"{number}"}] * 3}))

    async def read() -> None:
        whole = ok(await me.get(path, params={"include": "conversation"}))
        assert [message["content"] for message in whole["conversation"]] == [whole["title"]] * 3
        assert whole["message_count"] == 3

    async with asyncio.TaskGroup() as tasks:
        for number in range(1, 9):
            tasks.create_task(write(number))
            for _ in range(3):
                tasks.create_task(read())
    assert ok(await me.get(path))["last_seq"] == 27


async def test_get_or_create_by_key(me: httpx2.AsyncClient) -> None:
    created = await me.put("/chats/key:k")
    assert created.status_code == 201
    chat = created.json()
    assert created.headers["Location"] == f"/chats/{chat['chat_id']}"
    assert details(chat) == {**EMPTY, "key": "k"}
    for again in (await me.put("/chats/key:k"), await me.put("/chats/key:k", json={})):
        assert (again.status_code, again.content) == (200, created.content)
        assert again.headers["ETag"] == created.headers["ETag"]


async def test_put_by_key_creates_and_replaces(me: httpx2.AsyncClient) -> None:
    problem(await me.put("/chats/key:k", json={"title": "x"}, headers={"If-Match": "*"}), 404)
    body: Json = {"title": "first", "key": "k", "conversation": [HELLO]}
    created = await me.put("/chats/key:k", json=body)
    assert created.status_code == 201
    assert (created.json()["title"], created.json()["message_count"]) == ("first", 1)
    replaced = await me.put("/chats/key:k", json={"platform": "web"})
    assert replaced.status_code == 200
    assert details(replaced.json()) == {**EMPTY, "key": "k", "platform": "web"}
    assert replaced.json()["chat_id"] == created.json()["chat_id"]
    problem(await me.put("/chats/key:k", json={"key": "other"}), 422)
    assert (await me.get("/chats/key:k")).content == replaced.content


@pytest.mark.parametrize("body", [None, {"title": "T", "conversation": [HELLO]}], ids=["bare", "body"])
async def test_of_many_who_get_or_create_at_once_one_creates(me: httpx2.AsyncClient, body: Json | None) -> None:
    answers = await asyncio.gather(*(me.put("/chats/key:k", json=body) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["chat_id"] for answer in answers}) == 1
    assert len(ok(await me.get("/chats", params={"state": "all"}))["items"]) == 1


@pytest.mark.parametrize(("before", "after"), [(1, True), (1, 1.0), (0.0, -0.0), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
async def test_what_is_equal_to_python_alone_is_changed(me: httpx2.AsyncClient, before: Any, after: Any) -> None:
    path = (await me.post("/chats", json={"metadata": {"x": [before]}})).headers["Location"]
    for change in (me.patch, me.put):
        ok(await me.patch(path, json={"metadata": {"x": [before]}}))
        ok(await change(path, json={"metadata": {"x": [after]}}))
        assert repr(ok(await me.get(path))["metadata"]) == repr({"x": [after]})
