"""The command as a process: its streams, a reader that goes, and Ctrl-C."""

import fcntl
import json
import signal
import termios
import time

import httpx2
import pytest

from tests.callers import ok
from tests.cli.commands import Command

pytestmark = pytest.mark.any_database

SECONDS = 60
# More than fits into a pipe.
LONG = "egg " * 100_000


def test_the_streams(command: Command, ann: str) -> None:
    conversation = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    file = json.dumps({"messages": conversation}).encode() + b"\n"
    with command.start("import", "-", "--user", ann, "--format", "openai", "--json") as process:
        out, said = process.communicate(file, SECONDS)
    assert (process.returncode, said) == (0, b"")
    assert json.loads(out)["messages"] == {"found": 2, "imported": 2}
    with command.start("export", "--user", ann, "--format", "openai") as process:
        out, said = process.communicate(timeout=SECONDS)
    # Nothing but the export: no log, no bar.
    assert (process.returncode, said) == (0, b"")
    assert json.loads(out)["messages"] == conversation


def test_a_reader_that_has_enough(command: Command, api: httpx2.Client, ann: str) -> None:
    ok(api.post("/chats", json={"conversation": [{"role": "user", "content": LONG}]}))
    with command.start("export", "--user", ann) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(20) == b'{"record":"chatkeep"'
        process.stdout.close()
        assert process.wait(SECONDS) == 1
        assert process.stderr.read() == b""


@pytest.mark.parametrize("what", ["import", "export"])
def test_an_interrupt(command: Command, api: httpx2.Client, ann: str, what: str) -> None:
    ok(api.post("/chats", json={"conversation": [{"role": "user", "content": LONG}]}))
    arguments = ("-",) if what == "import" else ()
    with command.start(what, *arguments, "--user", ann) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        if what == "import":
            process.stdin.write(b'{"messages": [')
            process.stdin.flush()
            # Once it has read this, it waits for more.
            while fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)) != bytes(4):
                time.sleep(0.05)
        else:
            # It waits for somebody who reads on.
            process.stdout.read(20)
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130
        assert b"Traceback" not in process.stderr.read()
