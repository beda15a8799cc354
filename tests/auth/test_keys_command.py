"""`chatkeep keys`: what it makes is what the service knows."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli.keys import app as keys


class Command:
    """The command, on one database."""

    def __init__(self, database_url: str) -> None:
        self._environment = {"CHATKEEP_DATABASE_URL": database_url, "COLUMNS": "80"}

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(keys, arguments, env=self._environment)

    def json(self, *arguments: str) -> Any:
        """What it prints with `--json`."""
        done = self(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


@pytest.fixture
def command(fresh_database_url: str) -> Command:
    """The command, on a database of its own."""
    return Command(fresh_database_url)


def test_only_the_key_goes_to_the_standard_output(command: Command) -> None:
    done = command("create", "--name", "my agent")
    assert done.exit_code == 0
    assert re.fullmatch(r"ck_[A-Za-z0-9_-]{43}\n", done.stdout)
    (listed,) = command.json("list")
    assert listed["key_id"] in done.stderr
    assert listed["scopes"] == ["chats:read", "chats:write"]
    assert (listed["name"], listed["user_id"], listed["expires_at"]) == ("my agent", None, None)


def test_a_key_has_what_was_asked_for(command: Command) -> None:
    asked = ("--name", "Ann's", "--user", "ann", "--scope", "admin", "--scope", "chats:read", "--expires", "90d")
    made = command.json("create", *asked)
    assert made["user_id"] == "ann"
    assert made["scopes"] == ["chats:read", "admin"]
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89, hours=23) < left <= timedelta(days=90)
    for given, means in (
        ("2099-01-31T12:00:00+02:00", "2099-01-31T10:00:00.000000Z"),
        ("2099-01-31T12:00:00", "2099-01-31T12:00:00.000000Z"),
        ("2099-01-31", "2099-01-31T00:00:00.000000Z"),
    ):
        assert command.json("create", "--name", "a", "--expires", given)["expires_at"] == means


def test_keys_are_listed_and_revoked(command: Command) -> None:
    made = [command.json("create", "--name", f"number {number}") for number in range(3)]
    assert [row["key_id"] for row in command.json("list")] == [key["key_id"] for key in made][::-1]
    done = command("revoke", made[1]["key_id"])
    assert (done.exit_code, done.stdout) == (0, "")
    assert [bool(row["revoked_at"]) for row in command.json("list")] == [False, True, False]
    text = command("list").stdout
    for key in made:
        # Whole, also where there is no terminal to be as wide.
        assert key["key_id"] in text
        assert key["key"] not in text
    assert "(service key)" in text


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("create",), "--name"),
        (("create", "--name", ""), "name"),
        (("create", "--name", "a", "--scope", "everything"), "scopes"),
        (("create", "--name", "a", "--user", "a\nb"), "user_id"),
        (("create", "--name", "a", "--expires", "tomorrow"), "expires_at"),
        (("create", "--name", "a", "--expires", "2001-01-01"), "expires_at"),
        (("create", "--name", "a", "--expires", "999999999d"), "expires_at"),
        (("revoke",), "KEY_ID"),
    ],
    ids=str,
)
def test_wrong_arguments_are_explained(command: Command, arguments: tuple[str, ...], complaint: str) -> None:
    done = command(*arguments)
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert command.json("list") == []


@pytest.mark.any_database
@pytest.mark.parametrize("key_id", ["nonsense", "01932c07-209c-7000-8000-1234567890ab"])
def test_a_key_that_is_not_there_cannot_be_revoked(command: Command, key_id: str) -> None:
    done = command("revoke", key_id)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "does not exist" in done.stderr


def test_a_database_that_was_not_migrated_says_so(empty_database_url: str) -> None:
    done = Command(empty_database_url)("list")
    assert done.exit_code == 1
    assert "chatkeep migrate" in done.stderr
    assert "Traceback" not in done.output


def test_wrong_settings_are_explained_without_their_values(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATKEEP_JWT_SECRET", "too-short-a-secret")
    done = Command(fresh_database_url)("list")
    assert done.exit_code == 1
    assert "at least 32 bytes" in done.stderr
    assert "too-short-a-secret" not in done.output


def test_a_database_out_of_reach_says_so() -> None:
    done = Command("postgresql://nobody@127.0.0.1:9/nothing")("list")
    assert done.exit_code == 1
    assert "cannot be opened" in done.stderr
