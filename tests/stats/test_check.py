"""`chatkeep check`: it agrees with what the service writes, and finds what was damaged behind its back."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from app.cli import app as chatkeep
from tests.callers import Json, acting, ok, started
from tests.conftest import settings_for
from tests.servers.service import StartService
from tests.stats.test_counters import Run

Sql = Callable[..., Any]
Command = Callable[..., Result]
MESSAGES: Json = {
    "title": "Eggs",
    "platform": "web",
    "conversation": [
        {"role": "user", "content": "How do I boil an egg?", "tokens": 7},
        {"role": "assistant", "content": "Eight minutes.", "model": "gpt-5", "input_tokens": 7, "output_tokens": 3},
    ],
}


@pytest.fixture
def check(fresh_database_url: str) -> Command:
    """The command, on a database of its own."""

    def run(*arguments: str) -> Result:
        environment = {"CHATKEEP_DATABASE_URL": fresh_database_url, "COLUMNS": "200"}
        return CliRunner().invoke(chatkeep, ["check", *arguments], env=environment)

    return run


@pytest.fixture
async def own(fresh_database_url: str, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """The service on that database."""
    async with started(settings_for(fresh_database_url, tmp_path)) as made:
        yield made


@pytest.fixture
async def ann(own: FastAPI, as_user: Callable[[str], dict[str, str]]) -> AsyncIterator[httpx2.AsyncClient]:
    """Ann, with two chats, who has searched."""
    async with acting(own, as_user("ann")) as client:
        for _ in range(2):
            ok(await client.post("/chats", json=MESSAGES))
        ok(await client.get("/search", params={"q": "egg"}))
        yield client


async def execute(app: FastAPI, statement: str) -> None:
    """Does something to the database that no service would."""
    async with app.state.services.db.write() as session:
        await (await session.connection()).exec_driver_sql(statement)


async def elsewhere(check: Command, *arguments: str) -> Result:
    """Runs the command on another thread: the service goes on meanwhile, and ends what it has begun."""
    return await asyncio.to_thread(check, *arguments)


def report(done: Result) -> Json:
    """What it prints with `--json`."""
    assert done.exit_code in (0, 1), done.output
    found: Json = json.loads(done.stdout)
    assert found["ok"] is (done.exit_code == 0) is (found["found"] == 0)
    return found


async def test_it_agrees_with_the_service(
    own: FastAPI, ann: httpx2.AsyncClient, check: Command, as_user: Callable[[str], dict[str, str]]
) -> None:
    async with acting(own, as_user("bob")) as bob:
        run = Run(own, [bob], 5)
        for _ in range(60):
            await run.step()
        found = report(await elsewhere(check, "--json"))
        assert found["differences"] == []
        totals = [ok(await one.get("/stats"))["total_messages"] for one in (ann, bob)]
        assert (found["users"], found["messages"], found["not_indexed"]) == (2, sum(totals), 0)
    done = await elsewhere(check)
    assert done.exit_code == 0
    assert "All agrees" in done.stdout


DAMAGE = {
    "total": "UPDATE usage SET messages = messages + 1",
    "role": "UPDATE usage_by SET total_tokens = total_tokens - 5 WHERE kind = 'role'",
    "model": "DELETE FROM usage_by WHERE kind = 'model'",
    "platform": "UPDATE usage_by SET deleted_chats = 1 WHERE kind = 'platform'",
    "time_bucket": "UPDATE usage_time_buckets SET chats = 0, messages = 9",
    "longest": "UPDATE usage SET longest = 7",
    "chat": "UPDATE chats SET message_count = 9, total_tokens = 1",
    "head": "UPDATE chats SET head_seq = 1",
    "last_seq": "UPDATE chats SET last_seq = 1",
    "list": "UPDATE chats SET listed_at = '2100-01-01T00:00:00.000000Z'",
    "document": "DELETE FROM documents WHERE seq = 2",
}


@pytest.mark.parametrize("what", DAMAGE)
async def test_what_is_damaged_is_found(own: FastAPI, ann: httpx2.AsyncClient, check: Command, what: str) -> None:
    before = ok(await ann.get("/stats"))
    assert report(await elsewhere(check, "--json"))["differences"] == []
    await execute(own, DAMAGE[what])
    found = report(await elsewhere(check, "--json"))
    assert what in {one["what"] for one in found["differences"]}
    assert {one["user_id"] for one in found["differences"]} == {"ann"}
    assert (await elsewhere(check)).exit_code == 1
    done = await elsewhere(check, "--repair")
    assert done.exit_code == 1
    if what == "document":
        ok(await ann.get("/search", params={"q": "egg"}))
    left = {one["what"] for one in report(await elsewhere(check, "--json"))["differences"]}
    # Which message is meant to be the last one, no counter tells.
    assert left == ({"head"} if what == "head" else set())
    after = ok(await ann.get("/stats"))
    assert {**after, "last_activity_at": None} == {**before, "last_activity_at": None}


async def test_a_difference_says_by_how_much(own: FastAPI, ann: httpx2.AsyncClient, check: Command) -> None:
    await ann.get("/stats")
    await execute(own, "UPDATE usage_by SET messages = messages + 3 WHERE kind = 'role' AND name = '\"user\"'")
    (found,) = report(await elsewhere(check, "--json"))["differences"]
    assert found == {"user_id": "ann", "what": "role", "name": "user", "missing": {"messages": -3}}


async def test_rows_without_a_chat_are_found(own: FastAPI, ann: httpx2.AsyncClient, check: Command) -> None:
    ok(await ann.post("/chats", json={"key": "new"}, headers={"Idempotency-Key": "once"}))
    await execute(own, "UPDATE idempotency SET chat_id = '00000000-0000-7000-8000-000000000000' WHERE key = 'once'")
    (found,) = report(await elsewhere(check, "--json"))["differences"]
    assert (found["what"], found["table"]) == ("stray", "idempotency")


@pytest.mark.parametrize(
    ("damage", "how"),
    [
        ("UPDATE documents SET words = ' other ' WHERE seq = 1", "other"),
        ("UPDATE documents SET seq = 9 WHERE seq = 1", "stray"),
        ("DELETE FROM documents WHERE seq = 0", "missing"),
    ],
)
async def test_documents_are_compared(
    own: FastAPI, ann: httpx2.AsyncClient, check: Command, damage: str, how: str
) -> None:
    await execute(own, damage)
    found = report(await elsewhere(check, "--json"))["differences"]
    assert {one["what"] for one in found} == {"document"}
    assert how in {one["how"] for one in found}
    assert (await elsewhere(check, "--repair")).exit_code == 1
    assert len(ok(await ann.get("/search", params={"q": "egg"}))["items"]) > 0
    assert report(await elsewhere(check, "--json"))["differences"] == []


async def test_a_broken_reference_is_found(own: FastAPI, ann: httpx2.AsyncClient, check: Command, dialect: str) -> None:
    if dialect == "postgres":
        return  # it lets nobody break one
    async with own.state.services.db.engine.connect() as connection:
        await connection.exec_driver_sql("COMMIT")
        await connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        await connection.exec_driver_sql("DELETE FROM chats")
        await connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    kinds = {one["what"] for one in report(await elsewhere(check, "--json"))["differences"]}
    assert "foreign key" in kinds


def test_it_agrees_while_the_service_writes(service: StartService, check: Command) -> None:
    process = service()
    stop = threading.Event()

    def write(user: str) -> None:
        with httpx2.Client(base_url=process.base_url, headers=process.headers(user), trust_env=False) as client:
            number = 0
            while not stop.is_set():
                number += 1
                ok(client.post(f"/chats/key:{number % 5}/messages", json=MESSAGES["conversation"][number % 2]))
                if number % 7 == 0:
                    ok(client.post(f"/chats/key:{number % 5}/messages/pop"))
                if number % 50 == 0:
                    ok(client.delete(f"/chats/key:{number % 5}", params={"hard": number % 100 == 0}))

    writers = [threading.Thread(target=write, args=(f"user {number}",)) for number in range(4)]
    for writer in writers:
        writer.start()
    try:
        found = [report(check("--json")) for _ in range(4)]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert [one["differences"] for one in found] == [[]] * 4
    assert found[-1]["messages"] > found[0]["messages"]
    assert report(check("--json"))["differences"] == []


def test_it_says_what_is_missing(empty_database_url: str) -> None:
    done = CliRunner().invoke(chatkeep, ["check"], env={"CHATKEEP_DATABASE_URL": empty_database_url})
    assert done.exit_code == 1
    assert "chatkeep migrate" in done.output
