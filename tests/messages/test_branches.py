"""Branches of a chat: trees as data sets have them, their list, what two share, and copies."""

import asyncio
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import col, select

from app.models import Change
from tests.callers import Json, every_item, ok, problem
from tests.messages.tree_model import ChatModel

ABSENT = "01932c07-1f3e-7000-8000-abcdef012345"
# A tree as the Open Assistant data set has them: each message with the one it follows.
TREE = {
    "ask": None,
    "play": "ask",
    "rules": "play",
    "points": "rules",
    "history": "play",
    "sport": "ask",
    "court": "sport",
    "size": "court",
    "sand": "court",
    "clay": "court",
}


def said(content: str, **fields: Any) -> Json:
    """A message to append."""
    return {"role": "user", "content": content, **fields}


async def planted(me: httpx2.AsyncClient, tree: dict[str, str | None] = TREE) -> tuple[str, dict[str | None, str]]:
    """The path of a chat with a tree of messages, and their ids by name."""
    path = (await me.post("/chats", json={"title": "Horseshoes", "tags": ["game"], "metadata": {"n": 1}})).headers[
        "Location"
    ]
    ids: dict[str | None, Any] = {None: None}
    for name, parent in tree.items():
        body = said(name, parent=ids[parent], output_tokens=1, metadata={"name": name})
        ids[name] = ok(await me.post(f"{path}/messages", json=body))["message_id"]
    return path, ids


def way(name: str | None) -> list[str]:
    """The names on the way to a message."""
    found = []
    while name is not None:
        found.append(name)
        name = TREE[name]
    return found[::-1]


LEAVES = [name for name in TREE if name not in TREE.values()]


async def test_every_path_of_a_tree_reads_back(me: httpx2.AsyncClient) -> None:
    path, ids = await planted(me)
    for name, parent in TREE.items():
        found = await every_item(me, f"{path}/messages", head=ids[name], limit=2)
        assert [one["content"] for one in found] == way(name)
        assert [one["parent_id"] for one in found] == [None, *(one["message_id"] for one in found[:-1])]
        family = [ids[one] for one, follows in TREE.items() if follows == parent]
        assert found[-1].get("siblings") == (family if len(family) > 1 else None)
        assert ok(await me.get(f"{path}/messages/{ids[name]}")) == found[-1]
    everything = await every_item(me, f"{path}/messages", tree="true", limit=3)
    assert [one["content"] for one in everything] == list(TREE)
    leaves = await every_item(me, f"{path}/branches", limit=2)
    assert [one["head_id"] for one in leaves] == [ids[name] for name in LEAVES[::-1]]
    assert [one["message_count"] for one in leaves] == [len(way(name)) for name in LEAVES[::-1]]
    assert [one["output_tokens"] for one in leaves] == [len(way(name)) for name in LEAVES[::-1]]
    forks = {"points": "play", "history": "play", "size": "court", "sand": "court", "clay": "court"}
    assert [one["forked_at"] for one in leaves] == [ids[forks[name]] for name in LEAVES[::-1]]
    assert [one["is_active"] for one in leaves] == [True, False, False, False, False]


async def test_the_first_message_after_a_switch_tells_both_processes_of_its_siblings(
    me: httpx2.AsyncClient, me_too: httpx2.AsyncClient
) -> None:
    path, ids = await planted(me, {"a": None, "b": "a", "c": "b"})
    ok(await me.patch(path, json={"head": ids["b"]}))
    for client in (me, me_too):
        assert "siblings" not in ok(await client.get(f"{path}/messages/{ids['c']}"))
    again = {"Idempotency-Key": "d"}
    answer = await me.post(f"{path}/messages", json=said("d"), headers=again)
    family = [ids["c"], ok(answer)["message_id"]]
    assert ok(answer)["siblings"] == family
    assert (await me_too.post(f"{path}/messages", json=said("d"), headers=again)).content == answer.content
    for client in (me, me_too):
        assert ok(await client.get(f"{path}/messages/{ids['c']}"))["siblings"] == family
        assert [one["content"] for one in await every_item(client, f"{path}/messages")] == ["a", "b", "d"]


async def test_a_message_popped_and_another_one_instead(me: httpx2.AsyncClient, me_too: httpx2.AsyncClient) -> None:
    path, ids = await planted(me, {"a": None, "b": "a", "c": "b", "x": "a", "y": "x", "z": "x"})
    ok(await me.post(f"{path}/messages/pop"))
    assert "siblings" not in ok(await me_too.get(f"{path}/messages/{ids['y']}"))
    again = ok(await me.post(f"{path}/messages", json=said("z again")))
    assert again["siblings"] == [ids["y"], again["message_id"]]
    assert ok(await me_too.get(f"{path}/messages/{ids['y']}"))["siblings"] == again["siblings"]


async def test_branches_with_much_or_little_between_their_messages(me: httpx2.AsyncClient) -> None:
    path = (await me.post("/chats", json={})).headers["Location"]
    chat = ChatModel(path.rpartition("/")[2])

    async def append(parent: int | None, count: int, role: str = "user") -> None:
        follows = None if parent is None else chat.nodes[parent].message_id
        batch = [said(f"{number}", role=role) for number in range(count)]
        answer = await me.post(f"{path}/messages", json={"messages": batch, "parent": follows})
        chat.append(parent, ok(answer)["messages"])

    await append(None, 10)
    await append(5, 900, "assistant")  # far more than is looked through for a page of the other branch
    far = chat.head
    await append(10, 10)
    for _ in range(70):  # more segments than one statement has
        await append(chat.head, 1)
        assert chat.head is not None
        await append(chat.nodes[chat.head].parent, 1, "tool")
    await append(far, 1)
    narrow, wide = chat.last_seq - 1, chat.last_seq
    for head in (narrow, wide, 10, 20, far):
        for query in (
            {"limit": 1, "after_seq": 925},
            {"limit": 7},
            {"limit": 7, "order": "desc"},
            {"limit": 7, "role": "user"},
            {"limit": 200, "order": "desc", "role": "tool"},
            {"limit": 200},
            {"last": 1},
            {"last": 120},
            {"last": 12, "role": "user"},
            {"around_seq": 8, "limit": 9},
            {"around_seq": 1000, "limit": 150},
            {"max_turns": 3, "limit": 5},
        ):
            if query == {"limit": 1, "after_seq": 925} and head != 20:
                continue
            found = await every_item(me, f"{path}/messages", head=head, **query)
            assert found == chat.items(chat.page(head, query)), (head, query)
    assert await every_item(me, f"{path}/messages") == chat.items(chat.path(wide))
    assert await every_item(me, f"{path}/branches", limit=60) == chat.branches()


async def test_branches_of_a_line(me: httpx2.AsyncClient) -> None:
    path, _ = await planted(me, {})
    assert ok(await me.get(f"{path}/branches")) == {"items": [], "next_cursor": None}
    nothing: Json = {"head_id": None, "head_seq": None, "message_count": 0}
    side = {**nothing, "items": []}
    assert ok(await me.get(f"{path}/diff")) == {"shared": nothing, "a": side, "b": side}
    last = ok(await me.post(f"{path}/messages", json={"messages": [said("a", tokens=5), said("b", input_tokens=2)]}))
    head = last["messages"][-1]
    assert ok(await me.get(f"{path}/branches"))["items"] == [
        {
            "head_id": head["message_id"],
            "head_seq": 2,
            "is_active": True,
            "message_count": 2,
            "input_tokens": 2,
            "output_tokens": 0,
            "total_tokens": 7,
            "forked_at": None,
            "created_at": head["created_at"],
        }
    ]


async def test_the_active_branch_is_listed_wherever_it_ends(me: httpx2.AsyncClient) -> None:
    path, ids = await planted(me)
    ok(await me.patch(path, json={"head": ids["rules"]}))
    leaves = await every_item(me, f"{path}/branches")
    assert {one["head_id"] for one in leaves} == {ids[name] for name in (*LEAVES, "rules")}
    assert [one["head_id"] for one in leaves if one["is_active"]] == [ids["rules"]]


async def test_lists_and_diffs_are_answered_304_while_nothing_changed(me: httpx2.AsyncClient) -> None:
    path, _ = await planted(me)
    for name in ("branches", "diff"):
        first = await me.get(f"{path}/{name}")
        again = {"If-None-Match": first.headers["ETag"]}
        assert (await me.get(f"{path}/{name}", headers=again)).status_code == 304
        ok(await me.post(f"{path}/messages", json=said("more")))
        assert (await me.get(f"{path}/{name}", headers=again)).status_code == 200


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "cursor=x", "limit=x"])
async def test_a_list_of_branches_that_nobody_can_give(me: httpx2.AsyncClient, query: str) -> None:
    path, _ = await planted(me)
    problem(await me.get(f"{path}/branches?{query}"), 400 if query.startswith("cursor") else 422)


async def test_a_cursor_is_of_one_chat(me: httpx2.AsyncClient) -> None:
    (one, _), (other, _) = await planted(me), await planted(me)
    cursor = ok(await me.get(f"{one}/branches?limit=1"))["next_cursor"]
    ok(await me.get(f"{one}/branches", params={"cursor": cursor}))
    problem(await me.get(f"{other}/branches", params={"cursor": cursor}), 400)


async def test_what_two_branches_share(me: httpx2.AsyncClient) -> None:
    path, ids = await planted(me)
    for a, b, shared, mine, theirs in (
        ("points", "history", ["ask", "play"], ["rules", "points"], ["history"]),
        ("sand", "clay", ["ask", "sport", "court"], ["sand"], ["clay"]),
        ("points", "clay", ["ask"], ["play", "rules", "points"], ["sport", "court", "clay"]),
        ("play", "points", ["ask", "play"], [], ["rules", "points"]),
        ("size", None, ["ask", "sport", "court"], ["size"], ["clay"]),
    ):
        named = {"a": ids[a]} | ({"b": ids[b]} if b else {})
        found = ok(await me.get(f"{path}/diff", params=named))
        last = {"head_id": ids[shared[-1]], "head_seq": list(TREE).index(shared[-1]) + 1}
        assert found["shared"] == {**last, "message_count": len(shared)}
        for side, names in (("a", mine), ("b", theirs)):
            assert [one["content"] for one in found[side]["items"]] == names
            assert found[side]["message_count"] == len(names)
        assert (found["a"]["head_id"], found["b"]["head_id"]) == (ids[a], ids[b or "clay"])
    short = ok(await me.get(f"{path}/diff?a=4&limit=1"))
    assert (short["a"]["message_count"], len(short["a"]["items"])) == (3, 1)
    for name in (ABSENT, "0", "11"):
        problem(await me.get(f"{path}/diff", params={"b": name}), 404)
    problem(await me.get(f"{path}/diff?a=x"), 422)


async def test_a_fork(me: httpx2.AsyncClient) -> None:
    path, ids = await planted(me)
    ok(await me.patch(f"{path}/messages/1", json={"content": "asked", "tokens": 40}))
    before = await every_item(me, f"{path}/messages", tree="true")
    source = ok(await me.get(path))
    answer = await me.post(f"{path}/fork", json={"at": ids["history"].upper(), "key": "copy", "title": None})
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["Location"] == f"/chats/{made['chat_id']}"
    copies = await every_item(me, f"/chats/{made['chat_id']}/messages")
    originals = [one for one in before if one["content"] in ("asked", "play", "history")]
    own = ("message_id", "chat_id", "seq", "parent_id", "siblings")
    assert [drop(one, own) for one in copies] == [drop(one, own) for one in originals]
    assert [one["seq"] for one in copies] == [1, 2, 3]
    assert [one["parent_id"] for one in copies] == [None, *(one["message_id"] for one in copies[:2])]
    assert not {one["message_id"] for one in copies} & {one["message_id"] for one in before}
    expected = {
        "key": "copy",
        "title": None,
        "tags": ["game"],
        "metadata": {"n": 1},
        "forked_from": source["chat_id"],
        "forked_at": ids["history"],
        "head_id": copies[-1]["message_id"],
        "message_count": 3,
        "last_seq": 3,
        "output_tokens": 3,
        "total_tokens": 42,
    }
    assert {name: made[name] for name in expected} == expected
    assert ok(await me.get(f"/chats/{made['chat_id']}")) == made
    assert ok(await me.get(path)) == source
    assert await every_item(me, f"{path}/messages", tree="true") == before
    assert ok(await me.post("/chats/key:copy/messages", json=said("more")))["seq"] == 4


def drop(message: Json, names: tuple[str, ...]) -> Json:
    """A message without some of its fields."""
    return {name: value for name, value in message.items() if name not in names}


async def test_a_fork_of_all_there_is(me: httpx2.AsyncClient) -> None:
    path, ids = await planted(me)
    made = ok(await me.post(f"{path}/fork"))
    assert (made["forked_at"], made["message_count"], made["title"]) == (ids["clay"], 4, "Horseshoes")
    empty, _ = await planted(me, {})
    made = ok(await me.post(f"{empty}/fork", json={"tags": []}))
    assert (made["forked_at"], made["message_count"], made["head_id"], made["tags"]) == (None, 0, None, [])
    assert ok(await me.post(f"/chats/{made['chat_id']}/messages", json=said("first")))["seq"] == 1


async def test_a_fork_longer_than_a_batch(me: httpx2.AsyncClient) -> None:
    path = (await me.post("/chats", json={})).headers["Location"]
    last = None
    for start in range(0, 2100, 300):
        # Every other one is left again, so that the branch is of many segments.
        ok(await me.post(f"{path}/messages", json=said("left")))
        batch = [said(f"{start + number}", input_tokens=1) for number in range(300)]
        body = {"messages": batch, "parent": last}
        last = ok(await me.post(f"{path}/messages", json=body))["messages"][-1]["message_id"]
    made = ok(await me.post(f"{path}/fork"))
    assert (made["message_count"], made["input_tokens"], made["last_seq"]) == (2100, 2100, 2100)
    copies = await every_item(me, f"/chats/{made['chat_id']}/messages")
    assert [one["content"] for one in copies] == [str(number) for number in range(2100)]


async def test_what_the_summary_of_a_copy_covers(me: httpx2.AsyncClient) -> None:
    chat = ok(await me.post("/chats", json={"conversation": [said(str(n)) for n in range(5)]}))
    path = f"/chats/{chat['chat_id']}"
    ok(await me.delete(f"{path}/messages/2"))
    ok(await me.patch(path, json={"summary": "s", "summary_until_seq": 4}))
    for body, until in (
        ({}, 3),
        ({"at": 1}, 1),
        ({"summary": "another"}, None),
        ({"summary": "another", "summary_until_seq": 2}, 2),
    ):
        assert ok(await me.post(f"{path}/fork", json=body))["summary_until_seq"] == until
    ok(await me.patch(path, json={"summary_until_seq": None}))
    assert ok(await me.post(f"{path}/fork"))["summary_until_seq"] is None


async def test_a_fork_is_made_once(me: httpx2.AsyncClient) -> None:
    path, _ = await planted(me)
    again = {"Idempotency-Key": "fork"}
    answers = await asyncio.gather(*(me.post(f"{path}/fork", json={"at": 2}, headers=again) for _ in range(3)))
    assert len({(one.status_code, one.content, one.headers["Location"]) for one in answers}) == 1
    assert len(await every_item(me, "/chats")) == 2


async def test_a_fork_that_nobody_can_make(me: httpx2.AsyncClient) -> None:
    path, _ = await planted(me)
    ok(await me.post("/chats", json={"key": "taken"}))
    problem(await me.post(f"{path}/fork", json={"key": "taken"}), 409)
    for at in (0, 11, -1, 2**40, ABSENT, "", "x", "1 "):
        problem(await me.post(f"{path}/fork", json={"at": at}), 422)
    for body in ({"at": True}, {"at": 1.0}, {"seq": 1}, {"user_id": "ann"}):
        problem(await me.post(f"{path}/fork", json=body), 422)
    problem(await me.post(f"/chats/{ABSENT}/fork", json={}), 404)
    assert len(await every_item(me, "/chats")) == 2


async def test_an_answer_in_progress_is_copied_as_far_as_it_is_on_disk(me: httpx2.AsyncClient) -> None:
    path, _ = await planted(me, {"a": None})
    opened = ok(
        await me.post(f"{path}/messages", json={"role": "assistant", "content": "Eight min", "status": "in_progress"})
    )
    made = ok(await me.post(f"{path}/fork"))
    copy = ok(await me.get(f"/chats/{made['chat_id']}/messages/2"))
    assert (copy["status"], copy["content"]) == ("incomplete", "Eight min")
    assert ok(await me.get(f"{path}/messages/{opened['message_id']}"))["status"] == "in_progress"


async def test_what_a_fork_records(app: FastAPI, me: httpx2.AsyncClient) -> None:
    path, _ = await planted(me)
    made = ok(await me.post(f"{path}/fork", json={"at": 3}))
    statement = select(Change).where(col(Change.user_id) == made["user_id"]).order_by(col(Change.position).desc())
    async with app.state.services.db.read() as session:
        last = (await session.execute(statement.limit(1))).scalar_one()
    assert last.events == [["chat.created", made["chat_id"]], ["appended", made["chat_id"], 1, 3]]


async def test_a_parent_that_is_no_message(me: httpx2.AsyncClient) -> None:
    path, _ = await planted(me)
    for parent in (0, 11, -1, "", "x", ABSENT, True):
        problem(await me.post(f"{path}/messages", json=said("lost", parent=parent)), 422)
    assert ok(await me.get(path))["message_count"] == len(TREE)


async def test_a_head_of_null_begins_at_the_root(me: httpx2.AsyncClient, me_too: httpx2.AsyncClient) -> None:
    path = (await me.post("/chats", json={"conversation": [said("a"), said("b")]})).headers["Location"]
    chat = ok(await me.patch(path, json={"head": None}))
    assert (chat["head_id"], chat["message_count"]) == (None, 2)
    for client in (me, me_too):
        assert await every_item(client, f"{path}/messages") == []
        assert len(await every_item(client, f"{path}/messages", tree=True)) == 2
    change = ok(await me.get("/changes"))["items"][-1]
    assert (change["type"], change["head_id"], change["head_seq"]) == ("head.moved", None, None)
    # Where it is already, nothing changes.
    assert ok(await me.patch(path, json={"head": None}))["version"] == chat["version"]
    after = ok(await me_too.post(f"{path}/messages", json=said("c")))
    assert (after["parent_id"], after["seq"], len(after["siblings"])) == (None, 3, 2)
    assert [one["content"] for one in await every_item(me, f"{path}/messages")] == ["c"]
    ok(await me.patch(path, json={"head": 2}))
    assert [one["content"] for one in await every_item(me, f"{path}/messages")] == ["a", "b"]
