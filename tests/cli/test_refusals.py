"""What commands say when they cannot do what was asked: one line, exit code 1, and never a traceback."""

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.callers import ok
from tests.cli.commands import Command, asking, on_database, refused, serving
from tests.servers.postgres import free_port
from tests.servers.service import REPOSITORY, ServiceProcess

pytestmark = pytest.mark.any_database

FILE = str(REPOSITORY / "pyproject.toml")
EVERY = [("stats", "--all"), ("search", "egg", "--user", "ann"), ("export", "--all"), ("import", FILE, "--all")]


@pytest.mark.parametrize("arguments", EVERY, ids=lambda arguments: arguments[0])
def test_a_service_that_does_not_answer_as_it_should(arguments: tuple[str, ...], running: ServiceProcess) -> None:
    command = asking(running)
    refused(command(*arguments, CHATKEEP_KEY="ck_wrong"), "Unauthorized (401)")
    refused(command(*arguments, CHATKEEP_KEY=""), "--key", code=2)
    nowhere = f"http://127.0.0.1:{free_port()}"
    refused(command(*arguments, CHATKEEP_URL=nowhere), "Nothing answers", nowhere)
    refused(command(*arguments, CHATKEEP_URL="127.0.0.1:8000"), "--url", code=2)
    refused(command(*arguments, CHATKEEP_URL=f"{running.base_url}/docs"), "Not found (404)")


def test_what_a_key_may_not_do(running: ServiceProcess, api: httpx2.Client) -> None:
    key = ok(api.post("/admin/api-keys", json={"name": "ann's", "user_id": "ann", "scopes": ["chats:read"]}))["key"]
    command = asking(running)
    refused(command("stats", "--all", CHATKEEP_KEY=key), "Forbidden (403)")
    refused(command("export", "--all", CHATKEEP_KEY=key), "Forbidden (403)")
    refused(command("stats", "--user", "bob", CHATKEEP_KEY=key), "(403)")
    refused(command("import", FILE, CHATKEEP_KEY=key), "Forbidden (403)")


def test_what_is_no_chatkeep() -> None:
    arguments = ("stats", "--user", "ann")
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"
    for answer, said in ((b"", "broke off"), (b"SSH-2.0\r\n", "broke off"), (page, "no Chatkeep: 200")):
        with serving(answer) as url:
            refused(Command({"CHATKEEP_URL": url, "CHATKEEP_KEY": "ck_any"})(*arguments), said)


def test_a_service_that_is_busy_is_asked_again() -> None:
    busy = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    page = b'{"items":[],"next_cursor":null}'
    good = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page)
    with serving(busy, busy, good) as url:
        command = Command({"CHATKEEP_URL": url, "CHATKEEP_KEY": "ck_any"})
        assert command.json("search", "egg") == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("arguments", EVERY, ids=lambda arguments: arguments[0])
def test_a_database_that_was_not_migrated(arguments: tuple[str, ...], empty_database_url: str) -> None:
    command = on_database(empty_database_url)
    refused(command(*arguments), "chatkeep migrate")
    if empty_database_url.startswith("sqlite"):
        # Looking makes no database.
        assert not Path(empty_database_url.removeprefix("sqlite:///")).exists()


def test_a_database_that_is_not_there() -> None:
    url = f"postgresql://nobody:secret@127.0.0.1:{free_port()}/none"
    refused(on_database(url)("stats", "--all"), "cannot be opened")
    refused(on_database("mysql://somewhere")("stats", "--all"), "mysql")
    refused(on_database(f"sqlite:///{FILE}")("stats", "--all"), "cannot be read")


def test_whose_must_be_said_where_there_are_many(url: str, make_user: Callable[[], str]) -> None:
    command = on_database(url)
    for arguments in (("stats",), ("search", "egg"), ("export",), ("import", FILE)):
        refused(command(*arguments), "--user", code=2)
    # What the environment says of a service is not for --local.
    done = command("stats", "--local", "--user", make_user(), CHATKEEP_URL="http://127.0.0.1:1", CHATKEEP_KEY="x")
    assert done.exit_code == 0, done.stderr
