"""What every request passes: CORS, request ids, logs that say nothing they should not, and readiness."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text

from app.db.database import Database
from app.main import create_app
from app.settings import Settings
from tests.conftest import settings_for
from tests.servers.service import ADMIN_KEY, StartService

pytestmark = pytest.mark.any_database

Headers = Callable[[str], dict[str, str]]


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a service of its own with these settings."""
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://chatkeep.test") as client,
    ):
        yield client


async def test_browsers_of_the_origins_that_are_set_may_call(settings: Settings) -> None:
    async with started(settings.model_copy(update={"cors_origins": ("https://chat.example",)})) as client:
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,turn-token,x-stainless-lang",
        }
        allowed = await client.options("/chats", headers={"Origin": "https://chat.example", **asked})
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://chat.example"
        refused = await client.options("/chats", headers={"Origin": "https://evil.example", **asked})
        assert "access-control-allow-origin" not in refused.headers
        answer = await client.get("/healthz", headers={"Origin": "https://chat.example"})
        assert "ETag" in answer.headers["access-control-expose-headers"]


async def test_without_the_setting_no_origin_is_allowed(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/healthz", headers={"Origin": "https://chat.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_a_request_id_is_given_or_taken_over(client: httpx2.AsyncClient) -> None:
    first, second = await client.get("/healthz"), await client.get("/healthz")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    taken = await client.get("/healthz", headers={"X-Request-Id": "abc-123"})
    assert taken.headers["x-request-id"] == "abc-123"
    strange = await client.get("/healthz", headers={"X-Request-Id": 'a"b c'})
    assert strange.headers["x-request-id"] != 'a"b c'


@pytest.mark.parametrize("path", ["/nowhere", "/chats/a/b/c/d"])
async def test_what_is_not_there_is_a_problem_too(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["status"] == 404


async def test_a_wrong_method_is_a_problem_too(client: httpx2.AsyncClient, admin: dict[str, str]) -> None:
    answer = await client.put("/admin/api-keys", headers=admin)
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
    assert answer.headers["allow"]


async def test_ready_only_with_the_current_schema(empty_database_url: str, tmp_path: Path) -> None:
    async with started(settings_for(empty_database_url, tmp_path)) as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "chatkeep migrate" in answer.json()["detail"]
        assert (await client.get("/healthz")).status_code == 200


async def test_a_defect_is_answered_and_logged_without_what_was_written(
    fresh_database_url: str, tmp_path: Path, as_user: Headers, service: StartService
) -> None:
    db = await Database.open(settings_for(fresh_database_url, tmp_path))
    async with db.write() as session:
        await session.execute(text("ALTER TABLE messages RENAME TO gone"))
    await db.close()
    running = service()
    secret = "the secret that somebody wrote"
    async with httpx2.AsyncClient(base_url=running.base_url, headers=as_user("ann")) as client:
        answer = await client.post("/chats/key:a/messages", json={"role": "user", "content": secret})
    assert (answer.status_code, answer.json()["title"]) == (500, "Internal error")
    running.terminate()
    assert "defect" in running.log
    assert secret not in running.log + answer.text


def test_logs_are_json_with_request_ids_and_no_secrets(service: StartService) -> None:
    running = service(log_level="info", log_format="json")
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "X-User-Id": "ann", "X-Request-Id": "find-me"}
    content = "nobody's business"
    with httpx2.Client(base_url=running.base_url, headers=headers) as client:
        assert client.post("/chats/key:private/messages", json={"role": "user", "content": content}).is_success
        assert client.get("/chats/key:private/messages?cursor=wrong").status_code == 400
        wrong = {**headers, "Authorization": "Bearer ck_wrong-key-of-somebody"}
        assert client.get("/chats", headers=wrong).status_code == 401
    running.terminate()
    lines = [json.loads(line) for line in running.log.splitlines() if line.startswith("{")]
    ours = [line for line in lines if line.get("request_id") == "find-me"]
    assert [(line["method"], line["route"], line["status"]) for line in ours[:2]] == [
        ("POST", "/chats/{chat}/messages", 201),
        ("GET", "/chats/{chat}/messages", 400),
    ]
    for secret in (ADMIN_KEY, "ck_wrong-key-of-somebody", content, "key:private"):
        assert secret not in running.log
