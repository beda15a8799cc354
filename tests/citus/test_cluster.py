"""One setting, and tables go to the machines of a Citus cluster: what is asked of it, on a stub of its functions."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx2
import orjson
import pytest
from fastapi import FastAPI

from app.db.citus import placement
from app.db.database import Database
from app.db.migrations import upgrade
from app.models import metadata
from app.settings import Settings
from tests.callers import Json, acting, every_item, ok, problem, started
from tests.conftest import settings_for
from tests.servers.citus import CITUS_URL
from tests.servers.databases import Databases

pytestmark = pytest.mark.skipif(bool(CITUS_URL), reason="the cluster has the functions themselves")
STUB = (Path(__file__).parent / "stub.sql").read_text()
USERS = [f"user-{number}" for number in range(16)]
HELLO: Json = {"role": "user", "content": "A boiled egg"}
# What Citus says when it does not reach a machine.
DOWN = """
CREATE FUNCTION down() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF get_shard_id_for_distribution_column('chats', NEW.user_id) % 2 = 1 THEN
        RAISE 'connection to the remote node worker-2:5432 failed' USING ERRCODE = '08006';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER down BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION down();
INSERT INTO broken_connections VALUES (2);
"""


@pytest.fixture(scope="module")
def cluster_settings(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of a database that is a cluster, as far as it says, migrated with the setting."""
    url = databases.empty("postgres")
    settings = settings_for(url, tmp_path_factory.mktemp("data")).model_copy(update={"citus": True})

    async def prepare() -> None:
        await run_sql(url, STUB)
        db = await Database.open(settings)
        await upgrade(db)
        await db.close()

    asyncio.run(prepare())
    yield settings
    databases.drop(url)


async def run_sql(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statements)
    await connection.close()


@pytest.fixture
async def cluster(cluster_settings: Settings) -> AsyncIterator[FastAPI]:
    """The service on it."""
    async with started(cluster_settings) as app:
        yield app


async def test_each_table_is_distributed_when_it_is_made(cluster_settings: Settings) -> None:
    connection = await asyncpg.connect(cluster_settings.database_url)
    calls = await connection.fetch("SELECT function, object, colocated FROM citus_calls ORDER BY number")
    await connection.close()
    tables = [tuple(call) for call in calls if call["function"].endswith("_table")]
    assert {name for _, name, _ in tables} == set(metadata.tables)
    assert tables[0] == ("create_distributed_table", "chats", "none")
    for function, name, colocated in tables[1:]:
        expected = ("create_reference_table", None) if name == "api_keys" else ("create_distributed_table", "chats")
        assert (function, colocated) == expected, name
    assert [tuple(call) for call in calls[len(tables) :]] == [
        ("create_distributed_function ", "chatkeep_find_message", "default"),
        ("create_distributed_function ", "chatkeep_children", "default"),
        ("create_distributed_function $1", "chatkeep_append", "chats"),
    ]


@pytest.mark.parametrize("citus", ["true", "false"])
def test_the_migration_as_sql(citus: str) -> None:
    environment = {**os.environ, "CHATKEEP_DATABASE_URL": "postgresql://nowhere/x", "CHATKEEP_CITUS": citus}
    command = [sys.executable, "-m", "alembic", "upgrade", "head", "--sql"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    begin = done.stdout.index("SET LOCAL citus.multi_shard_modify_mode TO 'sequential'")
    for name in metadata.tables:
        made = done.stdout.index(f"CREATE TABLE {name} (")
        assert begin < made
        call = "create_reference_table" if name == "api_keys" else "create_distributed_table"
        between = done.stdout[made:].split(";")[1].strip()
        assert between.startswith(f"SELECT {call}('{name}'") == (citus == "true")


async def test_a_file_is_no_cluster(tmp_path: Path) -> None:
    settings = Settings.model_validate({"database_url": f"sqlite:///{tmp_path / 'x.db'}", "citus": True})
    with pytest.raises(ValueError, match="CHATKEEP_CITUS"):
        await Database.open(settings)


async def test_users_of_both_machines(cluster: FastAPI, admin: Json) -> None:
    """Appends, answers in progress, search, statistics, an import and an export: as on one machine."""
    db: Database = cluster.state.services.db
    assert {await placement(db, user_id) for user_id in USERS} == {1, 2}
    async with acting(cluster, admin) as client:

        def of(user_id: str) -> Json:
            return {"X-User-Id": user_id}

        async def append(user_id: str, **body: object) -> Json:
            answer = await client.post("/chats/key:k/messages", json={**HELLO, **body}, headers=of(user_id))
            made: Json = ok(answer)
            return made

        for _ in range(3):
            seqs = [made["seq"] for made in await asyncio.gather(*map(append, USERS))]
        assert seqs == [3] * len(USERS)
        assert len(cluster.state.services.messages.writer._writers) == 2
        answers = await asyncio.gather(
            *(append(user_id, role="assistant", content="", status="in_progress") for user_id in USERS)
        )
        for user_id, message in zip(USERS, answers, strict=True):
            path = f"/chats/key:k/messages/{message['message_id']}"
            ok(await client.post(f"{path}/chunks", json={"offset": 0, "text": "Soup"}, headers=of(user_id)))
        for user_id, message in zip(USERS, answers, strict=True):
            path = f"/chats/key:k/messages/{message['message_id']}"
            assert (
                ok(await client.post(f"{path}/complete", json={"offset": 4}, headers=of(user_id)))["content"] == "Soup"
            )
        for user_id in USERS[:4]:
            found = ok(await client.get("/search", params={"q": "soup"}, headers=of(user_id)))["items"]
            assert len(found) == 1
            assert ok(await client.get("/stats", headers=of(user_id)))["total_messages"] == 4
        assert ok(await client.get("/stats", params={"all_users": "true"}))["total_messages"] == 4 * len(USERS)
        exported = await client.get("/export", params={"all_users": "true", "format": "jsonl"})
        records = [orjson.loads(line) for line in exported.content.splitlines()]
        assert (records[0]["record"], records[-1]["record"]) == ("chatkeep", "end")
        assert sorted(one["user_id"] for one in records if one["record"] == "chat") == sorted(USERS)
        assert records[-1]["messages"] == sum(one["record"] == "message" for one in records) == 4 * len(USERS)
        again = await client.post(
            "/import",
            params={"all_users": "true", "on_conflict": "copy"},
            files={"file": ("x.jsonl", exported.content)},
        )
        assert ok(again)["chats"]["copied"] == len(USERS)
        assert ok(await client.get("/readyz")) == {"status": "ready"}


async def test_where_one_machine_is_down_the_users_of_the_other_are_served(
    cluster: FastAPI, cluster_settings: Settings, admin: Json
) -> None:
    await run_sql(cluster_settings.database_url, DOWN)
    db: Database = cluster.state.services.db
    async with acting(cluster, admin) as client:

        async def append(user_id: str) -> httpx2.Response:
            return await client.post("/chats/key:down/messages", json=HELLO, headers={"X-User-Id": user_id})

        for _ in range(2):
            for user_id, answer in zip(USERS, await asyncio.gather(*map(append, USERS)), strict=True):
                if await placement(db, user_id) == 2:
                    assert problem(answer, 503)
                    assert answer.headers["Retry-After"]
                else:
                    assert answer.status_code == 201
        assert ok(await client.get("/readyz")) == {"status": "degraded"}
        await run_sql(cluster_settings.database_url, "INSERT INTO broken_connections VALUES (0), (1)")
        problem(await client.get("/readyz"), 503)
        await run_sql(cluster_settings.database_url, "DROP FUNCTION down() CASCADE; DELETE FROM broken_connections")
        assert {answer.status_code for answer in await asyncio.gather(*map(append, USERS))} == {201}
    for user_id in USERS:
        async with acting(cluster, admin | {"X-User-Id": user_id}) as client:
            said = await every_item(client, "/chats/key:down/messages")
        assert [one["seq"] for one in said] == ([1] if await placement(db, user_id) == 2 else [1, 2, 3])


async def test_a_user_who_moved_is_looked_for_again(cluster: FastAPI, cluster_settings: Settings, admin: Json) -> None:
    writer = cluster.state.services.messages.writer
    async with acting(cluster, admin | {"X-User-Id": "user-0"}) as client:
        ok(await client.post("/chats/key:moved/messages", json=HELLO))
        before = writer._placements["user-0"]
        await run_sql(cluster_settings.database_url, "UPDATE pg_dist_placement SET groupid = 3 - groupid; " + DOWN)
        answer = await client.post("/chats/key:moved/messages", json=HELLO)
        await run_sql(cluster_settings.database_url, "DROP FUNCTION down() CASCADE; DELETE FROM broken_connections")
        ok(await client.post("/chats/key:moved/messages", json=HELLO))
        expected = 3 - before if answer.status_code == 503 else before
        assert writer._placements["user-0"] == expected
