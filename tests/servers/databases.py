"""Databases for tests: each a copy of one that was migrated once, on SQLite and on Postgres."""

import asyncio
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import make_url

from app.db.database import Database
from app.db.migrations import upgrade
from app.settings import Settings
from tests.servers.citus import CITUS_URL, CitusServer, is_cluster
from tests.servers.postgres import PostgresServer

DIALECTS = ("sqlite", "postgres")
TEMPLATE = "chatkeep_template"


class Databases:
    """One Postgres server, one folder of SQLite files, and in each a migrated template; or only one kind of the two."""

    def __init__(self, kinds: Sequence[str] = DIALECTS) -> None:
        self._kinds = kinds
        self._names = (f"test_{os.getpid()}_{number}" for number in itertools.count(1))

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="chatkeep-tests-"))
        self._postgres = CitusServer() if CITUS_URL else PostgresServer(fsync=False)
        try:
            templates = []
            if "sqlite" in self._kinds:
                templates.append(self._file(TEMPLATE))
            if "postgres" in self._kinds:
                self._postgres.start()
                if not CITUS_URL:
                    templates.append(self._postgres.create_database(TEMPLATE))
            asyncio.run(_migrate(*templates))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "postgres" in self._kinds:
            self._postgres.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def handle(self) -> str:
        """What `join` needs in another process."""
        return json.dumps([str(self._folder), self._postgres.handle])

    @classmethod
    def join(cls, handle: str) -> Self:
        """Those that another process made, which removes them too."""
        databases = cls()
        folder, postgres = json.loads(handle)
        databases._folder, databases._postgres = (
            Path(folder),
            (CitusServer if CITUS_URL else PostgresServer).join(postgres),
        )
        return databases

    def fresh(self, dialect: str) -> str:
        """The URL of a new database with the current schema and nothing in it."""
        name = next(self._names)
        if dialect == "postgres":
            if not CITUS_URL:
                return self._postgres.create_database(name, TEMPLATE)
            url = self._postgres.create_database(name)
            with ThreadPoolExecutor() as thread:
                # Whoever asks may be in an event loop.
                thread.submit(asyncio.run, _migrate(url)).result()
            return url
        shutil.copyfile(self._folder / f"{TEMPLATE}.db", self._folder / f"{name}.db")
        return self._file(name)

    def empty(self, dialect: str) -> str:
        """The URL of a database that was never migrated."""
        name = next(self._names)
        return self._postgres.create_database(name) if dialect == "postgres" else self._file(name)

    def drop(self, url: str) -> None:
        """Removes one of them, whoever is still connected to it."""
        if url.startswith("postgresql"):
            self._postgres.drop_database(make_url(url).database or "")
        else:
            for suffix in ("", "-wal", "-shm"):
                Path(url.removeprefix("sqlite:///") + suffix).unlink(missing_ok=True)

    def _file(self, name: str) -> str:
        return f"sqlite:///{self._folder / name}.db"


async def _migrate(*urls: str) -> None:
    for url in urls:
        db = await Database.open(Settings.model_validate({"database_url": url, "citus": is_cluster(url)}))
        try:
            await upgrade(db)
        finally:
            await db.close()
