"""`chatkeep export` and `chatkeep import`: what went out comes in again, and what broke off was never there."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.callers import ok
from tests.cli.commands import Command, good, refused, serving

pytestmark = pytest.mark.any_database

CHATS: list[dict[str, Any]] = [
    {"key": "a/b", "platform": "web", "conversation": [{"role": "user", "content": "How do I boil an egg?"}]},
    {"title": "Éggs", "tags": ["x"], "conversation": [{"role": "assistant", "content": "Eight\nminutes."}]},
]


@pytest.fixture
def chats(api: httpx2.Client) -> list[str]:
    """The ids of her chats."""
    return [ok(api.post("/chats", json=chat))["chat_id"] for chat in CHATS]


def test_what_went_out_comes_in_again(
    command: Command, api: httpx2.Client, ann: str, chats: list[str], tmp_path: Path
) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    done = command.json("export", "--user", ann, "--output", first)
    assert done == {"output": str(first), "format": "jsonl", "bytes": first.stat().st_size, "messages": 2}
    assert first.read_bytes() == api.get("/export", headers={"Accept-Encoding": "identity"}).content
    again = command.json("import", first, "--user", ann, "--keep-ids")
    assert (again["chats"]["skipped"], again["messages"]["imported"]) == (2, 0)

    for chat in chats:
        api.delete(f"/chats/{chat}", params={"hard": True}).raise_for_status()
    report = command.json("import", first, "--user", ann, "--keep-ids", "--dry-run")
    assert (report["chats"]["imported"], ok(api.get("/chats"))["items"]) == (2, [])
    done_text = good(command("import", first, "--user", ann, "--keep-ids"))
    assert done_text.stdout == "jsonl: 2 chats found, 2 imported; 2 of 2 messages\n"
    said = good(command("export", "--user", ann, "--output", second)).stderr
    assert said == f"{second}: 2 messages, {second.stat().st_size:,} bytes.\n"
    assert second.read_bytes() == first.read_bytes()
    # Nothing unfinished is left.
    assert sorted(tmp_path.iterdir()) == [first, second]


def test_of_one_user_and_of_all(command: Command, ann: str, chats: list[str], tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    command.json("export", "--all", "--output", file)
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert {one["chat_id"] for one in found if one.get("user_id") == ann} == set(chats)
    report = command.json("import", file, "--all", "--keep-ids", "--on-conflict", "skip")
    assert report["chats"]["found"] == report["chats"]["skipped"]


def test_one_chat_and_filters(command: Command, ann: str, chats: list[str]) -> None:
    owner_of = ("--user", ann)
    assert json.loads(good(command("export", chats[1], *owner_of)).stdout)["conversation"]["title"] == "Éggs"
    one = json.loads(good(command("export", "key:a/b", *owner_of)).stdout)
    assert one["messages"][0]["content"] == CHATS[0]["conversation"][0]["content"]
    assert "Eight" in good(command("export", chats[1], "-f", "markdown", *owner_of)).stdout
    for chosen in (("--platform", "web"), ("--active-before", "2001-01-01T00:00:00Z"), ("--tag", "x"), ("--pinned",)):
        found = good(command("export", *owner_of, *chosen)).stdout.splitlines()
        expected = {"--platform": [chats[0]], "--tag": [chats[1]]}.get(chosen[0], [])
        assert [json.loads(line)["chat_id"] for line in found if '"chat_id"' in line] == expected
    refused(command("export", "key:none", *owner_of), "(404)")
    refused(command("export", *owner_of, "-f", "docx"), "(422)", "format")
    refused(command("export", chats[0], *owner_of, "--state", "all"), "exported whole", code=2)
    refused(command("export", *owner_of, "--metadata", "x"), "NAME=VALUE", code=2)
    refused(command("export", *owner_of, "--json"), "--output", code=2)


def test_a_plain_export_has_archived_chats(command: Command, api: httpx2.Client, ann: str, chats: list[str]) -> None:
    ok(api.patch(f"/chats/{chats[0]}", json={"is_archived": True}))
    for state, expected in (
        ((), chats),
        (("--state", "active"), chats[1:]),
        (("--state", "archived"), chats[:1]),
        (("--state", "deleted"), []),
        (("--state", "all"), chats),
    ):
        found = good(command("export", "--user", ann, *state)).stdout.splitlines()
        assert [json.loads(line)["chat_id"] for line in found if '"chat_id"' in line] == expected


def test_a_file_that_cannot_be_written_or_read(command: Command, ann: str, chats: list[str], tmp_path: Path) -> None:
    nowhere = tmp_path / "none" / "a.jsonl"
    refused(command("export", "--user", ann, "--output", nowhere), str(nowhere), "cannot be written")
    refused(command("export", "--user", ann, "--output", tmp_path), "cannot be written")
    refused(command("import", nowhere, "--user", ann), str(nowhere), "cannot be read")
    refused(command("import", tmp_path, "--user", ann), "cannot be read")


def test_several_files_and_what_is_wrong_with_them(command: Command, ann: str, tmp_path: Path) -> None:
    good_one, bad_one = tmp_path / "a.jsonl", tmp_path / "bäd.jsonl"
    conversation = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    good_one.write_text(json.dumps({"messages": conversation}) + "\n")
    bad_one.write_text(json.dumps({"messages": conversation[:1]}) + '\n{"messages": 5}\n')
    done = command("import", good_one, bad_one, "--user", ann, "--format", "openai")
    assert done.exit_code == 1
    assert "2 imported, 1 failed" in done.stdout
    assert "bäd.jsonl" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("compressed", [True, False])
def test_an_export_that_breaks_off_is_not_there(tmp_path: Path, compressed: bool) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("what was there before")
    body = b'{"record":"chatkeep","version":1}\n'
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + b"Content-Encoding: gzip\r\n" * compressed + b"\r\n"
    with serving(head + f"{len(body):x}".encode() + b"\r\n" + body + b"\r\n") as url:
        done = Command({"CHATKEEP_URL": url, "CHATKEEP_KEY": "ck_any"})("export", "--output", file)
    refused(done, "broke off", str(file))
    assert file.read_text() == "what was there before"
    assert list(tmp_path.iterdir()) == [file]
