"""`chatkeep` as people run it: asking a service that runs, or straight on its database."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from app.cli import app
from tests.servers.service import ADMIN_KEY, REPOSITORY, ServiceProcess, is_setting


@dataclass(frozen=True)
class Command:
    """The command, with what it finds in its environment."""

    environment: Mapping[str, str]

    def __call__(self, *arguments: str | Path, **others: str) -> Result:
        """Runs it inside this process, with these arguments, and others of its environment."""
        environment = {"COLUMNS": "200", **self.environment, **others}
        return CliRunner().invoke(app, [str(one) for one in arguments], env=environment, prog_name="chatkeep")

    def start(self, *arguments: str | Path) -> "subprocess.Popen[bytes]":
        """Starts it as a process; its three streams are pipes."""
        ours = {name: value for name, value in os.environ.items() if not is_setting(name)}
        environment = {**ours, "PYTHONPATH": str(REPOSITORY), "NO_PROXY": "127.0.0.1", **self.environment}
        command = [sys.executable, "-m", "app.cli", *arguments]
        pipe = subprocess.PIPE
        before = signal.getsignal(signal.SIGINT)
        # What a shell starts in the background ignores Ctrl-C, and so would what it starts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe)
        finally:
            signal.signal(signal.SIGINT, before)

    def json(self, *arguments: str | Path) -> Any:
        """What it prints with `--json`; it must end well, and say nothing else."""
        done = good(self(*arguments, "--json"))
        assert done.stderr == ""
        return json.loads(done.stdout)


def asking(service: ServiceProcess) -> Command:
    """The command, for a service that runs."""
    return Command({"CHATKEEP_URL": service.base_url, "CHATKEEP_KEY": ADMIN_KEY, "NO_PROXY": "127.0.0.1"})


def on_database(url: str) -> Command:
    """The command, straight on a database."""
    return Command({"CHATKEEP_DATABASE_URL": url})


def good(done: Result) -> Result:
    """It ended well."""
    assert done.exit_code == 0, done.output
    return done


def refused(done: Result, *said: str, code: int = 1) -> None:
    """It ended with this exit code, printed nothing, and said one line, which has all this."""
    assert (done.exit_code, done.stdout) == (code, ""), done.output
    # Not by an exception that nobody expected.
    assert isinstance(done.exception, SystemExit)
    if code == 1:
        assert done.stderr.count("\n") == 1, done.stderr
    for one in said:
        assert one in done.stderr, done.stderr


@contextmanager
def serving(*answers: bytes) -> Iterator[str]:
    """The address of a server that answers so, one connection after the other, and goes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()
