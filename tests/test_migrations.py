"""The schema: migrations that run on both databases, offline too, and that several processes may start at once."""

import os
import sqlite3
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from random import Random
from urllib.parse import quote
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import inspect

from app.db.database import Database
from app.db.migrations import is_current, upgrade
from app.db.types import iso, now
from tests.callers import Json, acting, ok, started
from tests.conftest import settings_for
from tests.servers.service import ADMIN_KEY
from tests.stats.recount import named, recounted, recounted_slots, slots
from tests.stats.test_counters import MODELS, MOMENTS, PLATFORMS, ROLES

REPOSITORY = Path(__file__).parents[1]


def run(database_url: str, *command: str) -> str:
    """What a command printed with this database in its settings; it must succeed."""
    return finished(start(database_url, *command))


def start(database_url: str, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=REPOSITORY,
        env={**os.environ, "CHATKEEP_DATABASE_URL": database_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    return printed


def test_the_models_say_what_the_migrations_make(fresh_database_url: str) -> None:
    assert "No new upgrade operations detected" in run(fresh_database_url, "alembic", "check")


async def test_down_and_up_again(fresh_database_url: str, tmp_path: Path) -> None:
    run(fresh_database_url, "alembic", "downgrade", "base")
    db = await Database.open(settings_for(fresh_database_url, tmp_path))
    try:
        async with db.engine.connect() as connection:
            assert await connection.run_sync(lambda c: inspect(c).get_table_names()) == ["alembic_version"]
        assert not await is_current(db)
        assert await upgrade(db)
        assert await is_current(db)
        assert not await upgrade(db)
    finally:
        await db.close()
    assert "No new upgrade operations detected" in run(fresh_database_url, "alembic", "check")


async def test_chats_from_before_branches_go_on(fresh_database_url: str, tmp_path: Path) -> None:
    run(fresh_database_url, "alembic", "downgrade", "0001")
    db = await Database.open(settings_for(fresh_database_url, tmp_path))
    ids = [str(uuid4()) for _ in range(3)]
    chat: Json = {"user_id": "ann", "chat_id": ids[0], "tags": "[]", "is_pinned": False, "metadata": "{}"}
    chat |= dict.fromkeys(("input_tokens", "output_tokens", "total_tokens", "branch"), 0)
    chat |= {"message_count": 2, "last_seq": 3, "head_seq": 3, "version": 4}
    at = now() if db.kind == "postgres" else iso(now())
    rows: list[tuple[str, Json]] = [
        ("chats", chat | dict.fromkeys(("created_at", "updated_at", "last_activity_at"), at))
    ]
    for seq, parent, message_id in ((1, None, ids[1]), (3, 1, ids[2])):
        place = {"user_id": "ann", "chat_id": ids[0], "seq": seq, "parent_seq": parent, "branch": 0}
        said = {"role": "user", "type": "message", "content": '"Hello"', "text": "Hello", "created_at": at}
        rows.append(("messages", {**place, "message_id": message_id, **said}))
    async with db.engine.begin() as connection:
        for table, row in rows:
            marks = ", ".join(f"${n}" if db.kind == "postgres" else f"?{n}" for n in range(1, len(row) + 1))
            statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"
            await connection.exec_driver_sql(statement, tuple(row.values()))
    await db.close()
    run(fresh_database_url, "alembic", "upgrade", "head")
    settings = settings_for(fresh_database_url, tmp_path)
    async with (
        started(settings) as app,
        acting(app, {"Authorization": f"Bearer {ADMIN_KEY}", "X-User-Id": "ann"}) as me,
    ):
        path = f"/chats/{ids[0]}/messages"
        appended = ok(await me.post(path, json={"role": "assistant", "content": "Hi", "parent": ids[2]}))
        assert (appended["seq"], appended["parent_id"]) == (4, ids[2])
        assert [(one["seq"], one["parent_id"]) for one in ok(await me.get(path))["items"]] == [
            (1, None),
            (3, ids[1]),
            (4, ids[2]),
        ]


async def insert(db: Database, table: str, row: Json) -> None:
    """Writes a row as an older version would have; moments are datetimes."""
    values = [iso(value) if isinstance(value, datetime) and db.kind == "sqlite" else value for value in row.values()]
    marks = ", ".join(f"${n}" if db.kind == "postgres" else f"?{n}" for n in range(1, len(row) + 1))
    async with db.engine.begin() as connection:
        await connection.exec_driver_sql(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(values))


async def test_chats_from_before_statistics_are_counted(fresh_database_url: str, tmp_path: Path) -> None:
    run(fresh_database_url, "alembic", "downgrade", "0002")
    source, users = Random(3), ("ann", "bob", 'é"🥚')
    settings = settings_for(fresh_database_url, tmp_path)
    db = await Database.open(settings)
    moments = [datetime.fromisoformat(moment) for moment in MOMENTS]
    for number in range(20):
        user_id, messages = users[number % 3], source.randrange(6)
        place = {"user_id": user_id, "chat_id": str(uuid4())}
        bodies: list[Json] = [
            {
                "role": source.choice(ROLES),
                "model": source.choice(MODELS),
                "created_at": source.choice(moments),
                **{name: source.choice((None, 0, 7, 10**12)) for name in ("tokens", "input_tokens", "output_tokens")},
            }
            for _ in range(messages)
        ]
        made = moments[5 + number % 4]
        chat: Json = {**place, "platform": source.choice(PLATFORMS), "tags": "[]", "is_pinned": False, "metadata": "{}"}
        chat |= {
            "message_count": messages,
            "last_seq": messages,
            "version": 1,
            "deleted_at": source.choice((None, made)),
        }
        chat |= dict.fromkeys(("branch", "tree", "last_branch"), 0)
        chat |= {name: sum(one[name] or 0 for one in bodies) for name in ("input_tokens", "output_tokens")}
        totals = [(one["input_tokens"] or 0) + (one["output_tokens"] or 0) for one in bodies]
        totals = [sums if one["tokens"] is None else one["tokens"] for one, sums in zip(bodies, totals, strict=True)]
        chat |= {"total_tokens": sum(totals), **dict.fromkeys(("created_at", "updated_at", "last_activity_at"), made)}
        ids = [str(uuid4()) for _ in bodies]
        chat |= {"head_seq": messages or None, "head_id": ids[-1] if ids else None}
        await insert(db, "chats", chat)
        for seq, body in enumerate(bodies, 1):
            said = {
                "message_id": ids[seq - 1],
                "seq": seq,
                "branch": 0,
                "type": "message",
                "content": '"x"',
                "text": "x",
            }
            await insert(db, "messages", {**place, **said, **body})
    # Somebody whose chats are all gone, and somebody who wrote since.
    await insert(db, "feeds", {"user_id": "gone", "position": 7, "pruned": 7})
    await insert(db, "feeds", {"user_id": "ann", "position": 30, "pruned": 30})
    await db.close()
    run(fresh_database_url, "alembic", "upgrade", "head")
    async with started(settings) as app:
        for user_id in (*users, "gone"):
            headers = {"Authorization": f"Bearer {ADMIN_KEY}", "X-User-Id": quote(user_id)}
            async with acting(app, headers) as me:
                for again in (False, True):
                    if again:
                        ok(await me.post("/chats/key:new/messages", json={"role": "user", "content": "x", "tokens": 5}))
                    found, expected = named(ok(await me.get("/stats"))), await recounted(app, user_id)
                    active = ("first_activity_at", "last_activity_at")
                    assert {**found, **dict.fromkeys(active)} == {**expected, **dict.fromkeys(active)}
                    assert await slots(app, user_id) == await recounted_slots(app, user_id)
                if user_id != "gone":
                    assert found["first_activity_at"] == min(moments[5:9])
    assert "All agrees" in run(fresh_database_url, "app.cli", "check")


async def test_offline_sql_makes_the_same_schema(empty_database_url: str) -> None:
    script = "\n".join(
        line
        for line in run(empty_database_url, "alembic", "upgrade", "head", "--sql").splitlines()
        if not line.startswith("INFO ")
    )
    if empty_database_url.startswith("sqlite"):
        assert not Path(empty_database_url.removeprefix("sqlite:///")).exists()
        connection = sqlite3.connect(empty_database_url.removeprefix("sqlite:///"))
        connection.executescript(script)
        connection.close()
    else:
        postgres = await asyncpg.connect(empty_database_url)
        await postgres.execute(script)
        assert await postgres.fetchval("SELECT count(*) FROM pg_proc WHERE proname = 'chatkeep_append'") == 1
        await postgres.close()
    assert "No new upgrade operations detected" in run(empty_database_url, "alembic", "check")


def test_several_processes_may_migrate_at_once(empty_database_url: str) -> None:
    started = [start(empty_database_url, "app.cli", "migrate") for _ in range(4)]
    printed = [finished(process) for process in started]
    assert sorted(text.strip() for text in printed) == [
        *["The schema is current already."] * 3,
        "The schema was brought up to date.",
    ]


@pytest.mark.parametrize("url", ["mysql://localhost/chats", "sqlite://", "sqlite:///:memory:"])
async def test_a_database_that_cannot_keep_chats_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"SQLite needs a file|Chatkeep runs on"):
        await Database.open(settings_for(url, tmp_path))


async def test_the_data_folder_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    db = await Database.open(settings_for("", folder))
    await upgrade(db)
    await db.close()
    assert (folder / "chatkeep.db").exists()
