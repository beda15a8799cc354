"""Every route has the gate of strict JSON, which test_strict_json.py proves, and refuses what is not its own.

What is refused stores nothing.
"""

import json

import httpx2
import pytest
from fastapi import FastAPI

from tests.callers import ok
from tests.document import Operation
from tests.fuzz import HOSTILE
from tests.http.hostile import Ann, every_route, refused
from tests.http.test_strict_json import ENCODED, bodies
from tests.profiles import count
from tests.tables import stored

pytestmark = pytest.mark.any_database
CONTENT_TYPES = [
    None,
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonp",
    "json",
]
UNKNOWN = (
    "user_id",
    "chat_id",
    "seq",
    "created_by",
    "message_id",
    "version",
    "segment",
    "parent_seq",
    "sha256",
    "__class__",
)


@every_route
async def test_hostile_json_is_refused_and_stores_nothing(app: FastAPI, ann: Ann, route: Operation, seed: int) -> None:
    before = await stored(app)
    for number, hostile in enumerate(HOSTILE.values(), seed):
        every = list(bodies(route, hostile))
        # Each value at another place; with --all, everywhere.
        for body in count(fast=[every[number % len(every)]], all=every):
            if hostile:
                is_refused_by_the_gate(route, await ann.send(route, body.encode()))
            elif body or route.entry["requestBody"].get("required"):  # it may be left out
                refused(route, await ann.send(route, body.encode()), 422)
    for encoded in ENCODED.values():
        is_refused_by_the_gate(route, await ann.send(route, encoded))
    assert await stored(app) == before


def is_refused_by_the_gate(route: Operation, answer: httpx2.Response) -> None:
    """Fails unless a body was refused for its JSON, before anything looked at what it says."""
    refused(route, answer, 422)
    if not route.is_openais:
        assert [error["type"] for error in answer.json()["errors"]] == ["json"]


@every_route
async def test_no_field_slips_in_through_a_body(app: FastAPI, ann: Ann, route: Operation) -> None:
    before = await stored(app)
    good = {**route.body, "key": None} if "key" in route.body else route.body
    for name in UNKNOWN:
        if name in route.body or (name == "user_id" and "/admin/" in route.path):
            continue
        message = {"role": "user", "content": "x", name: "bob"}
        for body in ({**good, name: "bob"}, {"messages": [message]}, {**good, "conversation": [message]}):
            refused(route, await ann.send(route, json.dumps(body).encode()), 422)
    assert await stored(app) == before


@every_route
async def test_only_json_is_taken(app: FastAPI, ann: Ann, route: Operation) -> None:
    before = await stored(app)
    body = json.dumps(route.body).encode()
    for content_type in CONTENT_TYPES:
        headers = {} if content_type is None else {"Content-Type": content_type}
        refused(route, await ann.client.request(route.method, ann.path(route), content=body, headers=headers), 415)
    assert await stored(app) == before


async def test_what_is_just_within_the_limits_is_kept(ann: Ann) -> None:
    values = {
        "deep": json.loads("[" * 62 + "]" * 62),
        "integers": [2**53, -(2**53)],
        "floats": [1.7976931348623157e308, 5e-324, -0.0],
        "texts": ["\u0001\x7f\u0085\u2028\ufeff\ufffe\uffff\U0010ffff", "", "a" * 10_000],
        "names": {"": 0, "__proto__": 1, "constructor": 2, "$ref": 3},
    }
    for value in values.values():
        message = {"role": "user", "content": "x", "metadata": {"it": value}}
        answer = await ann.client.post("/chats/key:within/messages", json=message)
        assert repr(ok(answer)["metadata"]["it"]) == repr(value)
        assert ok(await ann.client.get("/chats/key:within/messages", params={"last": 1}))["items"] == [answer.json()]
    ok(await ann.client.delete("/chats/key:within", params={"hard": "true"}))
