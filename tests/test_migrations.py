"""The schema: migrations that run on both databases, offline too, and that several processes may start at once."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import inspect

from app.db.database import Database
from app.db.migrations import is_current, upgrade
from tests.conftest import settings_for

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
    printed, _ = process.communicate(timeout=170)
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


async def test_sql_files_can_be_run_over_themselves(fresh_database_url: str, tmp_path: Path) -> None:
    db = await Database.open(settings_for(fresh_database_url, tmp_path))
    files = ("search/sqlite.sql",) if db.kind == "sqlite" else ("messages/append/append.sql", "search/postgres.sql")
    try:
        async with db.engine.begin() as connection:
            for name in files:
                for statement in (REPOSITORY / "app" / name).read_text().split("--;\n"):
                    await connection.exec_driver_sql(statement)
    finally:
        await db.close()
    assert "No new upgrade operations detected" in run(fresh_database_url, "alembic", "check")


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
