"""The list of chats: its orders, filters, pages and cursors, held against a plain model in Python."""

import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import given
from sqlalchemy import insert, text
from uuid_utils import uuid7

from app.chats.listing import ChatListing
from app.chats.schemas import ChatQuery, State
from app.chats.store import ChatStore
from app.db.database import Database
from app.db.driver import SessionReader
from app.models import Chat, MovedChat
from tests.callers import Json, acting, every_item, ok, problem
from tests.invalid_cursors import CORRUPTIONS, FORGED_POSITIONS, Corrupt, forged
from tests.profiles import examples
from tests.statements import statements

ORDERS = ("last_activity_at", "created_at", "updated_at")
STATES = ("active", "archived", "deleted", "all")
TIMES = ("created", "updated", "last_activity", "listed")
COUNT = 250
BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
async def many(
    app: FastAPI, make_user: Callable[[], str], as_user: Callable[[str], dict[str, str]]
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose user has 250 chats; a fifth is in the trash, a quarter archived; many have moments in common."""
    user_id = make_user()
    rows: list[dict[str, Any]] = [
        {
            "user_id": user_id,
            "chat_id": str(uuid7()),
            "key": f"k{n}",
            "platform": (None, "web", "slack")[n % 3],
            "tags": [tag for tag, every in (("a", 2), ("b", 3), ("ä🥚", 7)) if n % every == 0],
            "is_pinned": n % 5 == 1,
            "metadata": {"n": n % 10, "text": str(n % 4), "yes": n % 2 == 0, "名 前": " x\ny ", "deep": {"n": 1}},
            "created_at": BEGIN + timedelta(microseconds=n // 40),
            "updated_at": BEGIN + timedelta(days=n * 37 % COUNT),
            "last_activity_at": BEGIN + timedelta(seconds=n % 7),
            # A third of them moved, and the index does not know where to.
            "listed_at": BEGIN + timedelta(seconds=n % 7 if n % 3 else -n),
            "archived_at": BEGIN if n % 4 == 3 else None,
            "deleted_at": BEGIN if n % 5 == 2 else None,
        }
        for n in range(COUNT)
    ]
    async with app.state.services.db.write() as session:
        await session.execute(insert(Chat), [{**row, "metadata_": row.pop("metadata")} for row in rows])
        moved = [row for row in rows if row["listed_at"] < row["last_activity_at"]]
        await session.execute(
            insert(MovedChat), [{name: row[name] for name in ("user_id", "chat_id")} for row in moved]
        )
    async with acting(app, as_user(user_id)) as client:
        yield client


@pytest.fixture(scope="module")
async def chats(many: httpx2.AsyncClient) -> list[Json]:
    """Each of them, read by itself or, in the trash, from the list."""
    listed = await every_item(many, "/chats", state="all")
    for chat in listed[:20]:
        if chat["is_active"]:
            assert ok(await many.get(f"/chats/{chat['chat_id']}")) == chat
    assert len(listed) == COUNT
    return listed


def state_of(chat: Json) -> str:
    """The state whose list a chat is in."""
    if not chat["is_active"]:
        return "deleted"
    return "archived" if chat["is_archived"] else "active"


def expected(
    chats: list[Json], by: str, order: str, state: str, keep: Callable[[Json], bool] = bool
) -> list[str | None]:
    """The keys that a list should give, in its order."""
    kept = [c for c in chats if keep(c) and state in ("all", state_of(c))]
    return [c["key"] for c in sorted(kept, key=lambda c: (c[by], c["chat_id"]), reverse=order == "desc")]


@pytest.mark.parametrize(("by", "order", "state"), [*product(ORDERS, ("asc", "desc"), STATES)])
async def test_every_order_and_state_walks_all_pages_without_loss(
    many: httpx2.AsyncClient, chats: list[Json], by: str, order: str, state: str
) -> None:
    query: Json = {"order_by": by, "order": order, "state": state}
    keys = expected(chats, by, order, state)
    for limit in (33, 200):
        assert [chat["key"] for chat in await every_item(many, "/chats", limit=limit, **query)] == keys
    page = ok(await many.get("/chats", params={**query, "limit": 1, "include_total": "true"}))
    assert ([chat["key"] for chat in page["items"]], page["total"]) == (keys[:1], len(keys))


AT = BEGIN + timedelta(microseconds=3)
FILTERS: list[tuple[Json, Callable[[Json], bool]]] = [
    ({}, bool),
    ({"platform": "web"}, lambda c: c["platform"] == "web"),
    ({"platform": "none"}, lambda c: False),
    ({"key_prefix": "k1"}, lambda c: (c["key"] or "").startswith("k1")),
    ({"key_prefix": "K1"}, lambda c: False),
    ({"tag": "a"}, lambda c: "a" in c["tags"]),
    ({"tag": "ä🥚"}, lambda c: "ä🥚" in c["tags"]),
    ({"tag": ["a", "b"]}, lambda c: {"a", "b"} <= set(c["tags"])),
    ({"pinned": "true"}, lambda c: c["is_pinned"]),
    ({"pinned": "false"}, lambda c: not c["is_pinned"]),
    ({"created_after": AT.isoformat()}, lambda c: datetime.fromisoformat(c["created_at"]) > AT),
    ({"created_before": AT.isoformat()}, lambda c: datetime.fromisoformat(c["created_at"]) < AT),
    ({"created_after": "2026-01-31T14:00:00.000002+02:00"}, lambda c: datetime.fromisoformat(c["created_at"]) >= AT),
    ({"active_after": "2026-01-31T12:00:05Z"}, lambda c: c["last_activity_at"][17:19] > "05"),
    ({"active_before": "2026-01-31T12:00:05Z"}, lambda c: c["last_activity_at"][17:19] < "05"),
    ({"metadata.n": "5"}, lambda c: c["metadata"]["n"] == 5),
    ({"metadata.text": "3"}, lambda c: c["metadata"]["text"] == "3"),
    ({"metadata.yes": "true"}, lambda c: c["metadata"]["yes"]),
    ({"metadata.yes": "True"}, lambda c: False),
    ({"metadata.名 前": " x\ny "}, bool),
    ({"metadata.名 前": "x\u3000y\u200d"}, lambda c: False),
    ({"metadata.nothing": ""}, lambda c: False),
    ({"metadata.n": "5", "metadata.yes": "false", "tag": "b"}, lambda c: c["metadata"]["n"] == 5 and "b" in c["tags"]),
    (
        {"platform": "slack", "tag": "a", "pinned": "true", "created_after": BEGIN.isoformat()},
        lambda c: (
            c["platform"] == "slack"
            and "a" in c["tags"]
            and c["is_pinned"]
            and datetime.fromisoformat(c["created_at"]) > BEGIN
        ),
    ),
]


@pytest.mark.parametrize(("query", "keep"), FILTERS, ids=[str(query) for query, _ in FILTERS])
@pytest.mark.parametrize("state", ["active", "archived", "all"])
async def test_filters_keep_what_they_say(
    many: httpx2.AsyncClient, chats: list[Json], query: Json, keep: Callable[[Json], bool], state: str
) -> None:
    for by, order in (("last_activity_at", "desc"), ("updated_at", "asc")):
        asked = {**query, "order_by": by, "order": order, "state": state}
        keys = expected(chats, by, order, state, keep)
        assert [chat["key"] for chat in await every_item(many, "/chats", limit=7, **asked)] == keys
        assert ok(await many.get("/chats", params={**asked, "include_total": "true"}))["total"] == len(keys)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 201},
        {"limit": -1},
        {"limit": "x"},
        {"limit": 10**30},
        {"order": "up"},
        {"order_by": "title"},
        {"order_by": "chat_id; DROP TABLE chats"},
        {"state": "none"},
        {"pinned": "maybe"},
        {"tag": ["x"] * 9},
        {"created_after": "2026-01-31T12:00:00"},
        {"created_after": "1769860800"},
        {"created_after": "yesterday"},
        {"created_after": "0001-01-01T00:00:00+14:00"},
        {"active_before": "9999-12-31T23:59:59-14:00"},
    ],
    ids=str,
)
async def test_a_query_that_makes_no_sense_is_refused(me: httpx2.AsyncClient, query: Json) -> None:
    details = problem(await me.get("/chats", params=query), 422)
    assert details["errors"][0]["loc"][:2] == ["query", *query]


@pytest.mark.parametrize("name", ["", "a\0b", 'a"b', "a\\b", "x" * 129], ids=ascii)
async def test_a_metadata_filter_that_can_find_nothing_is_refused(me: httpx2.AsyncClient, name: str) -> None:
    problem(await me.get("/chats", params={f"metadata.{name}": "x"}), 400)


async def test_a_metadata_filter_names_one_value(me: httpx2.AsyncClient) -> None:
    problem(await me.get("/chats", params={"metadata.a": ["1", "2"]}), 400)
    problem(await me.get("/chats", params={"metadata.a": "\0"}), 400)


async def test_metadata_of_any_kind_is_found(me: httpx2.AsyncClient) -> None:
    values: Json = {
        "5": 5,
        '"5"': "5",
        "true": True,
        "1.5": 1.5,
        "null": None,
        "text": "ein Wort",
        "empty": "",
        "fünf": "ü",
    }
    for key, value in values.items():
        ok(await me.post("/chats", json={"key": key, "metadata": {"it": value, "other": 0}}))
    for asked, keys in {
        "5": {"5", '"5"'},
        "true": {"true"},
        "1.5": {"1.5"},
        "ein Wort": {"text"},
        "": {"empty"},
        "ü": {"fünf"},
        "6": set(),
    }.items():
        found = ok(await me.get("/chats", params={"metadata.it": asked}))["items"]
        assert {chat["key"] for chat in found} == keys


async def test_links_lead_through_the_whole_list(many: httpx2.AsyncClient, chats: list[Json]) -> None:
    path, seen = "/chats?limit=40&tag=a&tag=b&metadata.yes=true&order=asc", []
    while True:
        answer = await many.get(path)
        seen += [chat["key"] for chat in ok(answer)["items"]]
        if answer.json()["next_cursor"] is None:
            break
        target, _, relation = answer.headers["Link"].partition("; ")
        assert relation == 'rel="next"'
        path = target.removeprefix("<").removesuffix(">")
    assert "Link" not in answer.headers
    assert seen == expected(chats, ORDERS[0], "asc", "active", lambda c: {"a", "b"} <= set(c["tags"]))


async def test_a_page_is_fifty_chats_unless_said(many: httpx2.AsyncClient) -> None:
    page = ok(await many.get("/chats"))
    assert len(page["items"]) == 50
    assert set(page) == {"items", "next_cursor"}
    assert (
        ok(await many.get("/chats", params={"cursor": page["next_cursor"], "limit": 1}))["items"][0]
        not in page["items"]
    )


async def test_a_cursor_is_good_for_its_list_and_user_only(
    many: httpx2.AsyncClient, another: httpx2.AsyncClient
) -> None:
    cursor = ok(await many.get("/chats", params={"limit": 1}))["next_cursor"]
    for query in (
        {"order": "asc"},
        {"order_by": "created_at"},
        {"state": "all"},
        {"state": "archived"},
        {"platform": "web"},
        {"tag": "a"},
        {"pinned": "true"},
        {"created_after": BEGIN.isoformat()},
        {"metadata.n": "1"},
    ):
        problem(await many.get("/chats", params={**query, "cursor": cursor}), 400)
    problem(await another.get("/chats", params={"cursor": cursor}), 400)
    chat = ok(await many.post("/chats", json={"conversation": [{"role": "user", "content": "x"}] * 2}))
    path = f"/chats/{chat['chat_id']}"
    problem(await many.get(f"{path}/messages", params={"cursor": cursor}), 400)
    of_messages = ok(await many.get(f"{path}/messages", params={"limit": 1}))["next_cursor"]
    problem(await many.get("/chats", params={"cursor": of_messages}), 400)
    ok(await many.delete(path, params={"hard": "true"}))


@examples(fast=30, all=240)
@given(damage=CORRUPTIONS)
async def test_a_damaged_cursor_is_refused(many: httpx2.AsyncClient, damage: Corrupt) -> None:
    cursor = ok(await many.get("/chats", params={"limit": 1}))["next_cursor"]
    damaged = damage(cursor)
    if damaged != cursor:
        problem(await many.get("/chats", params={"cursor": damaged}), 400)


@pytest.mark.parametrize("place", FORGED_POSITIONS, ids=ascii)
async def test_a_forged_cursor_is_refused_or_harmless(
    many: httpx2.AsyncClient, another: httpx2.AsyncClient, place: bytes
) -> None:
    filters: Json = {
        "order_by": "last_activity_at",
        "order": "desc",
        "platform": None,
        "key_prefix": None,
        "tag": [],
        "pinned": None,
        "created_after": None,
        "created_before": None,
        "active_after": None,
        "active_before": None,
        "state": "active",
    }
    user_id = another.headers["X-User-Id"]
    cursor = forged(["chats", user_id, filters, []], place)
    genuine = b'["2026-01-31T12:00:00.000000Z","01932c07-1f3e-7000-8000-abcdef012345"]'
    ok(await another.get("/chats", params={"cursor": forged(["chats", user_id, filters, []], genuine)}))
    answer = await another.get("/chats", params={"cursor": cursor[:1024]})
    assert answer.status_code in (200, 400)
    assert answer.status_code == 400 or answer.json() == {"items": [], "next_cursor": None}


async def test_a_chat_or_a_page_of_them_is_one_statement(
    app: FastAPI, many: httpx2.AsyncClient, chats: list[Json]
) -> None:
    chat = next(chat for chat in chats if chat["is_active"])
    everything: Any = {"state": "all", "tag": "a", "metadata.n": "1", "order_by": "created_at"}
    for path, query, count in (
        (f"/chats/{chat['chat_id']}", {}, 1),
        (f"/chats/key:{chat['key']}", {}, 1),
        ("/chats", {}, 1),
        ("/chats", {"limit": 200}, 1),
        ("/chats", everything, 1),
        ("/chats", {**everything, "include_total": "true"}, 2),
    ):
        async with statements(app) as seen:
            ok(await many.get(path, params=query))
        assert len(seen) == count, seen


@pytest.mark.parametrize("prefix", ["a", "a\U0010ffff", "\U0010ffff", "\ud7ff", "ä", "'%_", "A"], ids=ascii)
async def test_keys_by_their_beginning(me: httpx2.AsyncClient, prefix: str) -> None:
    """By code points: in no language's order, and to the last one."""
    keys = [
        "a",
        "a'",
        "aa",
        "a\U0010ffff",
        "a\U0010ffff\U0010ffff",
        "b",
        "A",
        "Ab",
        "ä",
        "äb",
        "\ud7ff",
        "\ud7ffa",
        "\ue000",
    ]
    keys += ["\U0010ffff", "\U0010ffff\U0010ffffa", "'%_", "'%_a", "'x_"]
    for key in keys:
        ok(await me.post("/chats", json={"key": key}))
    listed = await every_item(me, "/chats", key_prefix=prefix, limit=2)
    assert sorted(chat["key"] for chat in listed) == sorted(key for key in keys if key.startswith(prefix))


@pytest.mark.parametrize(
    ("state", "indexes"),
    [
        ("active", {"active"}),
        ("archived", {"archived"}),
        ("deleted", {"trash"}),
        ("all", {"active", "archived", "trash"}),
    ],
)
async def test_a_page_reads_no_chats_of_other_states(app: FastAPI, state: State, indexes: set[str]) -> None:
    """Each state has an index for each order: a thousand times as many archived chats cost a page nothing."""
    db: Database = app.state.services.db
    for by, order in product(ORDERS, ("asc", "desc")):
        query = ChatQuery.model_validate({"state": state, "order_by": by, "order": order})
        statement, arguments = ChatListing("ann", query, {}, ChatStore(db, "ann").list_sql).page()
        async with db.write() as session:
            if db.kind == "sqlite":
                explain = "EXPLAIN QUERY PLAN"
            else:
                # What there is in the tests is little: the planner would rather read and sort it all.
                for method in ("seqscan", "bitmapscan", "sort"):
                    await session.execute(text(f"SET LOCAL enable_{method} = off"))
                explain = "EXPLAIN"
            rows = await SessionReader(session).fetch(f"{explain} {statement}", *arguments)
        plan = "\n".join(str(row[-1]) for row in rows)
        assert set(re.findall(r"ix_chats_([a-z]+)_", plan)) == indexes, plan
        assert len(re.findall("ix_chats_", plan)) == len(indexes), plan
        assert not re.search("Seq Scan|SCAN chats|Bitmap|TEMP B-TREE FOR LAST", plan), plan


async def test_a_page_of_many_chats_is_read_in_the_order_of_its_index(
    app: FastAPI, make_user: Callable[[], str]
) -> None:
    """No plan sorts all chats of a user for a page of them, whatever the database knows of the table."""
    db: Database = app.state.services.db
    user_id, explain = make_user(), "EXPLAIN" if db.kind == "postgres" else "EXPLAIN QUERY PLAN"
    times = [{f"{name}_at": BEGIN + timedelta(seconds=n) for name in TIMES} for n in range(5000)]
    async with db.write() as session:
        chats = [{"user_id": user_id, "chat_id": str(uuid7()), **at} for at in times]
        await session.execute(insert(Chat), chats)
        await session.flush()
        for order in ("asc", "desc"):
            query = ChatQuery.model_validate({"order": order})
            statement, arguments = ChatListing(user_id, query, {}, ChatStore(db, user_id).list_sql).page()
            rows = await SessionReader(session).fetch(f"{explain} {statement}", *arguments)
            plan = "\n".join(str(row[-1]) for row in rows)
            assert "ix_chats_active_listed_at" in plan, plan
