"""Nobody sees another's conversation: what is another's, deleted, absent or malformed answers alike, on every route."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.callers import acting, ok, started
from tests.conftest import settings_for
from tests.document import OPERATIONS, Operation
from tests.servers.databases import Databases
from tests.tables import stored

# Every route with a conversation or an item in it: a new one enters by itself.
ROUTES = [one for one in OPERATIONS if one.has("conversation", "item")]
DIGITS = "01932c071f3e70008000abcdef012345"
MALFORMED = [
    "x",
    "1",
    "conv_",
    "conv_1",
    "%00",
    "%FF",
    "..%2F..%2Fhealthz",
    "key:k",
    DIGITS,
    f"conv_{DIGITS.upper()}",
    f"conv_{DIGITS}0",
    f"conv_{DIGITS[:-1]}g",
    f"conv_{DIGITS}%00",
    f"conv_{DIGITS}%0A",
    f"%20conv_{DIGITS}",
    f"conv_{DIGITS}_1",
    "conv_01932c07-1f3e-7000-8000-abcdef012345",
    f"conv_{'%D9%A1' * 32}",
]


@pytest.fixture(scope="module")
async def app(databases: Databases, dialect: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FastAPI]:
    """The service on a database with nothing in it but what is made here."""
    url = databases.fresh(dialect)
    async with started(settings_for(url, tmp_path_factory.mktemp("data"))) as made:
        yield made
    databases.drop(url)


@dataclass(frozen=True)
class Users:
    """Ann, whose conversations nobody else sees, and Bob, who tries. The ids of what they have."""

    bob: httpx2.AsyncClient
    anns: str
    anns_item: str
    bobs: str
    bobs_deleted: str
    bobs_deleted_item: str


@pytest.fixture(scope="module")
async def users(app: FastAPI, admin: dict[str, str]) -> AsyncIterator[Users]:
    """Both have a conversation with items, one of which is deleted again, and a deleted conversation."""
    async with acting(app, admin | {"X-User-Id": "ann"}) as ann, acting(app, admin | {"X-User-Id": "bob"}) as bob:
        ids: dict[str, str] = {}
        for client, name in ((ann, "ann"), (bob, "bob")):
            for state in ("live", "deleted"):
                items = [{"role": "user", "content": "secret"}, {"role": "assistant", "content": "secret"}]
                made = ok(await client.post("/v1/conversations", json={"items": items, "metadata": {"a": "secret"}}))
                ids[f"{name}:{state}"] = made["id"]
            listed = ok(await client.get(f"/v1/conversations/{ids[f'{name}:live']}/items"))
            ids[f"{name}:item"] = listed["last_id"]
            ok(await client.delete(f"/v1/conversations/{ids[f'{name}:deleted']}"))
        ok(await bob.delete(f"/v1/conversations/{ids['bob:live']}/items/{ids['bob:item']}"))
        yield Users(bob, ids["ann:live"], ids["ann:item"], ids["bob:live"], ids["bob:deleted"], ids["bob:item"])


async def answer(client: httpx2.AsyncClient, route: Operation, path: str, headers: dict[str, str]) -> tuple[Any, ...]:
    """What a route answers: all of it but what differs from answer to answer."""
    given = await client.request(route.method, path, json=route.body, headers=headers)
    kept = {name: value for name, value in given.headers.items() if name not in ("date", "x-request-id")}
    return given.status_code, given.content, kept


@pytest.mark.parametrize("route", ROUTES, ids=str)
@pytest.mark.parametrize(
    "headers", [{}, {"Idempotency-Key": "k"}, {"x-stainless-retry-count": "1"}, {"Turn-Token": "1"}], ids=str
)
async def test_what_is_not_mine_answers_as_what_does_not_exist(
    app: FastAPI, users: Users, route: Operation, headers: dict[str, str]
) -> None:
    before = await stored(app)
    retries = "x-stainless-retry-count" in headers
    item = users.anns_item
    expected = await answer(users.bob, route, path_of(route, f"conv_{DIGITS}", item), headers)
    assert expected[0] == 404
    # The retry of a deletion finds what it deleted.
    deleted = [] if str(route) == "DELETE /v1/conversations/{conversation}" and retries else [users.bobs_deleted]
    for conversation in (users.anns, *deleted, *MALFORMED):
        path = path_of(route, conversation, item)
        assert await answer(users.bob, route, path, headers) == expected, conversation
    # In a conversation of his own a turn that is over is seen first.
    if route.has("item") and "Turn-Token" not in headers:
        absent = [users.anns_item, f"msg_{DIGITS}", f"{users.bobs_deleted_item}_1", "1", "msg_1", *MALFORMED]
        for name in absent + ([] if retries else [users.bobs_deleted_item]):
            assert await answer(users.bob, route, path_of(route, users.bobs, name), headers) == expected, name
    assert await stored(app) == before


def path_of(route: Operation, conversation: str, item: str) -> str:
    """The path of a route for a conversation and an item."""
    return route.path.replace("{conversation}", conversation).replace("{item}", item)


async def test_an_item_of_another_is_nothing_to_begin_after(users: Users) -> None:
    path = f"/v1/conversations/{users.bobs}/items"
    answers = {
        (given.status_code, given.content)
        for after in (users.anns_item, f"msg_{DIGITS}", "x")
        for given in [await users.bob.get(path, params={"after": after})]
    }
    assert [status for status, _ in answers] == [400]


def test_the_matrix_has_the_routes_that_it_should() -> None:
    assert len(ROUTES) >= 7
    assert all("404" in route.entry["responses"] for route in ROUTES)
