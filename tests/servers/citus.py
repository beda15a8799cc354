"""A Citus cluster that is named: `make test-citus CITUS_URL=postgresql://…/postgres`, the URL of its coordinator.

Each database is made on the coordinator and on every worker that the named database knows, with the same user and
password, and migrated by itself: a database with distributed tables cannot be copied. So workers must be reachable from
here by the names that the coordinator has for them.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

from sqlalchemy import URL, make_url

from tests.servers.postgres import PostgresServer

CITUS_URL = os.environ.get("CITUS_URL", "")
"""The coordinator; empty where the tests run on one Postgres."""

# Few, so that a database is made in a moment; enough that two workers have some of them.
_SHARDS = 4


def is_cluster(url: str) -> bool:
    """Whether it is the URL of a database on the cluster."""
    return bool(CITUS_URL) and url.rpartition("/")[0] == CitusServer().url("").rpartition("/")[0]


class CitusServer(PostgresServer):
    """The cluster at CITUS_URL. `start` and `stop` have nothing to do with it: they find a psql, and tidy up here."""

    @property
    def handle(self) -> str:
        return json.dumps([str(self._folder), str(self._bin)])

    @classmethod
    def join(cls, handle: str) -> Self:
        server = cls()
        server._folder, server._bin = map(Path, json.loads(handle))
        return server

    def start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="chatkeep-citus-"))
        self._own(self._folder)
        self._bin = self._executables()

    def stop(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        return _text(make_url(CITUS_URL).set(drivername="postgresql", database=database))

    def create_database(self, name: str, template: str | None = None) -> str:
        """Creates it on every machine, empty: there is no `template`."""
        assert template is None
        machines = self._machines()
        for machine in machines:
            self._run_at(machine, f'CREATE DATABASE "{name}"')
            self._run_at(machine.set(database=name), "CREATE EXTENSION citus")
        self.execute(f'ALTER DATABASE "{name}" SET citus.shard_count = {_SHARDS}')
        coordinator, *workers = machines
        self.execute(f"SELECT citus_set_coordinator_host('{coordinator.host}', {coordinator.port or 5432})", name)
        for worker in workers:
            self.execute(f"SELECT citus_add_node('{worker.host}', {worker.port})", name)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        for machine in self._machines():
            self._run_at(machine, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _machines(self) -> list[URL]:
        """The coordinator, then the workers: the databases where others are made."""
        coordinator = make_url(CITUS_URL).set(drivername="postgresql")
        known = self.execute(
            "SELECT nodename, nodeport FROM pg_dist_node WHERE groupid <> 0 AND noderole = 'primary' ORDER BY groupid",
            coordinator.database or "postgres",
        )
        workers = [line.split("|") for line in known.splitlines()]
        return [coordinator, *(coordinator.set(host=host, port=int(port)) for host, port in workers)]

    def _run_at(self, machine: URL, sql: str) -> str:
        return self._run("psql", "--no-psqlrc", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql, _text(machine))


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
