"""Bodies over the limit, and those of strangers, are not read."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from tests.callers import every_item, ok
from tests.document import OPERATIONS, Operation
from tests.http.hostile import JSON, LIMIT, Ann, Body, asked, every_route
from tests.tables import stored

pytestmark = pytest.mark.any_database


@every_route
async def test_a_body_over_the_limit_is_not_read_to_its_end(app: FastAPI, ann: Ann, route: Operation) -> None:
    before = await stored(app)
    headers = {**ann.client.headers, **JSON}
    declared = Body(b"x" * 1000)
    length = {"Content-Length": str(LIMIT + 1)}
    assert await asked(app, route.method, ann.path(route), headers | length, declared) == 413
    assert declared.read == 0
    chunked = Body(b"{" * 1000)
    assert await asked(app, route.method, ann.path(route), headers, chunked) == 413
    assert LIMIT < chunked.read <= LIMIT + 1000
    lying = Body(b"{" * 1000)
    assert await asked(app, route.method, ann.path(route), headers | {"Content-Length": "5"}, lying) == 413
    assert await stored(app) == before


async def test_the_limit_is_exact(ann: Ann) -> None:
    frame = len(b'{"role":"user","content":""}')
    for size, status in ((LIMIT, 201), (LIMIT + 1, 413)):
        body = b'{"role":"user","content":"%b"}' % (b"x" * (size - frame))
        assert len(body) == size
        for content in (body, (part async for part in in_pieces(body))):
            answer = await ann.client.post("/chats/key:large/messages", content=content, headers=JSON)
            assert answer.status_code == status
    assert len(await every_item(ann.client, "/chats/key:large/messages")) == 2
    ok(await ann.client.delete("/chats/key:large", params={"hard": "true"}))


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """A body in pieces, whose length is not said."""
    for begin in range(0, len(body), 50_000):
        yield body[begin : begin + 50_000]


@pytest.mark.parametrize("route", [one for one in OPERATIONS if one.method != "GET"], ids=str)
@pytest.mark.parametrize("authorization", [None, "Bearer x", "Bearer ck_" + "x" * 43, "Basic YTpi"])
async def test_the_body_of_a_stranger_is_never_read(
    app: FastAPI, ann: Ann, route: Operation, authorization: str | None
) -> None:
    body = Body(b"{" * 1000)
    headers = JSON if authorization is None else {**JSON, "Authorization": authorization}
    assert await asked(app, route.method, ann.path(route), headers, body) == 401
    assert body.read == 0
