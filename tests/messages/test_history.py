"""Reading history: every window of it held against a plain list, and never a stale page from the cache."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from tests.callers import Json, acting, ok, problem
from tests.invalid_cursors import CORRUPTIONS, FORGED_POSITIONS, Corrupt, forged
from tests.messages.plain_list import expected
from tests.messages.roundtrip import in_a_line
from tests.messages.strategies import ROLES
from tests.profiles import examples

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


@examples(fast=30, all=240)
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


@examples(fast=30, all=240)
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
