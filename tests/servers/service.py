"""Chatkeep as its users run it: a process of its own, on a free loopback port."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from tests.servers.citus import is_cluster
from tests.servers.postgres import free_port

REPOSITORY = Path(__file__).parents[2]
ADMIN_KEY = "ck_tests_only_not_a_secret"
START_SECONDS = 90

# Its input ends when we end, however we do: then the service and its workers end too.
KEEPER = 'read -r _; kill -s KILL -- "-$1"'


def is_setting(variable: str) -> bool:
    """Whether Chatkeep would take an environment variable for one of its settings."""
    return variable.startswith("CHATKEEP_") or variable == "DATABASE_URL"


class ServiceFailed(Exception):
    """The service did not start; the message ends with what it printed."""


class ServiceProcess:
    """`chatkeep serve` with the given settings, each a `CHATKEEP_…` variable by its name in lower case.

    It works in `folder`, where its data folder and its `.env` would be; without one, in a temporary one.
    `admin_key=None` leaves it to the first start to make one. The service ends also when this process is killed.
    `repository` is the checkout that it runs from; another one than this has a `.venv` of its own.
    """

    def __init__(
        self,
        *,
        folder: Path | None = None,
        port: int | None = None,
        admin_key: str | None = ADMIN_KEY,
        repository: Path = REPOSITORY,
        **settings: str | int | Path,
    ) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="chatkeep-service-")
        self.folder = folder or Path(self._temporary.name if self._temporary else "")
        self.port = port or free_port()
        self.admin_key = admin_key
        settings = {"host": "127.0.0.1", **settings, "port": self.port}
        if is_cluster(str(settings.get("database_url", ""))):
            settings = {"citus": "true", **settings}
        if admin_key:
            settings["admin_key"] = admin_key
        self._environment = {
            **{name: value for name, value in os.environ.items() if not is_setting(name)},
            **{f"CHATKEEP_{name.upper()}": str(value) for name, value in settings.items()},
            "PYTHONPATH": str(repository),
        }
        self._python = sys.executable if repository == REPOSITORY else str(repository / ".venv/bin/python")
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if self._temporary:
            self._temporary.cleanup()

    @property
    def base_url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has printed since it was made, every start of it."""
        path = self.folder / "service.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def process_id(self) -> int:
        """The process that was started: the only one, or the workers' parent."""
        assert self._process
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll() if self._process else None

    def headers(self, user_id: str | None = None) -> dict[str, str]:
        """The headers of the admin key, acting for a user if one is named."""
        return {"Authorization": f"Bearer {self.admin_key}"} | ({"X-User-Id": user_id} if user_id else {})

    def start(self) -> float:
        """Starts it and waits until it is ready; gives the seconds that took. Raises ServiceFailed."""
        began = time.monotonic()
        self.launch()
        while time.monotonic() < began + START_SECONDS:
            with contextlib.suppress(httpx2.TransportError):
                if (
                    self._listens()
                    and httpx2.get(f"{self.base_url}/readyz", trust_env=False, timeout=5, verify=False).is_success
                ):
                    return time.monotonic() - began
            if self.returncode is not None:
                break
            time.sleep(0.02)
        self.kill()
        raise ServiceFailed(f"The service did not become ready:\n{self.log}")

    def _listens(self) -> bool:
        """Whether somebody takes connections; to ask for that costs the service that starts none of its time."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def launch(self) -> None:
        """Starts it and does not wait."""
        with (self.folder / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._python, "-m", "app.cli", "serve"],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "keeper", str(self._process.pid)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of `chatkeep` on the same database, when it has ended."""
        command = [self._python, "-m", "app.cli", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )

    def wait(self, seconds: float) -> int:
        """Waits for its end and gives its exit status. Raises subprocess.TimeoutExpired."""
        assert self._process
        status = self._process.wait(seconds)
        self._dismiss_keeper()
        return status

    def terminate(self, seconds: float = 60) -> int:
        """Asks it to end, as an operator does, and gives its exit status. Raises subprocess.TimeoutExpired."""
        assert self._process
        self._process.terminate()
        return self.wait(seconds)

    def kill(self) -> None:
        """Kills it and its workers at this instant (`kill -9`); nothing happens if it does not run."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._dismiss_keeper()

    def _dismiss_keeper(self) -> None:
        if self._keeper:
            self._keeper.kill()
            self._keeper.communicate()
            self._keeper = None


# The fixture `service`: takes settings by name and gives the service, started.
StartService = Callable[..., ServiceProcess]
