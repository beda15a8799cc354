"""Puts: a message is replaced in full, or by its key appended where there is none."""

import asyncio
import itertools

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import given

from tests.callers import Json, ok, problem
from tests.messages.keyed import NOBODY, keys, said, version
from tests.messages.strategies import MESSAGES
from tests.profiles import count, examples
from tests.tables import stored


@pytest.fixture
def path(keyed_path: str) -> str:
    """The path of the messages of a chat of mine, which has three: a, without a key, and b."""
    return keyed_path


async def test_put(me: httpx2.AsyncClient, path: str) -> None:
    created = await me.put(f"{path}/key:c%2Fd", json=said("four", tokens=3, metadata={"a": 1}))
    message = created.json()
    assert (created.status_code, message["seq"], message["key"]) == (201, 4, "c/d")
    at = await version(me, path)
    again = await me.put(f"{path}/key:c%2Fd", json=said("four", tokens=3, metadata={"a": 1}, key="c/d", model=None))
    assert (again.status_code, again.json(), await version(me, path)) == (200, message, at)
    assert ok(await me.get(f"{path}/4/revisions"))["items"] == []
    # Whole: what is left out is gone. Where it is, and since when, stays.
    body = {"role": "assistant", "type": "note", "content": [{"type": "text", "text": "vier"}], "output_tokens": 5}
    replaced = ok(await me.put(f"{path}/key:c%2Fd", json={**body, "created_at": "2020-01-01T00:00:00Z"}))
    place = {name: message[name] for name in ("message_id", "chat_id", "seq", "parent_id", "created_at", "key")}
    assert replaced == {**place, **body, "edited_at": replaced["edited_at"]}
    (revision,) = ok(await me.get(f"{path}/4/revisions"))["items"]
    assert "key" not in revision
    assert (revision["role"], revision["content"], revision["metadata"]) == ("user", "four", {"a": 1})
    chat = ok(await me.get(path.removesuffix("/messages")))
    assert (chat["total_tokens"], chat["output_tokens"], chat["message_count"]) == (5, 5, 4)
    # By its other names too, if it is there.
    for name in (4, message["message_id"], message["message_id"].upper()):
        assert ok(await me.put(f"{path}/{name}", json=said(f"by {name}")))["content"] == f"by {name}"
    assert ok(await me.put(f"{path}/4", json=said("x", key="c/d")))["key"] == "c/d"
    for name in (99, NOBODY, "nonsense"):
        problem(await me.put(f"{path}/{name}", json=said()), 404)
    problem(await me.put(f"/chats/{NOBODY}/messages/key:a", json=said()), 404)
    assert (await keys(me, path)) == ["a", None, "b/ü %2F", "c/d"]


async def test_a_null_is_told_from_nothing(me: httpx2.AsyncClient, path: str) -> None:
    nothing: Json = {"role": "user", "type": "note"}
    null = {**nothing, "content": None}
    for first, second in itertools.permutations((nothing, null)):
        ok(await me.put(f"{path}/key:n", json=first))
        changed = ok(await me.put(f"{path}/key:n", json=second))
        assert ("content" in changed) == ("content" in second)
        assert ok(await me.get(f"{path}/key:n")) == changed
        at = await version(me, path)
        assert ok(await me.put(f"{path}/key:n", json=second)) == changed
        assert await version(me, path) == at


@examples(fast=15, all=300)
@given(first=MESSAGES, second=MESSAGES)
async def test_what_is_put_comes_back(me: httpx2.AsyncClient, first: Json, second: Json) -> None:
    chat = ok(await me.post("/chats", json={}))["chat_id"]
    one = f"/chats/{chat}/messages/key:one"
    for message in (first, second, second):
        answer = ok(await me.put(one, json=message))
        appended = ok(await me.post(f"/chats/{chat}/messages", json=message))
        own = ("message_id", "seq", "parent_id", "created_at", "edited_at", "key", "siblings")
        assert {name: value for name, value in answer.items() if name not in own} == {
            name: value for name, value in appended.items() if name not in own
        }
        assert ok(await me.get(one)) == answer
    assert len(ok(await me.get(f"{one}/revisions"))["items"]) <= 1
    ok(await me.delete(f"/chats/{chat}", params={"hard": "true"}))


async def test_what_a_put_refuses(app: FastAPI, me: httpx2.AsyncClient, path: str) -> None:
    ok(await me.post(path, json=said("", key="open", role="assistant", status="in_progress")))
    before = await stored(app, me.headers["X-User-Id"])
    problem(await me.put(f"{path}/key:a", json=said(key="b")), 422)
    problem(await me.put(f"{path}/1", json=said(key="b")), 422)
    problem(await me.put(f"{path}/2", json=said(key="new")), 422)
    problem(await me.put(f"{path}/key:open", json=said()), 409)
    problem(await me.put(f"{path}/4", json=said()), 409)
    for name in ("key:a", "1"):
        problem(await me.put(f"{path}/{name}", json=said(parent=2)), 409)
        problem(await me.put(f"{path}/{name}", json=said(parent="key:nobody")), 422)
        problem(await me.put(f"{path}/{name}", json=said(status="in_progress")), 422)
        problem(await me.put(f"{path}/{name}", json={"role": "user"}), 422)
    problem(await me.put(f"{path}/key:new", json=said(parent="key:nobody")), 422)
    problem(await me.patch(f"{path}/key:a", json={"key": "z"}), 422)
    problem(await me.put(f"{path}/key:", json=said()), 422)
    problem(await me.put(f"{path}/key:{'x' * 256}", json=said()), 422)
    problem(await me.put(f"{path}/key:%00", json=said(), headers={"Idempotency-Key": "k"}), 422)
    problem(await me.put(f"{path}/%00", json=said(), headers={"Idempotency-Key": "k"}), 404)
    assert await stored(app, me.headers["X-User-Id"]) == before


async def test_a_put_after_a_parent(me: httpx2.AsyncClient, path: str) -> None:
    made = await me.put(f"{path}/key:c", json=said("other", parent="key:a"))
    assert (made.status_code, made.json()["siblings"][1]) == (201, made.json()["message_id"])
    for parent in (1, "key:a", ok(await me.get(f"{path}/1"))["message_id"].upper()):
        same = await me.put(f"{path}/key:c", json=said("other", parent=parent))
        assert (same.status_code, same.json()) == (200, made.json())
    problem(await me.put(f"{path}/key:c", json=said("other", parent=None)), 409)
    root = ok(await me.put(f"{path}/key:a", json=said("uno", parent=None)))
    assert (root["seq"], root["parent_id"]) == (1, None)
    # By key, a chat that is not there is created.
    new = await me.put("/chats/key:new/messages/key:x", json=said())
    assert (new.status_code, new.json()["seq"]) == (201, 1)
    problem(await me.put("/chats/key:newer/messages/key:x", json=said(parent=1)), 404)


async def test_roles_are_counted_and_found_anew(me: httpx2.AsyncClient, path: str) -> None:
    for query, found in (({"role": "user"}, 1), ({"role": "system"}, 0)):
        assert len(ok(await me.get("/search", params={"q": "one", **query}))["items"]) == found
    ok(await me.put(f"{path}/key:a", json=said("one", role="system")))
    for query, found in (({"role": "user"}, 0), ({"role": "system"}, 1)):
        assert len(ok(await me.get("/search", params={"q": "one", **query}))["items"]) == found
    ok(await me.put(f"{path}/key:a", json=said("You cook.", role="system", model="m", tokens=4)))
    numbers = ok(await me.get("/stats"))
    assert {one["role"]: one["messages"] for one in numbers["by_role"]} == {"user": 2, "system": 1}


@pytest.mark.parametrize("name", ["key:a", "key:new", "1"])
async def test_the_turn_and_the_version_guard_a_put(me: httpx2.AsyncClient, path: str, name: str) -> None:
    chat = path.removesuffix("/messages")
    etag = (await me.get(chat)).headers["ETag"]
    old = {"If-Match": etag.replace('"', '"9', 1)}
    problem(await me.put(f"{path}/{name}", json=said("x"), headers=old), 412)
    problem(await me.post(path, json=said("x", key="a"), params={"on_conflict": "replace"}, headers=old), 412)
    turn = ok(await me.post(f"{chat}/turn", json={}))["token"]
    problem(await me.put(f"{path}/{name}", json=said("x")), 409)
    problem(await me.put(f"{path}/{name}", json=said("x"), headers={"Turn-Token": str(turn - 1)}), 409)
    problem(await me.post(path, json=said("x", key="a"), params={"on_conflict": "skip"}), 409)
    headers = {"Turn-Token": str(turn), "If-Match": (await me.get(chat)).headers["ETag"]}
    assert ok(await me.put(f"{path}/{name}", json=said("x"), headers=headers))["content"] == "x"
    skipped = await me.post(
        path, json=said("y", key="a"), params={"on_conflict": "skip"}, headers={"Turn-Token": str(turn)}
    )
    assert skipped.status_code == 200
    ok(await me.delete(f"{chat}/turn", headers={"Turn-Token": str(turn)}))
    problem(await me.put(f"{path}/{name}", json=said("z"), headers={"Turn-Token": str(turn)}), 409)


async def test_processes_that_put_at_once(me: httpx2.AsyncClient, me_too: httpx2.AsyncClient) -> None:
    for number in range(count(fast=3, all=40)):
        # The chat is created as well.
        address = f"/chats/key:at-once-{number}/messages/key:x"
        responses = await asyncio.gather(
            *(client.put(address, json=said(f"{index}")) for index, client in enumerate((me, me_too) * 4))
        )
        assert sorted(response.status_code for response in responses) == [200] * 7 + [201]
        revisions = ok(await me.get(f"{address}/revisions"))["items"]
        contents = [*(one["content"] for one in revisions), ok(await me.get(address))["content"]]
        assert sorted(contents) == [str(index) for index in range(8)]
