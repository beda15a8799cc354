"""Nobody sees another's chat: what is another's, deleted, absent or malformed answers alike, on every route."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import httpx2
import pytest
from fastapi import FastAPI

from tests.callers import Json, acting, by_key, ok, problem, started
from tests.conftest import settings_for
from tests.document import OPERATIONS, PUT_MESSAGE, Operation
from tests.servers.databases import Databases
from tests.tables import stored, without_feed

# Every route with a chat or a message in it: a new one enters by itself.
ROUTES = [one for one in OPERATIONS if one.has("chat", "message")]
MESSAGES: Json = {
    "conversation": [
        {"role": "user", "content": "secret", "key": "first"},
        {"role": "assistant", "content": "secret", "key": "second"},
    ]
}
ABSENT = "01932c07-1f3e-7000-8000-abcdef012345"
MALFORMED = [
    "x",
    "0",
    "1",
    "-1",
    "null",
    "%00",
    "%F0%9F%A5%9A",
    "%FF",
    "%0A",
    "%2F",
    "..%2F..%2Fhealthz",
    "key",
    "KEY:k",
    "9" * 400,
    "1e999",
    "%D9%A1",
    f"{ABSENT}%00",
    f"{ABSENT}%0A",
    f"%20{ABSENT}",
    f"{{{ABSENT}}}",
    ABSENT.replace("-", ""),
    ABSENT[:-1] + "g",
    f"urn:uuid:{ABSENT}",
    f"{ABSENT}'%20OR%20'1'='1",
]
MALFORMED_KEYS = ["key:", "key:%00", "key:a%0Ab", "key:%7F", f"key:{'x' * 256}", f"key:{quote('🥚') * 256}"]

# The routes that do something where others answer 404, and for which names. Anything else that is not mine is a 404.
MAKES_A_CHAT_BY_KEY = {"PUT /chats/{chat}", "POST /chats/{chat}/messages"}
MAKES_A_MESSAGE_BY_KEY = {PUT_MESSAGE}
REACHES_INTO_THE_TRASH = {"POST /chats/{chat}/restore", "DELETE /chats/{chat}?hard=true"}
REFUSES_A_MALFORMED_KEY = {"PUT /chats/{chat}"}


@pytest.fixture(scope="module")
async def app(databases: Databases, dialect: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FastAPI]:
    """The service on a database with nothing in it but what is made here."""
    url = databases.fresh(dialect)
    async with started(settings_for(url, tmp_path_factory.mktemp("data"))) as made:
        yield made
    databases.drop(url)


@dataclass(frozen=True)
class Users:
    """Ann, whose chats nobody else sees, and Bob, who tries."""

    ann: httpx2.AsyncClient
    bob: httpx2.AsyncClient
    anns: str  # the ids of their chats
    bobs: str
    bobs_deleted: str
    anns_message: str  # the ids of their first messages
    bobs_deleted_message: str


@pytest.fixture(scope="module")
async def users(app: FastAPI, admin: dict[str, str]) -> AsyncIterator[Users]:
    """Both have a chat with messages, one of which is deleted again, and a chat in the trash."""
    async with acting(app, admin | {"X-User-Id": "ann"}) as ann, acting(app, admin | {"X-User-Id": "bob"}) as bob:
        ids: dict[str, str] = {}
        messages: dict[str, str] = {}
        for client, name in ((ann, "ann"), (bob, "bob")):
            for key in ("live", "deleted"):
                chat = ok(await client.post("/chats", json={"key": f"{name}:{key}", "title": "secret", **MESSAGES}))
                ids[f"{name}:{key}"] = chat["chat_id"]
            path = f"/chats/{ids[f'{name}:live']}/messages/1"
            messages[name] = ok(await client.get(path))["message_id"]
            ok(await client.delete(f"/chats/{ids[f'{name}:deleted']}"))
        ok(await bob.delete(f"/chats/{ids['bob:live']}/messages/1"))
        yield Users(ann, bob, ids["ann:live"], ids["bob:live"], ids["bob:deleted"], messages["ann"], messages["bob"])


def variants(route: Operation) -> list[tuple[str, dict[str, str]]]:
    """The ways to call a route that could tell more than the plain one: a query, and headers."""
    found: list[tuple[str, dict[str, str]]] = [("", {})]
    parameters = route.entry.get("parameters", [])
    for name, query in (("hard", "?hard=true"), ("include", "?include=conversation"), ("last", "?last=1")):
        found += [(query, {})] if any(p["name"] == name for p in parameters) else []
    for header in ("If-Match", "If-None-Match"):
        found += [("", {header: value}) for value in ("*", '"1-x"')] if route.header(header) else []
    return found + ([("", {"Idempotency-Key": "k"})] if route.header("Idempotency-Key") else [])


async def answer(
    client: httpx2.AsyncClient, route: Operation, names: Json, query: str, headers: Json
) -> tuple[Any, ...]:
    """What a route answers for a chat and a message: all of it but what differs from answer to answer."""
    path = route.path
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path.replace("{01932c07", ""), path
    given = await client.request(route.method, path + query, json=route.body, headers=headers)
    kept = {name: value for name, value in given.headers.items() if name not in ("date", "x-request-id")}
    return given.status_code, given.content, kept


@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_a_chat_that_is_not_mine_answers_as_one_that_does_not_exist(
    app: FastAPI, users: Users, route: Operation
) -> None:
    before = await stored(app)
    for query, headers in variants(route):
        called = f"{route}{query if query == '?hard=true' else ''}"
        not_mine = [users.anns, users.anns.upper(), *MALFORMED]
        if called not in REACHES_INTO_THE_TRASH:
            not_mine += [users.bobs_deleted]
        if called not in MAKES_A_CHAT_BY_KEY:
            not_mine += ["key:absent", "key:ann:live", "key:ann:deleted"]
            not_mine += ["key:bob:deleted"] if called not in REACHES_INTO_THE_TRASH else []
        if called not in REFUSES_A_MALFORMED_KEY:
            not_mine += MALFORMED_KEYS
        messages = ["2", users.anns_message, *(["key:second"] if called not in MAKES_A_MESSAGE_BY_KEY else [])]
        for message in messages if route.has("message") else ("",):
            expected = await answer(users.bob, route, {"chat": ABSENT, "message": message}, query, headers)
            assert expected[0] == 404
            for chat in not_mine:
                assert await answer(users.bob, route, {"chat": chat, "message": message}, query, headers) == expected, (
                    chat
                )
    assert await stored(app) == before


@pytest.mark.parametrize("route", [route for route in ROUTES if route.has("message")], ids=str)
async def test_a_message_that_is_not_there_answers_alike(app: FastAPI, users: Users, route: Operation) -> None:
    before = await stored(app)
    absent = ["1", "3", "2147483648", users.anns_message, users.bobs_deleted_message, *MALFORMED[2:], "%D9%A2"]
    if str(route) not in MAKES_A_MESSAGE_BY_KEY:
        absent += ["key:x", "key:first", *MALFORMED_KEYS]
    for query, headers in variants(route):
        expected = await answer(users.bob, route, {"chat": ABSENT, "message": "2"}, query, headers)
        assert expected[0] == 404
        for chat in (users.bobs, "key:bob:live"):
            for message in (ABSENT, "0", *absent):
                assert await answer(users.bob, route, {"chat": chat, "message": message}, query, headers) == expected
    assert await stored(app) == before


@pytest.mark.parametrize("route", [route for route in ROUTES if str(route) in MAKES_A_CHAT_BY_KEY], ids=str)
@pytest.mark.parametrize("key", ["ann:live", "ann:deleted", "bob:deleted", "absent"])
async def test_a_key_that_is_not_in_use_by_me_makes_a_chat_of_mine(
    app: FastAPI, users: Users, route: Operation, key: str
) -> None:
    before = await stored(app)
    body = route.body if route.method == "POST" else {"title": "mine"}
    created = await users.bob.request(route.method, route.path.replace("/chats/{chat}", by_key(key)), json=body)
    assert created.status_code == 201
    chat = ok(await users.bob.get(by_key(key)))
    assert (chat["chat_id"], chat["user_id"]) == (created.json()["chat_id"], "bob")
    ok(await users.bob.delete(by_key(key), params={"hard": "true"}))
    assert without_feed(await stored(app)) == without_feed(before)


@pytest.mark.parametrize("chat", ["key:ann:live", "key:absent"])
async def test_a_message_is_put_into_a_chat_of_mine(app: FastAPI, users: Users, chat: str) -> None:
    before = await stored(app)
    put = await users.bob.put(f"/chats/{chat}/messages/key:second", json={"role": "user", "content": "mine"})
    assert (put.status_code, put.json()["seq"]) == (201, 1)
    for anns in (users.anns, users.bobs_deleted):
        problem(await users.bob.put(f"/chats/{anns}/messages/key:second", json={"role": "user", "content": "x"}), 404)
    ok(await users.bob.delete(f"/chats/{chat}", params={"hard": "true"}))
    assert without_feed(await stored(app)) == without_feed(before)


@pytest.mark.parametrize("name", MALFORMED_KEYS)
async def test_a_malformed_key_makes_no_message(app: FastAPI, users: Users, name: str) -> None:
    before = await stored(app)
    for chat in (users.bobs, users.anns):
        problem(await users.bob.put(f"/chats/{chat}/messages/{name}", json={"role": "user", "content": "x"}), 422)
    assert await stored(app) == before


@pytest.mark.parametrize("name", MALFORMED_KEYS)
async def test_a_malformed_key_makes_no_chat(app: FastAPI, users: Users, name: str) -> None:
    before = await stored(app)
    for body in (None, {}, {"title": "mine"}):
        problem(await users.bob.put(f"/chats/{name}", json=body), 422)
    assert await stored(app) == before


async def test_only_its_owner_takes_a_chat_out_of_the_trash(app: FastAPI, users: Users) -> None:
    before = await stored(app)
    for name in ("id", "key"):
        path = f"/chats/{users.bobs_deleted}" if name == "id" else by_key("bob:deleted")
        problem(await users.ann.post(f"{path}/restore"), 404)
        problem(await users.ann.delete(f"{path}?hard=true"), 404)
        assert await stored(app) == before


async def test_lists_hold_what_is_mine_only(users: Users) -> None:
    for client, name in ((users.ann, "ann"), (users.bob, "bob")):
        for state, keys in (("active", {"live"}), ("deleted", {"deleted"}), ("all", {"live", "deleted"})):
            page = ok(await client.get("/chats", params={"state": state, "include_total": "true"}))
            assert {chat["key"] for chat in page["items"]} == {f"{name}:{key}" for key in keys}
            assert page["total"] == len(keys)
            assert {chat["user_id"] for chat in page["items"]} == {name}


async def test_a_search_in_a_chat_that_is_not_mine_is_one_in_a_chat_that_does_not_exist(users: Users) -> None:
    def shown(given: httpx2.Response) -> tuple[Any, ...]:
        kept = {name: value for name, value in given.headers.items() if name not in ("date", "x-request-id")}
        return given.status_code, given.content, kept

    for query in ({"q": "secret"}, {"q": "secret", "include_deleted": "true", "order": "newest"}):
        expected = shown(await users.bob.get("/search", params=query | {"chat": ABSENT}))
        assert expected[0] == 404
        for chat in (users.anns, users.anns.upper(), "key:ann:live", "key:ann:deleted", "key:absent", *MALFORMED_KEYS):
            assert shown(await users.bob.get("/search", params=query | {"chat": unquote(chat)})) == expected, chat
        found = ok(await users.bob.get("/search", params=query))["items"]
        assert {hit["chat_id"] for hit in found} <= {users.bobs, users.bobs_deleted}
        assert found


async def test_statistics_are_of_what_is_mine_only(users: Users) -> None:
    for client, name, messages in ((users.ann, "ann", 4), (users.bob, "bob", 3)):
        found = ok(await client.get("/stats"))
        numbers = [found[f"{state}_conversations"] for state in ("total", "active", "deleted")]
        assert (numbers, found["total_messages"]) == ([2, 1, 1], messages)
        assert found["longest_conversation_user"] == name
        assert sum(one["messages"] for one in found["by_role"]) == messages
        days = ok(await client.get("/stats/daily"))["items"]
        assert [sum(day[of] for day in days) for of in ("conversations", "messages")] == [2, messages]


def test_the_matrix_has_the_routes_that_it_should() -> None:
    routes = {str(route) for route in ROUTES}
    assert routes >= MAKES_A_CHAT_BY_KEY | REFUSES_A_MALFORMED_KEY | {
        "POST /chats/{chat}/restore",
        "DELETE /chats/{chat}",
    }
    assert len(routes) >= 12
    for route in ROUTES:
        assert "404" in route.entry["responses"]
