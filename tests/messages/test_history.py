"""Reading history: every window of it held against a plain list, and never a stale page from the cache."""

import asyncio
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from app.models import Message
from app.settings import Settings
from tests.callers import Json, acting, every_item, ok, problem, started
from tests.invalid_cursors import CORRUPTIONS, FORGED_POSITIONS, Corrupt, forged
from tests.messages.roundtrip import in_a_line
from tests.messages.strategies import ROLES
from tests.profiles import examples
from tests.tables import stored

HELLO: Json = {"role": "user", "content": "Hello"}
LENGTH = 260
# Deleted again: the seqs have gaps, at both ends too.
GONE = {1, 2, 7, 50, 51, 52, 199, 200, 259, 260}


@dataclass(frozen=True)
class Long:
    """A long chat: who may read it, where it is, and what it holds."""

    client: httpx2.AsyncClient
    path: str
    messages: list[Json]


@pytest.fixture(scope="module")
async def long(
    app: FastAPI, make_user: Callable[[], str], as_user: Callable[[str], dict[str, str]]
) -> AsyncIterator[Long]:
    """A chat of 250 messages: system, then turns of different lengths."""
    roles = ["system", "assistant"] + [
        ("user", "assistant", "tool", "assistant", "user")[n % 5] for n in range(LENGTH - 2)
    ]
    async with acting(app, as_user(make_user())) as client:
        body = {"messages": [{"role": role, "content": f"{n}"} for n, role in enumerate(roles, 1)]}
        messages = ok(await client.post("/chats/key:long/messages", json=body))["messages"]
        for seq in GONE:
            ok(await client.delete(f"/chats/key:long/messages/{seq}"))
        kept = in_a_line([message for message in messages if message["seq"] not in GONE])
        yield Long(client, f"/chats/{kept[0]['chat_id']}/messages", kept)


SEQS = st.integers(0, LENGTH + 3) | st.just(2**31 - 1)
LIMITS = st.integers(1, 200)
PAGED = st.fixed_dictionaries(
    {},
    optional={
        "order": st.sampled_from(["asc", "desc"]),
        "limit": LIMITS,
        "role": ROLES,
        "after_seq": SEQS,
        "before_seq": SEQS,
    },
)
WINDOWS = st.one_of(
    st.fixed_dictionaries({"last": LIMITS}, optional={"role": ROLES, "limit": LIMITS}),
    st.fixed_dictionaries({"max_turns": st.integers(1, 120)}, optional={"limit": LIMITS}),
    st.fixed_dictionaries({"around_seq": SEQS}, optional={"limit": LIMITS}),
)


def expected(messages: list[Json], query: Json) -> tuple[list[Json], int]:
    """What a query asks for in all, and how much of it a page has."""
    found = [
        m
        for m in messages
        if query.get("role", m["role"]) == m["role"]
        and query.get("after_seq", -1) < m["seq"] < query.get("before_seq", 2**40)
    ]
    limit = query.get("limit", 50)
    if "last" in query:
        return found[-query["last"] :], query["last"]
    if "max_turns" in query:
        turns = [m["seq"] for m in found if m["role"] == "user"][-query["max_turns"] :]
        begin = turns[0] if len(turns) == query["max_turns"] else 0
        return [m for m in found if m["seq"] >= begin], query.get("limit", 200)
    if "around_seq" in query:
        before = [m for m in found if m["seq"] < query["around_seq"]]
        after = [m for m in found if m["seq"] >= query["around_seq"]]
        return before[len(before) - min(len(before), limit // 2) :] + after[: limit - limit // 2], limit
    return found[::-1] if query.get("order") == "desc" else found, limit


@examples(fast=30, all=600)
@given(query=PAGED | WINDOWS)
async def test_every_query_gives_what_a_plain_list_would(long: Long, query: Json) -> None:
    whole, size = expected(long.messages, query)
    cursor: Json = {}
    for first in range(0, max(len(whole), 1), size):
        answer = await long.client.get(long.path, params={**query, **cursor})
        page = ok(answer)
        assert page["items"] == whole[first : first + size]
        more = first + size < len(whole)
        assert (page["next_cursor"] is not None) == more == ("Link" in answer.headers)
        cursor = {"cursor": page["next_cursor"]}
        assert (await long.client.get("/chats/key:long/messages", params=query)).is_success


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 49, 200])
async def test_links_lead_through_the_whole_chat(long: Long, order: str, limit: int) -> None:
    path: str | None = f"{long.path}?order={order}&limit={limit}"
    seen: list[Json] = []
    while path:
        answer = await long.client.get(path)
        seen += ok(answer)["items"]
        path = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert seen == (long.messages if order == "asc" else long.messages[::-1])


async def test_an_empty_chat_has_an_empty_history(me: httpx2.AsyncClient) -> None:
    path = (await me.post("/chats", json={})).headers["Location"]
    for query in ({}, {"last": 5}, {"max_turns": 2}, {"around_seq": 3}, {"order": "desc"}, {"role": "user"}):
        assert ok(await me.get(f"{path}/messages", params=query)) == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 201},
        {"limit": "many"},
        {"last": 0},
        {"last": 201},
        {"max_turns": 0},
        {"max_turns": 1001},
        {"after_seq": -1},
        {"before_seq": 2**31},
        {"around_seq": 10**30},
        {"role": "robot"},
        {"order": "up"},
        {"last": 5, "max_turns": 5},
        {"last": 5, "around_seq": 5},
        {"last": 5, "after_seq": 5},
        {"max_turns": 5, "role": "user"},
        {"around_seq": 5, "before_seq": 9},
        {"last": 5, "order": "desc"},
        {"last": 5, "cursor": "x"},
    ],
    ids=str,
)
async def test_a_query_that_makes_no_sense_is_refused(long: Long, query: Json) -> None:
    details = problem(await long.client.get(long.path, params=query), 422)
    assert details["errors"][0]["loc"][0] == "query"


@examples(fast=30, all=600)
@given(damage=CORRUPTIONS)
async def test_a_damaged_cursor_is_refused(long: Long, damage: Corrupt) -> None:
    cursor = ok(await long.client.get(long.path, params={"limit": 10}))["next_cursor"]
    damaged = damage(cursor)
    if damaged != cursor:
        problem(await long.client.get(long.path, params={"limit": 10, "cursor": damaged}), 400)


async def test_a_cursor_is_good_for_its_chat_and_query_only(
    long: Long, app: FastAPI, as_user: Callable[[str], dict[str, str]], me: httpx2.AsyncClient
) -> None:
    cursor = ok(await long.client.get(long.path, params={"limit": 10}))["next_cursor"]
    assert ok(await long.client.get(long.path, params={"limit": 3, "cursor": cursor}))["items"] == long.messages[10:13]
    for query in ({"order": "desc"}, {"role": "user"}, {"after_seq": 1}, {"before_seq": 90}, {"max_turns": 100}):
        problem(await long.client.get(long.path, params={**query, "cursor": cursor}), 400)
    path = (await long.client.post("/chats", json={"conversation": [HELLO]})).headers["Location"]
    problem(await long.client.get(f"{path}/messages", params={"cursor": cursor}), 400)
    assert (await me.get(long.path, params={"cursor": cursor})).status_code in (400, 404)


@pytest.mark.parametrize("place", FORGED_POSITIONS, ids=ascii)
async def test_a_forged_cursor_is_refused_or_harmless(long: Long, place: bytes) -> None:
    chat_id = long.path.split("/")[2]
    binding = ["messages", long.client.headers["X-User-Id"], chat_id, "asc", None, None, None, None, None, False]
    genuine = {"cursor": forged(binding, b"[259]")}
    assert ok(await long.client.get(long.path, params=genuine)) == {"items": [], "next_cursor": None}
    answer = await long.client.get(long.path, params={"cursor": forged(binding, place)[:1024]})
    assert answer.status_code == 400 or ok(answer)["items"] == [m for m in long.messages if m["seq"] > 1][:50]


# What can be done to a chat's messages, each with the tokens it brings.
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 50)),
        st.tuples(st.just("batch"), st.integers(1, 5)),
        st.tuples(st.just("edit"), st.integers(0, 9)),
        st.tuples(st.just("tokens"), st.integers(0, 9)),
        st.tuples(st.just("delete"), st.integers(0, 9)),
        st.tuples(st.just("pop"), st.just(0)),
        st.tuples(st.just("clear"), st.just(0)),
        st.tuples(st.just("put"), st.integers(0, 4)),
        st.tuples(st.just("patch"), st.integers(0, 9)),
        st.tuples(st.just("trash"), st.just(0)),
    ),
    min_size=4,
    max_size=14,
)
READS = ("", "?last=3", "?max_turns=2", "?order=desc&limit=2", "?role=user")


@dataclass
class Model:
    """A chat as a plain list, and the requests that change both."""

    path: str
    seq: int = 0
    messages: list[Json] = field(default_factory=list)

    def said(self, message: Json) -> Json:
        """The message, now in the list."""
        self.seq += 1
        self.messages.append({"seq": self.seq, **message})
        return message

    def new(self, count: int) -> list[Json]:
        """New messages, now in the list: some with tokens, some with their input and output apart."""
        tokens: list[Json] = [
            {},
            {"tokens": 7},
            {"input_tokens": 2, "output_tokens": 3},
            {"tokens": 1, "input_tokens": 9},
        ]
        return [
            self.said({"role": ("user", "assistant")[n % 2], "content": f"{self.seq}", **tokens[(self.seq + n) % 4]})
            for n in range(count)
        ]

    def request(self, change: str, number: int) -> tuple[str, str, Any]:
        """Makes a change in the list, and gives the method, path and body that make it in the chat."""
        one = self.messages[number % len(self.messages)] if self.messages else None
        match change:
            case "append":
                return "POST", "/messages", self.new(1)[0]
            case "batch":
                return "POST", "/messages", {"messages": self.new(number)}
            case "edit" if one:
                one["content"] = "edited"
                return "PATCH", f"/messages/{one['seq']}", {"content": "edited"}
            case "tokens" if one:
                one.pop("input_tokens", None)
                one["tokens"] = number
                return "PATCH", f"/messages/{one['seq']}", {"tokens": number, "input_tokens": None}
            case "delete" if one:
                self.messages.remove(one)
                return "DELETE", f"/messages/{one['seq']}", None
            case "pop" if one:
                self.messages.pop()
                return "POST", "/messages/pop", None
            case "clear":
                self.messages.clear()
                return "DELETE", "/messages", None
            case "put":
                self.messages.clear()
                return "PUT", "", {"title": f"{number}", "conversation": self.new(number)}
            case _:
                return "PATCH", "", {"title": f"{number}"}

    def counters(self) -> Json:
        """What the chat should say of its messages, counted one by one."""
        given = [(m.get("input_tokens", 0), m.get("output_tokens", 0), m.get("tokens")) for m in self.messages]
        return {
            "message_count": len(self.messages),
            "input_tokens": sum(into for into, _, _ in given),
            "output_tokens": sum(out for _, out, _ in given),
            "total_tokens": sum(into + out if tokens is None else tokens for into, out, tokens in given),
            "last_seq": self.seq,
        }


@examples(fast=5, all=60)
@given(changes=CHANGES)
async def test_counters_versions_and_both_caches_follow_every_change(
    me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, changes: list[tuple[str, int]]
) -> None:
    chat = ok(await me.post("/chats", json={"key": "changing"}))
    model, version = Model(f"/chats/{chat['chat_id']}"), chat["version"]
    for turn, (change, number) in enumerate(changes):
        here, there = (me, me_too) if turn % 2 else (me_too, me)
        before, edited = deepcopy(model.messages), False
        if change == "trash":
            ok(await here.delete(model.path))
            for client in (here, there):
                problem(await client.get(f"{model.path}/messages"), 404)
            ok(await there.post("/chats/key:changing/restore"))
        else:
            method, end, body = model.request(change, number)
            edited = method == "PATCH" and end.startswith("/messages/")
            ok(await here.request(method, model.path + end, json=body))
        for client in (here, there):
            chat = ok(await client.get(model.path))
            assert {name: chat[name] for name in model.counters()} == model.counters()
            for read in READS:
                names = dict(pair.split("=") for pair in read[1:].split("&") if pair)
                query = {name: int(value) if value.isdigit() else value for name, value in names.items()}
                whole, size = expected(model.messages, query)
                for path in (model.path, "/chats/key:changing"):
                    found = ok(await client.get(f"{path}/messages{read}"))["items"]
                    assert [shown(message) for message in found] == whole[:size]
        # An edit to what is there already is none.
        unchanged = edited and model.messages == before
        assert chat["version"] == version if unchanged else chat["version"] > version
        version = chat["version"]
    ok(await me.delete(model.path, params={"hard": "true"}))


def shown(message: Json) -> Json:
    """A message without what the model leaves to the service."""
    return {name: message[name] for name in message if name in MODELLED}


MODELLED = {"seq", "role", "content", "tokens", "input_tokens", "output_tokens"}


async def test_changes_by_two_processes_at_once_leave_everything_right(
    app: FastAPI, me: httpx2.AsyncClient, me_too: httpx2.AsyncClient
) -> None:
    path = (await me.post("/chats", json={"conversation": [HELLO] * 5})).headers["Location"]
    popped: list[int] = []

    async def change(number: int) -> None:
        client = (me, me_too)[number % 2]
        for turn in range(8):
            seq = ok(await client.get(path))["last_seq"]
            match (number + turn) % 8:
                case 0:
                    answer = await client.put(path, json={"title": f"{number}", "conversation": [HELLO] * 3})
                case 1:
                    answer = await client.delete(f"{path}/messages/{max(seq - 1, 1)}")
                case 2:
                    answer = await client.patch(f"{path}/messages/{seq}", json={"tokens": number})
                case 3:
                    answer = await client.post(f"{path}/messages/pop")
                    popped.extend([answer.json()["seq"]] if answer.status_code == 200 else [])
                case 4:
                    answer = await client.post(f"{path}/messages", json={"messages": [HELLO | {"tokens": 2}] * 3})
                case _:
                    answer = await client.post(f"{path}/messages", json=HELLO | {"input_tokens": turn})
            assert answer.status_code in (200, 201, 204, 404)

    await asyncio.gather(*map(change, range(10)))
    chat = ok(await me.get(path))
    messages = await every_item(me_too, f"{path}/messages")
    model = Model(path, chat["last_seq"], messages)
    assert {name: chat[name] for name in model.counters()} == model.counters()
    seqs = [message["seq"] for message in messages]
    assert seqs == sorted(set(seqs))
    assert len(popped) == len(set(popped))
    # Each answers the one before it.
    rows = (await stored(app, me.headers["X-User-Id"]))["messages"]
    parent = list(Message.model_fields).index("parent_seq")
    assert [row[parent] for row in rows] == [None, *seqs[:-1]]


async def test_a_reader_beside_writers_is_never_behind_what_was_acknowledged(
    me: httpx2.AsyncClient, me_too: httpx2.AsyncClient
) -> None:
    path = f"{(await me.post('/chats', json={})).headers['Location']}/messages"
    acknowledged = 0
    writing = True

    async def write(client: httpx2.AsyncClient) -> None:
        nonlocal acknowledged
        for _ in range(40):
            acknowledged = max(acknowledged, ok(await client.post(path, json=HELLO))["seq"])

    async def read(client: httpx2.AsyncClient) -> None:
        while writing:
            before = acknowledged
            newest = [message["seq"] for message in ok(await client.get(path, params={"last": 5}))["items"]]
            assert max(newest, default=0) >= before
            assert newest == [*range(max(newest, default=0) - len(newest) + 1, max(newest, default=0) + 1)]

    async with asyncio.TaskGroup() as readers:
        for client in (me, me, me_too, me_too):
            readers.create_task(read(client))
        async with asyncio.TaskGroup() as writers:
            for client in (me, me_too, me):
                writers.create_task(write(client))
        writing = False
    assert [message["seq"] for message in await every_item(me_too, path)] == [*range(1, 121)]


@pytest.mark.parametrize("capacity", [0, 20_000])
async def test_a_small_cache_changes_nothing(
    settings: Settings, make_user: Callable[[], str], as_user: Callable[[str], dict[str, str]], capacity: int
) -> None:
    async with (
        started(settings.model_copy(update={"history_cache_bytes": capacity})) as app,
        acting(app, as_user(make_user())) as client,
    ):
        for n in range(30):
            ok(await client.post(f"/chats/key:{n % 5}/messages", json={"role": "user", "content": f"{n}" * 300}))
            for key in range(min(n + 1, 5)):
                found = ok(await client.get(f"/chats/key:{key}/messages"))["items"]
                assert [m["content"] for m in found] == [f"{said}" * 300 for said in range(key, n + 1, 5)]
