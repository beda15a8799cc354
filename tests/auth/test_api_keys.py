"""API keys: what is made works, for whom and as long as it should, and no secret is ever stored."""

import asyncio
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import httpx2
import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.auth import authenticator
from app.auth.cache import ExpiringCache
from app.auth.schemas import ApiKeyIn
from app.auth.store import ApiKeyStore
from app.http.errors import Conflict
from app.http.idempotency import IdempotentRequest
from app.main import create_app
from app.settings import Settings
from tests.auth.keys import PATH, READ_WRITE, Headers, Make, bearing


async def stored(app: FastAPI) -> str:
    """Every column of the tables that know of keys, as text."""
    async with app.state.services.db.engine.connect() as connection:
        tables = ("api_keys", "idempotency")
        rows = [row for table in tables for row in await connection.execute(text(f"SELECT * FROM {table}"))]
    return "\n".join(map(str, rows))


async def test_a_new_key_is_shown_once_and_works(
    client: httpx2.AsyncClient, admin: Headers, make_user: Callable[[], str]
) -> None:
    user = make_user()
    asked = {"name": "Ann's laptop 💻", "user_id": user, "scopes": ["chats:write", "chats:read", "chats:read"]}
    answer = await client.post(PATH, headers=admin, json=asked)
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["location"] == f"{PATH}/{made['key_id']}"
    assert re.fullmatch(r"ck_[A-Za-z0-9_-]{43}", made["key"])
    assert made == {
        "key": made["key"],
        "key_id": made["key_id"],
        "name": "Ann's laptop 💻",
        "user_id": user,
        "scopes": READ_WRITE,
        "hint": made["key"][:7] + "…",
        "created_at": made["created_at"],
        "expires_at": None,
        "revoked_at": None,
    }
    assert abs(datetime.now(UTC) - datetime.fromisoformat(made["created_at"])) < timedelta(seconds=10)
    assert (await client.get("/chats", headers=bearing(made["key"]))).status_code == 200
    read = await client.get(answer.headers["location"], headers=admin)
    listed = (await client.get(PATH, headers=admin)).json()["items"][0]
    del made["key"]
    assert read.json() == listed == made


async def test_only_a_hash_is_stored(app: FastAPI, make: Make) -> None:
    made = [await make(), await make({"Idempotency-Key": str(uuid4())}), await make(user_id="ann")]
    content = await stored(app)
    for key in made:
        assert key["key_id"] in content
        assert key["key"] not in content
        assert key["key"].removeprefix("ck_") not in content


WRONG_BODIES: list[Any] = [
    {},
    {"name": "a"},
    {"scopes": ["chats:read"]},
    {"name": "", "scopes": ["chats:read"]},
    {"name": "a" * 256, "scopes": ["chats:read"]},
    {"name": "a\nb", "scopes": ["chats:read"]},
    {"name": 7, "scopes": ["chats:read"]},
    {"name": "a", "scopes": []},
    {"name": "a", "scopes": "chats:read"},
    {"name": "a", "scopes": ["chats:delete"]},
    {"name": "a", "scopes": ["chats:read"] * 30},
    {"name": "a", "scopes": ["chats:read"], "user_id": ""},
    {"name": "a", "scopes": ["chats:read"], "user_id": "a" * 256},
    {"name": "a", "scopes": ["chats:read"], "user_id": "a\x7f"},
    {"name": "a", "scopes": ["chats:read"], "user_id": 7},
    {"name": "a", "scopes": ["chats:read"], "expires_at": "2001-01-01T00:00:00Z"},
    {"name": "a", "scopes": ["chats:read"], "expires_at": "2099-01-01T00:00:00"},
    {"name": "a", "scopes": ["chats:read"], "expires_at": "9999-12-31T23:59:59-01:00"},
    {"name": "a", "scopes": ["chats:read"], "expires_at": 4070908800},
    {"name": "a", "scopes": ["chats:read"], "expires_at": "4070908800"},
    {"name": "a", "scopes": ["chats:read"], "expires_at": "tomorrow"},
    {"name": "a", "scopes": ["chats:read"], "key": "ck_mine"},
    {"name": "a", "scopes": ["chats:read"], "key_id": "01932c07-209c-7000-8000-1234567890ab"},
    {"name": "a", "scopes": ["chats:read"], "sha256": "0" * 64},
    [],
    "a",
    None,
]


@pytest.mark.parametrize("body", WRONG_BODIES, ids=lambda body: str(body)[:60])
async def test_a_wrong_body_makes_no_key(client: httpx2.AsyncClient, admin: Headers, body: Any) -> None:
    before = (await client.get(f"{PATH}?limit=1", headers=admin)).json()
    answer = await client.post(PATH, headers=admin, json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await client.get(f"{PATH}?limit=1", headers=admin)).json() == before


async def test_keys_are_listed_newest_first_page_by_page(
    client: httpx2.AsyncClient, admin: Headers, make: Make
) -> None:
    made = [(await make(name=f"number {number}"))["key_id"] for number in range(5)]
    url = f"{PATH}?limit=2"
    seen: list[str] = []
    while url and len(seen) < 6:
        page = await client.get(url, headers=admin)
        assert "ck_" not in re.sub(r'"hint":"[^"]*"', "", page.text)
        seen += [item["key_id"] for item in page.json()["items"]]
        following = page.json()["next_cursor"]
        assert (f"cursor={following}" in page.headers.get("link", "")) == bool(following)
        url = f"{PATH}?limit=2&cursor={following}" if following else ""
    assert seen[:5] == made[::-1]


async def test_a_cursor_is_bound_to_its_caller(client: httpx2.AsyncClient, admin: Headers, make: Make) -> None:
    other = bearing((await make(scopes=["admin"]))["key"])
    await make()
    cursor = (await client.get(f"{PATH}?limit=1", headers=admin)).json()["next_cursor"]
    assert (await client.get(f"{PATH}?cursor={cursor}", headers=admin)).status_code == 200
    for headers, wrong in ((other, cursor), (admin, cursor[:-2]), (admin, "nonsense"), (admin, "%00")):
        assert (await client.get(f"{PATH}?cursor={wrong}", headers=headers)).status_code == 400
    for query in ("limit=0", "limit=201", "limit=x", "offset=1"):
        assert (await client.get(f"{PATH}?{query}", headers=admin)).status_code == 422


async def test_a_revoked_key_is_refused_at_once_and_stays_in_the_list(
    client: httpx2.AsyncClient, admin: Headers, make: Make
) -> None:
    key = await make(user_id="ann")
    headers = bearing(key["key"])
    assert (await client.get("/chats", headers=headers)).status_code == 200
    assert (await client.delete(f"{PATH}/{key['key_id']}", headers=admin)).status_code == 204
    assert (await client.get("/chats", headers=headers)).status_code == 401
    first = (await client.get(f"{PATH}/{key['key_id']}", headers=admin)).json()["revoked_at"]
    assert first
    assert (await client.delete(f"{PATH}/{key['key_id'].upper()}", headers=admin)).status_code == 204
    assert (await client.get(PATH, headers=admin)).json()["items"][0]["revoked_at"] == first


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "key_id", ["01932c07-209c-7000-8000-1234567890ab", "nonsense", "%00", "0" * 36, "{" + "0" * 34 + "}", "a" * 5000]
)
async def test_a_key_that_is_not_there_is_a_404(
    client: httpx2.AsyncClient, admin: Headers, method: str, key_id: str
) -> None:
    answer = await client.request(method, f"{PATH}/{key_id}", headers=admin)
    assert (answer.status_code, answer.json()["detail"]) == (404, "It does not exist, or it is not yours.")


async def test_a_key_revoked_by_another_process_is_refused_within_five_seconds(
    settings: Settings, client: httpx2.AsyncClient, admin: Headers, make: Make
) -> None:
    key = await make(user_id="ann")
    other = create_app(settings)
    async with (
        other.router.lifespan_context(other),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(other), base_url="http://other.test") as elsewhere,
    ):
        assert (await elsewhere.get("/chats", headers=bearing(key["key"]))).status_code == 200
        assert (await client.delete(f"{PATH}/{key['key_id']}", headers=admin)).status_code == 204
        # What is known of a key is known for so long; how long a busy machine takes to look says nothing.
        assert authenticator.KEY_CACHE_SECONDS < 4
        async with asyncio.timeout(60):
            while (await elsewhere.get("/chats", headers=bearing(key["key"]))).status_code == 200:
                await asyncio.sleep(0.05)
        # And a key that is made here is known there at once.
        new = await make(user_id="ann")
        assert (await elsewhere.get("/chats", headers=bearing(new["key"]))).status_code == 200


async def test_a_key_is_refused_from_the_moment_it_expires(client: httpx2.AsyncClient, make: Make) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=1)
    key = await make(user_id="ann", expires_at=moment.isoformat())
    assert datetime.fromisoformat(key["expires_at"]) == moment
    answer = await client.get("/chats", headers=bearing(key["key"]))
    assert answer.status_code == 200 or datetime.now(UTC) >= moment
    while datetime.now(UTC) < moment:
        await asyncio.sleep(0.01)
    assert (await client.get("/chats", headers=bearing(key["key"]))).status_code == 401


async def test_a_moment_in_another_zone_is_kept_in_utc(make: Make) -> None:
    assert (await make(expires_at="2099-01-01T02:00:00+02:00"))["expires_at"] == "2099-01-01T00:00:00.000000Z"


async def test_a_retry_gets_the_same_key_again(client: httpx2.AsyncClient, admin: Headers, app: FastAPI) -> None:
    headers = {**admin, "Idempotency-Key": str(uuid4())}
    name = str(uuid4())
    body = {"name": name, "scopes": READ_WRITE, "user_id": "ann"}
    first, *others = await asyncio.gather(*(client.post(PATH, headers=headers, json=body) for _ in range(5)))
    later = await client.post(PATH, headers=headers, json=body)
    for answer in (first, *others, later):
        assert (answer.status_code, answer.content) == (201, first.content)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["location"] == f"{PATH}/{first.json()['key_id']}"
    assert later.headers["idempotency-replayed"] == "true"
    assert (await stored(app)).count(name) == 2  # the key, and its kept answer
    assert (await client.get("/chats", headers=bearing(first.json()["key"]))).status_code == 200
    changed = await client.post(PATH, headers=headers, json={**body, "scopes": ["admin"]})
    assert changed.status_code == 422


async def test_a_retry_with_another_token_is_told_that_the_secret_is_gone(app: FastAPI) -> None:
    store = ApiKeyStore(app.state.services.db)
    create = partial(
        store.create,
        ApiKeyIn(name="a key", scopes=["chats:read"]),
        idempotency=IdempotentRequest("POST", str(uuid4()), "asked"),
        by="user:ann",
    )
    made = await create(token=b"the token that Ann had")
    with pytest.raises(Conflict) as refused:
        await create(token=b"the token that she has after signing in again")
    assert orjson.loads(made.body)["key_id"] in refused.value.detail
    assert "ck_" not in refused.value.detail
    assert (await create(token=b"the token that Ann had")).body == made.body


async def test_a_key_seen_a_moment_ago_costs_no_query(
    app: FastAPI, client: httpx2.AsyncClient, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, unknown = (await make(user_id="ann"))["key"], "ck_" + "B" * 43
    asked: list[str] = []
    find = app.state.services.authenticator.keys.find

    async def counted(sha256: str) -> Any:
        asked.append(sha256)
        return await find(sha256)

    monkeypatch.setattr(app.state.services.authenticator.keys, "find", counted)
    for _ in range(10):
        assert (await client.get("/chats", headers=bearing(known))).status_code == 200
        assert (await client.get("/chats", headers=bearing(unknown))).status_code == 401
    assert len(asked) == 2


async def test_a_flood_of_made_up_keys_fills_no_memory_and_pushes_nobody_out(
    app: FastAPI, client: httpx2.AsyncClient, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.state.services.authenticator, "_unknown", ExpiringCache(20))
    known = bearing((await make(user_id="ann"))["key"])
    assert (await client.get("/chats", headers=known)).status_code == 200
    callers = len(app.state.services.authenticator._callers)
    for number in range(100):
        assert (await client.get("/chats", headers=bearing(f"ck_{number:043}"))).status_code == 401
    assert len(app.state.services.authenticator._unknown) == 20
    assert len(app.state.services.authenticator._callers) == callers


def test_a_cache_is_bounded_and_forgets_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    cache: ExpiringCache[int] = ExpiringCache(3)
    now = time.monotonic()
    for number in range(5):
        cache.put(b"%d" % number, number, now + 60)
    assert [cache.get(b"%d" % number) for number in range(5)] == [None, None, 2, 3, 4]
    cache.put(b"2", 22, now + 60)
    cache.put(b"5", 5, now + 60)
    assert (cache.get(b"2"), cache.get(b"3"), len(cache)) == (22, None, 3)
    cache.put(b"6", 6, now - 1)
    assert cache.get(b"6") is None
    assert authenticator.KEY_CACHE_SECONDS < 5


async def test_every_operation_says_what_it_can_answer(client: httpx2.AsyncClient) -> None:
    document = orjson.loads((await client.get("/openapi.json")).content)
    operations = {
        (method, path): operation
        for path, methods in document["paths"].items()
        if path.startswith(PATH)
        for method, operation in methods.items()
    }
    assert len(operations) == 4
    for operation in operations.values():
        assert operation["summary"]
        assert operation["description"]
        assert operation["security"] == [{"bearer": []}]
        assert {"400", "401", "403", "503"} <= operation["responses"].keys()
    chats = document["paths"]["/chats"]["get"]
    assert "X-User-Id" in [parameter["name"] for parameter in chats["parameters"]]
