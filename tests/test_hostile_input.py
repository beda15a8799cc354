"""Hostile input is refused with a 4xx and stores nothing, and what is accepted can always be read back."""

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from tests.callers import Json, acting, every_item, ok, openai_error, problem, started
from tests.conftest import settings_for
from tests.document import Operation, operations
from tests.fuzz import HOSTILE, json_object, made, mutated
from tests.messages.roundtrip import same
from tests.servers.databases import Databases
from tests.tables import stored

LIMIT = 200_000
DOCUMENT = operations(create_app(Settings(database_url="sqlite:///unused.db")))
# Every route that takes a body: a new one enters by itself.
ROUTES = [route for route in DOCUMENT if route.takes_body]
every_route = pytest.mark.parametrize("route", ROUTES, ids=str)
JSON = {"Content-Type": "application/json"}
CHAT: Json = {"conversation": [{"role": "user", "content": "x"}]}


@pytest.fixture(scope="module")
async def app(databases: Databases, dialect: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FastAPI]:
    """The service on a database with nothing in it but what is made here, and with a smaller limit."""
    url = databases.fresh(dialect)
    settings = settings_for(url, tmp_path_factory.mktemp("data"))
    async with started(settings.model_copy(update={"max_body_bytes": LIMIT})) as made:
        yield made
    databases.drop(url)


@dataclass
class Ann:
    """A user with a chat of one message."""

    client: httpx2.AsyncClient
    chat_id: str
    message: str = "1"

    def path(self, route: Operation) -> str:
        """The path of a route, for the chat and the message that are there."""
        path = route.path.replace("{chat}", self.chat_id).replace("{message}", self.message)
        path = path.replace("{conversation}", f"conv_{self.chat_id.replace('-', '')}").replace("{item}", "msg_1")
        return path.replace("{key_id}", self.chat_id)

    async def send(self, route: Operation, body: bytes) -> httpx2.Response:
        """Sends a body as it is, said to be JSON."""
        return await self.client.request(route.method, self.path(route), content=body, headers=JSON)


@pytest.fixture(scope="module")
async def ann(app: FastAPI, admin: dict[str, str]) -> AsyncIterator[Ann]:
    """Ann."""
    async with acting(app, admin | {"X-User-Id": "ann"}) as client:
        yield Ann(client, ok(await client.post("/chats", json=CHAT))["chat_id"])


def refused(route: Operation, answer: httpx2.Response, status: int) -> None:
    """Fails unless a route refused what it was sent, in the shape of its errors."""
    if route.is_openais:
        openai_error(answer, 400 if status == 422 else status)
    else:
        problem(answer, status)


def bodies(route: Operation, hostile: str) -> Iterator[str]:
    """A good body of the route with a hostile value at each place where one can be."""
    good: Json = {**route.body}
    good.pop("key", None)
    texts = {name: json.dumps(value) for name, value in good.items()}
    yield hostile
    yield f"[{hostile}]"
    yield f'{{"messages": [{hostile}]}}'
    for name in [*texts, "metadata", "anything"]:
        yield json_object({**texts, name: hostile})
        yield json_object({**texts, name: f'[{{"x": {hostile}}}]'})
    yield json_object({**texts, "metadata": f'{{"a": {{"b": [1, {hostile}]}}}}'})
    message = f'{{"role": "user", "content": "x", "metadata": {{"x": {hostile}}}}}'
    yield f'{{"messages": [{{"role": "user", "content": "x"}}, {message}]}}'
    yield json_object({**texts, "conversation": f"[{message}]"})


@every_route
@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
async def test_hostile_json_is_refused_and_stores_nothing(
    app: FastAPI, ann: Ann, route: Operation, hostile: str
) -> None:
    before = await stored(app)
    for body in bodies(route, hostile):
        if not body and not route.entry["requestBody"].get("required"):
            continue  # it may be left out
        refused(route, await ann.send(route, body.encode()), 422)
    assert await stored(app) == before


ENCODED = {
    "UTF-16": '{"role": "user", "content": "x", "title": "x", "name": "x", "scopes": ["admin"]}'.encode("utf-16"),
    "UTF-32": b"\xff\xfe\x00\x00{\x00\x00\x00}\x00\x00\x00",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "Latin-1": '{"content": "ü"}'.encode("latin-1"),
    "a surrogate in UTF-8": b'{"content": "\xed\xa0\x80"}',
    "an overlong slash": b'{"content": "\xc0\xaf"}',
    "cut": b'{"content": "x',
    "two values": b"{} {}",
    "nothing but space": b"  \n ",
    "a form": b"role=user&content=x",
    "no bytes that mean anything": bytes(range(256)),
}


@every_route
@pytest.mark.parametrize("body", ENCODED.values(), ids=ENCODED)
async def test_what_is_no_json_in_utf8_is_refused(app: FastAPI, ann: Ann, route: Operation, body: bytes) -> None:
    before = await stored(app)
    refused(route, await ann.send(route, body), 422)
    assert await stored(app) == before


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
@pytest.mark.parametrize("name", UNKNOWN)
async def test_no_field_slips_in_through_a_body(app: FastAPI, ann: Ann, route: Operation, name: str) -> None:
    if name in route.body or (name == "user_id" and "/admin/" in route.path):
        return
    before = await stored(app)
    good = {**route.body, "key": None} if "key" in route.body else route.body
    message = {"role": "user", "content": "x", name: "bob"}
    for body in ({**good, name: "bob"}, {"messages": [message]}, {**good, "conversation": [message]}):
        refused(route, await ann.send(route, json.dumps(body).encode()), 422)
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


@every_route
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "json",
    ],
)
async def test_only_json_is_taken(app: FastAPI, ann: Ann, route: Operation, content_type: str | None) -> None:
    before = await stored(app)
    headers = {} if content_type is None else {"Content-Type": content_type}
    body = json.dumps(route.body).encode()
    refused(route, await ann.client.request(route.method, ann.path(route), content=body, headers=headers), 415)
    assert await stored(app) == before


class Body:
    """What a client sends after the headers, counted as it is read."""

    def __init__(self, chunk: bytes) -> None:
        self.chunk = chunk
        self.read = 0

    async def __call__(self) -> Json:
        self.read += len(self.chunk)
        return {"type": "http.request", "body": self.chunk, "more_body": True}


async def asked(
    app: FastAPI, method: str, path: str, headers: dict[str, str], body: Callable[[], Awaitable[Json]], query: str = ""
) -> int:
    """The status that a request is answered with, however endless its body and its answer are."""
    statuses: list[int] = []

    async def send_(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("chatkeep.test", 80),
    }
    await app(scope, body, send_)
    (status,) = statuses
    return status


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


@pytest.mark.parametrize("route", [one for one in DOCUMENT if one.method != "GET"], ids=str)
@pytest.mark.parametrize("authorization", [None, "Bearer x", "Bearer ck_" + "x" * 43, "Basic YTpi"])
async def test_the_body_of_a_stranger_is_never_read(
    app: FastAPI, ann: Ann, route: Operation, authorization: str | None
) -> None:
    body = Body(b"{" * 1000)
    headers = JSON if authorization is None else {**JSON, "Authorization": authorization}
    assert await asked(app, route.method, ann.path(route), headers, body) == 401
    assert body.read == 0


TEXTS = ["\0", "a\0", "\x01", "\ufeff", "🥚" * 64, "'", '"; --', "%", "\u0665", "9" * 100, "-9", "1e9", "[]", "null"]


@pytest.mark.parametrize("route", [one for one in DOCUMENT if one.method == "GET"], ids=str)
async def test_no_query_breaks_a_read(app: FastAPI, ann: Ann, route: Operation) -> None:
    names = [p["name"] for p in route.entry.get("parameters", []) if p["in"] == "query"]
    for name in [*names, "metadata.x", "metadata.\0", "\0", ""]:
        for text in [*TEXTS, "\udcff"]:
            query = urlencode({name: text}) if text != "\udcff" else f"{name}=%FF%ED%A0%80"
            if route.streams_events:
                status = await asked(app, "GET", ann.path(route), dict(ann.client.headers), hanging_up, query)
                assert status < 500, (name, text)
            else:
                answer = await ann.client.get(ann.path(route), params=query)
                assert answer.status_code < 500, (name, text, answer.text)


async def hanging_up() -> Json:
    """What a client sends that is there for the head of the answer only."""
    return {"type": "http.disconnect"}


# On each database.
MUTATED = MADE = 2500


# What is sent into an answer that is in progress. After one that was taken there is another answer for the next.
INTO_AN_ANSWER = ("/chunks", "/complete", "/fail")


@every_route
async def test_fuzzed_bodies_break_nothing(app: FastAPI, admin: dict[str, str], route: Operation) -> None:
    # The same bodies each time: a failure today is one tomorrow.
    source = random.Random(str(route))
    async with acting(app, admin | {"X-User-Id": f"fuzz {route}"}) as client:
        ann = Ann(client, ok(await client.post("/chats", json=CHAT))["chat_id"])
        ended = route.path.endswith(INTO_AN_ANSWER)
        for make in [mutated] * (MUTATED // len(ROUTES) + 1) + [made] * (MADE // len(ROUTES) + 1):
            if ended:
                ann.message = await begun(ann, route.body.get("offset", 0))
            body = make(source, route)
            answer = await ann.send(route, body)
            expected = (200, 400) if route.is_openais else (200, 201, 202, 409, 422)
            assert answer.status_code in expected, (answer.status_code, body)
            ended = answer.is_success and route.path.endswith(INTO_AN_ANSWER)
            if answer.status_code == 201 and route.path.endswith("/messages"):
                await is_kept(ann, json.loads(body), answer)
            if answer.is_success and route.path.endswith("/items"):
                await is_listed(ann, ann.path(route), answer)
            if answer.status_code == 201 and route.path.endswith("/turn"):
                token = {"Turn-Token": str(answer.json()["token"])}
                ok(await client.delete(ann.path(route), headers=token))
        await everything_reads(client)


async def begun(ann: Ann, length: int) -> str:
    """The id of a message that is in progress, with a text that is so long."""
    growing = {"role": "assistant", "content": "x" * length, "status": "in_progress"}
    message_id: str = ok(await ann.client.post(f"/chats/{ann.chat_id}/messages", json=growing))["message_id"]
    return message_id


async def is_kept(ann: Ann, given: Json, answer: httpx2.Response) -> None:
    """Fails unless an append that was accepted is read back as it went in."""
    batch = given.get("messages")
    said = answer.json()["messages"] if batch is not None else [answer.json()]
    for message, one in zip(said, batch if batch is not None else [given], strict=True):
        one = {name: value for name, value in one.items() if name != "parent"}
        plain = {name: value for name, value in message.items() if name != "siblings"}
        assert same(plain, {**one, "created_at": message["created_at"]} if "created_at" in one else one)
    read = ok(
        await ann.client.get(f"/chats/{ann.chat_id}/messages", params={"after_seq": said[0]["seq"] - 1, "limit": 200})
    )
    assert read["items"] == said[:200]


async def is_listed(ann: Ann, path: str, answer: httpx2.Response) -> None:
    """Fails unless items that were accepted are listed as they were answered."""
    added = answer.json()["data"]
    listed = ok(await ann.client.get(path, params={"limit": len(added)}))
    assert listed["data"] == added[::-1]


async def everything_reads(client: httpx2.AsyncClient) -> None:
    """Fails unless each chat can be read, with each of its messages and its branches."""
    for chat in await every_item(client, "/chats"):
        path = f"/chats/{chat['chat_id']}"
        tree = {message["message_id"]: message for message in await every_item(client, f"{path}/messages", tree=True)}
        assert len(tree) == chat["message_count"]
        active = await every_item(client, f"{path}/messages")
        assert active == branch(tree, chat["head_id"])
        assert ok(await client.get(path, params={"include": "conversation"}))["conversation"] == active
        for one in await every_item(client, f"{path}/branches"):
            messages = await every_item(client, f"{path}/messages", head=one["head_id"])
            assert messages == branch(tree, one["head_id"])
            assert len(messages) == one["message_count"]


def branch(tree: dict[str, Json], head_id: str | None) -> list[Json]:
    """The messages of a tree from a root to a head."""
    found: list[Json] = []
    while head_id is not None:
        found.append(tree[head_id])
        head_id = tree[head_id]["parent_id"]
    return found[::-1]
