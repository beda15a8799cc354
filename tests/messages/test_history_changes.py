"""A history while it changes: counters, versions and caches, beside other processes."""

import asyncio
from collections.abc import Callable
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
from tests.messages.plain_list import expected
from tests.messages.turns import HELLO
from tests.profiles import examples
from tests.tables import stored

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


@examples(fast=5, all=24)
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
