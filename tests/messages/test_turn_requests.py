"""What is no token, no body and no holder, and what is."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.callers import Json, ok, problem
from tests.messages.turns import HELLO, shown, taken
from tests.tables import stored

WRONG_TOKENS = ["", "0", "-1", "+1", "1.0", "1e3", "x", "1 2", "1,2", "٣", "9" * 17, str(2**53 + 1), "0x1", "null"]


@pytest.mark.parametrize("token", WRONG_TOKENS, ids=ascii)
@pytest.mark.any_database
async def test_what_is_no_token(app: FastAPI, me: httpx2.AsyncClient, path: str, token: str) -> None:
    ok(await me.post(f"{path}/turn"))
    before = await stored(app, me.headers["X-User-Id"])
    headers = {b"Turn-Token": token.encode()}
    for method, at, body in (
        ("PATCH", "/turn", None),
        ("DELETE", "/turn", None),
        ("POST", "/messages", HELLO),
        ("POST", "/messages", {**HELLO, "parent": 1}),
        ("POST", "/messages/pop", None),
        ("DELETE", "/messages", None),
        ("PATCH", "", {"head": 1}),
        ("PUT", "", {"conversation": []}),
        ("PATCH", "/messages/1", {"content": "x"}),
        ("DELETE", "/messages/1", None),
    ):
        problem(await me.request(method, path + at, json=body, headers=headers), 422)
    assert await stored(app, me.headers["X-User-Id"]) == before


async def test_a_turn_is_changed_by_its_token_alone(me: httpx2.AsyncClient, path: str) -> None:
    mine = await taken(me, path)
    twice = [("Turn-Token", mine["Turn-Token"])] * 2
    for method in ("PATCH", "DELETE"):
        problem(await me.request(method, f"{path}/turn"), 422)
        problem(await me.request(method, f"{path}/turn", headers=twice), 422)


@pytest.mark.parametrize(
    "body",
    [
        {"seconds": 0},
        {"seconds": 601},
        {"seconds": -1},
        {"seconds": 1.5},
        {"seconds": "60"},
        {"seconds": True},
        {"seconds": None},
        {"seconds": 2**53},
        {"token": 1},
        {"until": "2026-01-31T12:00:00Z"},
        [],
        "x",
        5,
    ],
    ids=str,
)
@pytest.mark.any_database
async def test_a_wrong_body_changes_nothing(app: FastAPI, me: httpx2.AsyncClient, path: str, body: Any) -> None:
    before = await stored(app, me.headers["X-User-Id"])
    problem(await me.post(f"{path}/turn", json=body), 422)
    assert await stored(app, me.headers["X-User-Id"]) == before
    mine = await taken(me, path)
    problem(await me.patch(f"{path}/turn", json=body, headers=mine), 422)


@pytest.mark.parametrize("holder", ["", "x" * 256, 5, ["x"], {"a": 1}], ids=ascii)
@pytest.mark.any_database
async def test_who_cannot_be_a_holder(me: httpx2.AsyncClient, path: str, holder: Any) -> None:
    problem(await me.post(f"{path}/turn", json={"holder": holder}), 422)


@pytest.mark.parametrize("holder", ["x" * 255, "🥚" * 255, "'; --", '"\\\n\x01%', "{}", "null"], ids=ascii)
async def test_a_holder_comes_back_as_it_was_said(me: httpx2.AsyncClient, path: str, holder: str) -> None:
    assert ok(await me.post(f"{path}/turn", json={"holder": holder}))["holder"] == holder
    assert ok(await me.get(f"{path}/turn"))["holder"] == holder
    assert problem(await me.post(f"{path}/messages", json=HELLO), 409)["holder"] == holder
    assert problem(await me.post(f"{path}/messages", json={**HELLO, "parent": 1}), 409)["holder"] == holder


async def test_bodies_may_be_left_out(me: httpx2.AsyncClient, path: str) -> None:
    bodies: list[Json | None] = [None, {}]
    for body in bodies:
        turn = ok(await me.post(f"{path}/turn", json=body))
        ok(await me.patch(f"{path}/turn", json=body, headers=shown(turn["token"])))
        ok(await me.delete(f"{path}/turn", headers=shown(turn["token"])))
