"""Who may see whose statistics, and what else the routes say."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, update
from sqlmodel import col

from app.models import Change, Usage
from tests.callers import Json, acting, ok, problem

Key = Callable[..., Any]
PATHS = ("/stats", "/stats/daily")
OTHERS: list[Json] = [{"user_id": "somebody else"}, {"all_users": "true"}]
MESSAGES: Json = {"conversation": [{"role": "user", "content": "x", "tokens": 5}] * 2}


@pytest.fixture
async def key(client: httpx2.AsyncClient, admin: dict[str, str], app: FastAPI) -> AsyncIterator[Key]:
    """Makes an API key and gives a client with it."""
    made: list[httpx2.AsyncClient] = []

    async def make(*scopes: str, user_id: str | None = None, acting_for: str | None = None) -> httpx2.AsyncClient:
        body = {"name": "k", "scopes": scopes, "user_id": user_id}
        headers = {
            "Authorization": f"Bearer {ok(await client.post('/admin/api-keys', headers=admin, json=body))['key']}"
        }
        made.append(acting(app, headers | ({"X-User-Id": acting_for} if acting_for else {})))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


async def test_everybody_sees_what_is_theirs(key: Key, make_user: Callable[[], str]) -> None:
    ann, bob = make_user(), make_user()
    anns = await key("chats:read", "chats:write", user_id=ann)
    bobs = await key("chats:read", "chats:write", user_id=bob)
    ok(await anns.post("/chats", json=MESSAGES))
    assert ok(await anns.get("/stats"))["total_messages"] == 2
    assert ok(await bobs.get("/stats"))["total_messages"] == 0
    assert ok(await bobs.get("/stats"))["by_role"] == []
    assert sum(item["messages"] for item in ok(await anns.get("/stats/daily"))["items"]) == 2
    assert sum(item["messages"] for item in ok(await bobs.get("/stats/daily"))["items"]) == 0
    # One's own by name is one's own.
    assert ok(await anns.get("/stats", params={"user_id": ann}))["longest_conversation_user"] == ann
    for path in PATHS:
        problem(await bobs.get(path, params={"user_id": ann}), 403)


@pytest.mark.parametrize("path", PATHS)
async def test_only_administrators_see_others(key: Key, make_user: Callable[[], str], path: str) -> None:
    user = make_user()
    for scopes in (("chats:read",), ("chats:read", "chats:write")):
        for one in (await key(*scopes, user_id=user), await key(*scopes, acting_for=user)):
            ok(await one.get(path))
            for query in OTHERS:
                # Alike for those who exist and those who do not.
                assert "admin" in problem(await one.get(path, params=query), 403)["detail"]
    nobody = await key("admin")
    for query in OTHERS:
        ok(await nobody.get(path, params=query))
    assert "all_users" in problem(await nobody.get(path), 400)["detail"]
    problem(await nobody.get(path, params={"user_id": "x", "all_users": "true"}), 400)
    service = await key("chats:read")
    assert "X-User-Id" in problem(await service.get(path), 400)["detail"]
    problem(await (await key("admin", acting_for=user)).get(path), 403)
    problem(await (await key("chats:write", user_id=user)).get(path), 403)


@pytest.mark.parametrize("path", ["/stats/top", "/stats/storage"])
async def test_what_is_of_all_is_for_administrators(
    client: httpx2.AsyncClient, key: Key, make_user: Callable[[], str], path: str
) -> None:
    problem(await client.get(path), 401)
    problem(await (await key("chats:read", "chats:write", user_id=make_user())).get(path), 403)
    ok(await (await key("admin")).get(path))


@pytest.mark.parametrize("path", [*PATHS, "/stats/top"])
@pytest.mark.parametrize(
    "query",
    [{"user_id": ""}, {"user_id": "x" * 256}, {"user_id": "a\0"}, {"all_users": "x"}, {"by": "year"}, {"limit": 0}],
)
async def test_what_no_query_says(client: httpx2.AsyncClient, admin: dict[str, str], path: str, query: Json) -> None:
    answer = await client.get(path, params={"all_users": "true", **query}, headers=admin)
    assert answer.status_code in (200, 400, 422)
    if "user_id" in query and path != "/stats/top":
        problem(answer, 422)


async def test_the_most_active(
    client: httpx2.AsyncClient, admin: dict[str, str], app: FastAPI, as_user: Any, make_user: Callable[[], str]
) -> None:
    many, large, often = users = [make_user() for _ in range(3)]
    wrote = {many: ([50], 0), large: ([1], 10**12), often: ([1] * 20, 1)}
    for user, (chats, tokens) in wrote.items():
        async with acting(app, as_user(user)) as me:
            for messages in chats:
                batch = [{"role": "user", "content": "x", "tokens": tokens}] * messages
                ok(await me.post("/chats", json={"conversation": batch}))
    for by, most in (("messages", many), ("tokens", large), ("chats", often)):
        items = ok(await client.get("/stats/top", params={"by": by, "limit": 200}, headers=admin))["items"]
        order = [item["user_id"] for item in items if item["user_id"] in users]
        assert order[0] == most
        name = {"messages": "total_messages", "tokens": "total_tokens", "chats": "total_conversations"}[by]
        numbers = [item[name] for item in items]
        assert numbers == sorted(numbers, reverse=True)
        assert 0 not in numbers
        first = ok(await client.get("/stats/top", params={"by": by, "limit": 1}, headers=admin))["items"]
        assert first == items[:1]
        own = next(item for item in items if item["user_id"] == most)
        totals = ok(await client.get("/stats", params={"user_id": most}, headers=admin))
        assert own == {"user_id": most, **{field: totals[field] for field in own if field != "user_id"}}


async def test_what_the_database_takes(
    client: httpx2.AsyncClient, admin: dict[str, str], me: httpx2.AsyncClient, app: FastAPI, dialect: str
) -> None:
    ok(await me.post("/chats", json=MESSAGES))
    whole = ok(await client.get("/stats", params={"all_users": "true"}, headers=admin))
    found = ok(await client.get("/stats/storage", headers=admin))
    tables = {table["name"]: table for table in found["tables"]}
    assert found["database"] == dialect
    assert {"chats", "messages", "feeds", "changes", "usage", "documents"} <= set(tables)
    assert tables["chats"]["rows"] == whole["total_conversations"]
    assert tables["messages"]["rows"] == whole["total_messages"]
    for table in tables.values():
        assert table["index_bytes"] == sum(index["bytes"] for index in table["indexes"])
    assert {"uq_messages_message_id", "ix_messages_segment"} <= {one["name"] for one in tables["messages"]["indexes"]}
    assert tables["messages"]["bytes"] > 0
    sizes = sum(table["bytes"] + table["index_bytes"] for table in tables.values())
    if dialect == "sqlite":
        file = Path(app.state.settings.database_url.removeprefix("sqlite:///"))
        assert 0 < sizes + found["free_bytes"] <= found["total_bytes"]
        assert found["total_bytes"] - sizes - found["free_bytes"] <= 64 * 1024
        assert found["wal_bytes"] == file.with_name(f"{file.name}-wal").stat().st_size
        assert "search_index" in tables
        assert not any(name.startswith("search_index_") for name in tables)
    else:
        assert 0 < sizes < found["total_bytes"]


async def test_changes_that_are_gone_are_passed_over(app: FastAPI, me: httpx2.AsyncClient) -> None:
    user_id = me.headers["X-User-Id"]
    ok(await me.post("/chats", json=MESSAGES))
    before = ok(await me.get("/stats"))
    async with app.state.services.db.write() as session:
        await session.execute(update(Usage).where(col(Usage.user_id) == user_id).values(position=0))
        await session.execute(delete(Change).where(col(Change.user_id) == user_id))
    assert ok(await me.get("/stats")) == before
