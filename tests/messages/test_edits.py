"""Edits change a message in place, and what it was before can still be read."""

import asyncio
from itertools import pairwise
from typing import Any
from unittest.mock import ANY

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from tests.callers import Json, every_item, ok, problem
from tests.invalid_cursors import CORRUPTIONS, FORGED_POSITIONS, Corrupt, forged
from tests.messages.strategies import CONTENT, MESSAGES, OBJECTS, TEXT, TOKENS
from tests.profiles import examples
from tests.statements import statements
from tests.tables import stored

HELLO: Json = {"role": "user", "content": "Hello"}
CALL: Json = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1.0}'}}],
}
# What a message has for itself, and an edit does not touch.
PLACE = ("message_id", "chat_id", "seq", "parent_id", "siblings", "created_at", "edited_at")


@pytest.fixture
async def path(me: httpx2.AsyncClient) -> str:
    """The path of a chat of mine that has no messages."""
    return (await me.post("/chats", json={})).headers["Location"]


def form(message: Json) -> Json:
    """What a revision keeps of a message."""
    return {name: value for name, value in message.items() if name not in PLACE}


def forms(revisions: list[Json]) -> list[Json]:
    """What revisions keep, after a look at the rest of them."""
    assert [one["revision"] for one in revisions] == [*range(1, len(revisions) + 1)]
    for before, after in pairwise(revisions):
        assert before["replaced_at"] <= after["replaced_at"]
    return [
        {name: value for name, value in one.items() if name not in ("revision", "replaced_at")} for one in revisions
    ]


async def test_a_message_that_was_never_edited_has_no_revisions(me: httpx2.AsyncClient, path: str) -> None:
    said = ok(await me.post(f"{path}/messages", json=HELLO))
    for name in (1, said["message_id"], said["message_id"].upper()):
        answer = await me.get(f"{path}/messages/{name}/revisions")
        assert answer.content == b'{"items":[],"next_cursor":null}'


async def test_every_earlier_form_is_kept(me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, path: str) -> None:
    message = ok(await me.post(f"{path}/messages", json=HELLO | {"tokens": 5, "metadata": {"a": 1}}))
    expected = []
    patches: list[Json] = [
        {"content": "New"},
        {"content": [{"type": "text", "text": "n"}], "tokens": None},
        {"metadata": {"b": 2}},
        {"metadata": None},
        {"tool_calls": [{"id": "x"}], "name": "n", "model": "m", "tool_call_id": "i"},
        {"content": None},
        {"content": "", "input_tokens": 1, "output_tokens": 2},
    ]
    for patch in patches:
        expected.append(form(message))
        message = ok(await me.patch(f"{path}/messages/1", json=patch))
        revisions = ok(await me_too.get(f"{path}/messages/1/revisions"))["items"]
        assert forms(revisions) == expected
        assert revisions[-1]["replaced_at"] == message["edited_at"]
    assert expected[0] == {**HELLO, "type": "message", "tokens": 5, "metadata": {"a": 1}}


async def test_no_content_and_a_null_are_kept_apart(me: httpx2.AsyncClient, path: str) -> None:
    bare: Json = {"role": "assistant", "type": "reasoning"}
    calls = {name: value for name, value in CALL.items() if name != "content"}
    ok(await me.post(f"{path}/messages", json={"messages": [CALL, calls, bare, {**bare, "content": None}]}))
    for seq, has_null in ((1, True), (2, False), (3, False), (4, True)):
        ok(await me.patch(f"{path}/messages/{seq}", json={"name": "n"}))
        for _ in range(2):
            ok(await me.patch(f"{path}/messages/{seq}", json={"content": "text"}))
            ok(await me.patch(f"{path}/messages/{seq}", json={"content": None}))
        kept = ok(await me.get(f"{path}/messages/{seq}/revisions"))["items"]
        contents = [one.get("content", "none") for one in kept]
        # Taken away, a content is not there, rather than null.
        assert contents == [None if has_null else "none"] * 2 + ["text", "none", "text"]
        assert "content" not in ok(await me.get(f"{path}/messages/{seq}"))


PATCHES: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {},
    optional={
        "content": CONTENT,
        "tool_calls": st.one_of(st.none(), st.lists(OBJECTS, max_size=2)),
        "metadata": st.one_of(st.none(), OBJECTS),
        **{name: st.one_of(st.none(), TEXT) for name in ("tool_call_id", "name", "model")},
        **{name: st.one_of(st.none(), TOKENS) for name in ("tokens", "input_tokens", "output_tokens")},
    },
)


@examples(fast=12, all=100)
@given(message=MESSAGES, patches=st.lists(PATCHES, min_size=1, max_size=4))
async def test_what_was_read_before_is_what_a_revision_says(
    me: httpx2.AsyncClient, message: Json, patches: list[Json]
) -> None:
    path = (await me.post("/chats", json={"conversation": [message]})).headers["Location"]
    forms_read = [ok(await me.get(f"{path}/messages/1"))]
    for patch in patches:
        answer = await me.patch(f"{path}/messages/1", json=patch)
        if answer.status_code == 422:
            continue
        read = await me.get(f"{path}/messages/1")
        assert read.content == answer.content
        if repr(form(ok(read))) != repr(form(forms_read[-1])):
            forms_read.append(ok(read))
    revisions = await every_item(me, f"{path}/messages/1/revisions")
    expected = [form(one) for one in forms_read[:-1]]
    kept = forms(revisions)
    assert kept == expected
    # To the kind of each number, and the order of each object's names.
    assert [sorted(map(repr, one.items())) for one in kept] == [sorted(map(repr, one.items())) for one in expected]
    chat = ok(await me.get(path))
    last = forms_read[-1]
    given_ = last.get("input_tokens", 0), last.get("output_tokens", 0)
    assert (chat["input_tokens"], chat["output_tokens"]) == given_
    assert chat["total_tokens"] == last.get("tokens", sum(given_))
    # It was created, and had its message; then came the edits.
    assert chat["version"] == 2 + len(forms_read) - 1
    ok(await me.delete(path, params={"hard": "true"}))


UNCHANGED: list[tuple[Json, Json]] = [
    (HELLO, {}),
    (HELLO, {"content": "Hello"}),
    (HELLO, {"name": None, "tokens": None, "metadata": None, "tool_calls": None}),
    (HELLO | {"metadata": {"a": 1, "b": {"c": [1, 1.0, -0.0]}}}, {"metadata": {"b": {"c": [1, 1.0, -0.0]}}}),
    (HELLO | {"metadata": {"a": 1}}, {"metadata": {"x": None}}),
    (HELLO | {"metadata": {}}, {"metadata": {}}),
    (HELLO | {"tokens": 5, "model": "m"}, {"tokens": 5, "model": "m"}),
    (CALL, {"content": None}),
    (CALL, {"tool_calls": CALL["tool_calls"]}),
]


@pytest.mark.parametrize(("message", "patch"), UNCHANGED, ids=str)
async def test_an_edit_that_changes_nothing_leaves_everything(
    app: FastAPI, me: httpx2.AsyncClient, path: str, message: Json, patch: Json
) -> None:
    said = await me.post(f"{path}/messages", json=message)
    before = await stored(app, me.headers["X-User-Id"])
    for _ in range(2):
        assert (await me.patch(f"{path}/messages/1", json=patch)).content == said.content
    assert await stored(app, me.headers["X-User-Id"]) == before


CHANGED: list[tuple[Json, Json]] = [
    ({"metadata": {"a": 1}}, {"metadata": {"a": True}}),
    ({"metadata": {"a": 1}}, {"metadata": {"a": 1.0}}),
    ({"metadata": {"a": 0.0}}, {"metadata": {"a": -0.0}}),
    ({"metadata": {"a": {"x": []}}}, {"metadata": {"a": {"x": {}}}}),
    ({"tool_calls": [{"a": 1, "b": 2}]}, {"tool_calls": [{"b": 2, "a": 1}]}),
    ({}, {"metadata": {}}),
    ({}, {"tokens": 0}),
    ({}, {"name": ""}),
]


@pytest.mark.parametrize(("extra", "patch"), CHANGED, ids=str)
async def test_what_is_equal_to_python_alone_is_a_change(
    me: httpx2.AsyncClient, path: str, extra: Json, patch: Json
) -> None:
    said = ok(await me.post(f"{path}/messages", json=HELLO | extra))
    version = ok(await me.get(path))["version"]
    edited = ok(await me.patch(f"{path}/messages/1", json=patch))
    assert repr(edited) != repr({**said, "edited_at": edited["edited_at"]})
    (kept,) = forms(ok(await me.get(f"{path}/messages/1/revisions"))["items"])
    assert {name: repr(value) for name, value in kept.items()} == {n: repr(v) for n, v in form(said).items()}
    assert ok(await me.get(path))["version"] == version + 1


async def test_an_edit_moves_the_counters(me: httpx2.AsyncClient, path: str) -> None:
    ok(await me.post(f"{path}/messages", json={"messages": [HELLO | {"tokens": 7}, HELLO | {"input_tokens": 3}]}))
    steps: list[tuple[int, Json, tuple[int, int, int]]] = [
        (1, {"tokens": None}, (3, 0, 3)),
        (1, {"input_tokens": 4, "output_tokens": 5}, (7, 5, 12)),
        (1, {"tokens": 1}, (7, 5, 4)),
        (2, {"input_tokens": None, "tokens": 10**12}, (4, 5, 1 + 10**12)),
        (2, {"tokens": 0}, (4, 5, 1)),
    ]
    for seq, patch, counted in steps:
        before = ok(await me.get(path))
        ok(await me.patch(f"{path}/messages/{seq}", json=patch))
        chat = ok(await me.get(path))
        assert (chat["input_tokens"], chat["output_tokens"], chat["total_tokens"]) == counted
        assert (chat["message_count"], chat["version"]) == (2, before["version"] + 1)
        assert chat["last_activity_at"] > before["last_activity_at"]
        assert chat["updated_at"] == before["updated_at"]


async def test_twenty_edits_at_once_keep_every_form(
    me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, path: str
) -> None:
    ok(await me.post(f"{path}/messages", json=HELLO))
    answers = await asyncio.gather(
        *((me, me_too)[n % 2].patch(f"{path}/messages/1", json={"content": str(n)}) for n in range(20))
    )
    last = ok(await me.get(f"{path}/messages/1"))["content"]
    kept = [one["content"] for one in forms(ok(await me.get(f"{path}/messages/1/revisions"))["items"])]
    assert {ok(answer)["content"] for answer in answers} == {str(n) for n in range(20)}
    assert kept[0] == "Hello"
    assert sorted([*kept[1:], last], key=int) == [str(n) for n in range(20)]


async def test_revisions_by_pages(app: FastAPI, me: httpx2.AsyncClient, path: str) -> None:
    ok(await me.post(f"{path}/messages", json={"messages": [HELLO, HELLO]}))
    for n in range(7):
        ok(await me.patch(f"{path}/messages/1", json={"content": str(n)}))
    at = f"{path}/messages/1/revisions"
    every = ok(await me.get(at))["items"]
    assert [one["content"] for one in every] == ["Hello", *"012345"]
    for limit in (1, 2, 3, 6, 7, 200):
        assert await every_item(me, at, limit=limit) == every
    async with statements(app) as seen:
        first = await me.get(at, params={"limit": 3})
    assert len(seen) == 1
    cursor = ok(first)["next_cursor"]
    assert first.headers["Link"] == f'<{at}?limit=3&cursor={cursor}>; rel="next"'
    # What is edited meanwhile comes at the end.
    ok(await me.patch(f"{path}/messages/1", json={"content": "new"}))
    assert [one["content"] for one in ok(await me.get(at, params={"cursor": cursor}))["items"]] == [*"23456"]
    for other in (f"{path}/messages/2/revisions", f"{path}/messages", f"{path}/messages/1/feedback"):
        problem(await me.get(other, params={"cursor": cursor}), 400)


@examples(fast=25, all=160)
@given(damage=CORRUPTIONS)
async def test_a_damaged_cursor_is_refused(me: httpx2.AsyncClient, damage: Corrupt) -> None:
    at = "/chats/key:damaged/messages/1"
    if not ok(await me.put("/chats/key:damaged"))["message_count"]:
        ok(await me.post("/chats/key:damaged/messages", json=HELLO))
        for content in ("1", "2"):
            ok(await me.patch(at, json={"content": content}))
    cursor = ok(await me.get(f"{at}/revisions", params={"limit": 1}))["next_cursor"]
    damaged = damage(cursor)
    answer = await me.get(f"{at}/revisions", params={"cursor": damaged})
    assert answer.status_code in ((200,) if damaged == cursor else (400, 422))


@pytest.mark.parametrize("place", FORGED_POSITIONS, ids=ascii)
@pytest.mark.parametrize("end", ["revisions", "feedback"])
async def test_a_forged_cursor_is_refused_or_harmless(
    me: httpx2.AsyncClient, path: str, place: bytes, end: str
) -> None:
    ok(await me.post(f"{path}/messages", json=HELLO))
    binding = [end, me.headers["X-User-Id"], "chat_id", path.rpartition("/")[2], "1"]
    genuine = {"cursor": forged(binding, b"[259]" if end == "revisions" else b'["user:x"]')}
    assert ok(await me.get(f"{path}/messages/1/{end}", params=genuine)) == {"items": [], "next_cursor": None}
    answer = await me.get(f"{path}/messages/1/{end}", params={"cursor": forged(binding, place)[:1024]})
    assert answer.status_code in (200, 400)


async def test_a_message_in_progress_takes_no_edit(app: FastAPI, me: httpx2.AsyncClient, path: str) -> None:
    body = {"role": "assistant", "content": "Eight", "status": "in_progress"}
    ok(await me.post(f"{path}/messages", json=body))
    before = await stored(app, me.headers["X-User-Id"])
    patches: list[Json] = [{"content": "x"}, {"metadata": {"a": 1}}, {}]
    for patch in patches:
        problem(await me.patch(f"{path}/messages/1", json=patch), 409)
    assert await stored(app, me.headers["X-User-Id"]) == before


@pytest.mark.parametrize(
    ("method", "end", "body"),
    [
        ("DELETE", "/messages/1", None),
        ("POST", "/messages/pop", None),
        ("DELETE", "/messages", None),
        ("PUT", "", {"conversation": []}),
        ("DELETE", "?hard=true", None),
    ],
)
async def test_revisions_and_feedback_go_with_their_message(
    app: FastAPI, me: httpx2.AsyncClient, path: str, method: str, end: str, body: Any
) -> None:
    ok(await me.post(f"{path}/messages", json=HELLO))
    ok(await me.patch(f"{path}/messages/1", json={"content": "x"}))
    ok(await me.put(f"{path}/messages/1/feedback", json={"rating": 1}))
    tables = await stored(app, me.headers["X-User-Id"])
    assert len(tables["revisions"]) == len(tables["feedback"]) == 1
    ok(await me.request(method, path + end, json=body))
    tables = await stored(app, me.headers["X-User-Id"])
    assert (tables["revisions"], tables["feedback"]) == ([], [])


async def test_the_trash_shows_no_revisions(me: httpx2.AsyncClient, path: str) -> None:
    ok(await me.post(f"{path}/messages", json=HELLO))
    ok(await me.patch(f"{path}/messages/1", json={"content": "x"}))
    ok(await me.delete(path))
    problem(await me.get(f"{path}/messages/1/revisions"), 404)
    ok(await me.post(f"{path}/restore"))
    assert ok(await me.get(f"{path}/messages/1/revisions"))["items"] == [
        {"revision": 1, **HELLO, "type": "message", "replaced_at": ANY}
    ]


@pytest.mark.parametrize("patch", [{"role": "system"}, {"revision": 1}, {"edited_at": None}, {"feedback": 1}], ids=str)
async def test_an_edit_takes_what_it_documents(app: FastAPI, me: httpx2.AsyncClient, path: str, patch: Json) -> None:
    ok(await me.post(f"{path}/messages", json=HELLO))
    before = await stored(app, me.headers["X-User-Id"])
    problem(await me.patch(f"{path}/messages/1", json=patch), 422)
    assert await stored(app, me.headers["X-User-Id"]) == before
