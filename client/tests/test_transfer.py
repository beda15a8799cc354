"""`client.export` and `client.import_`."""

import csv
import json
from pathlib import Path

import pytest

from chatkeep import BadRequest, Chatkeep, ConnectionFailed, NotFound
from tests.blocking import open_client
from tests.conftest import Service
from tests.proxy import Fault, Proxy

HELLO = {"role": "user", "content": "How do I boil an egg? 🥚"}


def test_chats_are_exported_and_imported(client: Chatkeep, user: str, tmp_path: Path) -> None:
    for title in ("Eggs", "Ham"):
        client.chats.create(title=title, tags=[title], conversation=[HELLO])
    lines = b"".join(client.export()).decode().splitlines()
    assert [json.loads(line)["record"] for line in lines] == [
        "chatkeep", "chat", "message", "chat", "message", "end",
    ]  # fmt: skip
    path = client.export(format="csv", tag="Ham").to_file(tmp_path / "ham.csv")
    assert [row["text"] for row in csv.DictReader(path.read_text("utf-8-sig").splitlines())] == [HELLO["content"]]
    assert list(tmp_path.iterdir()) == [path]

    other = client.with_user(f"{user}-other")
    file = other_file = client.export().to_file(tmp_path / "all.jsonl")
    tried = other.import_(file, dry_run=True)
    assert (tried.dry_run, tried.chats.found, list(other.chats.list())) == (True, 2, [])
    done = other.import_(str(other_file))
    assert (done.format, done.chats.imported, done.messages.imported, done.errors) == ("jsonl", 2, 2, [])
    assert other.import_(file.read_bytes()).chats.skipped == 2
    assert sorted(str(request.title) for request in other.chats.list()) == ["Eggs", "Ham"]


def test_one_chat(client: Chatkeep) -> None:
    chat = client.chats.create(title="Eier/日本", conversation=[HELLO])
    with client.export_chat(chat.chat_id) as export:
        assert json.loads(b"".join(export))["messages"][0]["content"] == HELLO["content"]
        assert export.filename == "Eier 日本.json"
    with client.export_chat(chat.chat_id, format="html") as export:
        assert export.filename
    with pytest.raises(NotFound):
        list(client.export_chat("key:nope"))


def test_several_files_together(client: Chatkeep, tmp_path: Path) -> None:
    path = tmp_path / 'qu"ote\n🥚.json'
    path.write_text(json.dumps([HELLO]))
    lines = json.dumps({"id": "1", "conversations": [{"from": "human", "value": "Hi"}]}).encode() + b"\n"
    done = client.import_([path, lines])
    assert (done.chats.imported, done.messages.imported) == (2, 2)
    with pytest.raises(BadRequest):
        client.import_([path, b"[{"], on_conflict="copy")
    with pytest.raises(FileNotFoundError):
        client.import_(tmp_path / "none.json")


def test_all_users(client: Chatkeep, user: str) -> None:
    client.chats.create(title="Eggs")
    admin = client.with_user(None)
    with admin.export(all_users=True, format="jsonl") as export:
        assert f'"user_id":"{user}"'.encode() in b"".join(export)
    assert b"Eggs" in b"".join(admin.export(user_id=user))


@pytest.mark.usefixtures("quick")
def test_an_import_whose_answer_is_lost_is_made_once(proxy: Proxy, user: str, tmp_path: Path) -> None:
    path = tmp_path / "eggs.json"
    path.write_text(json.dumps([HELLO | {"content": "x" * 300_000}]))
    with proxy.client(user) as client:
        several: list[list[Path | bytes]] = [[path], [path, json.dumps([HELLO]).encode()]]
        for files in several:
            proxy.faults += [Fault(body_bytes=5), Fault(lost=True)]
            proxy.seen.clear()
            assert client.import_(files, on_conflict="copy").chats.failed == 0
            assert len({request.headers["idempotency-key"] for request in proxy.seen}) == 1
            assert len(proxy.seen) == 3
        assert len(list(client.chats.list())) == 3


def test_an_export_that_breaks_off_leaves_no_file(proxy: Proxy, user: str, tmp_path: Path) -> None:
    with proxy.client(user) as client:
        client.messages.append("key:c", [HELLO | {"content": f"{number * 7919}" * 30} for number in range(500)])
        for _ in range(2):
            proxy.faults.append(Fault(answer_bytes=2000))
        with pytest.raises(ConnectionFailed, match="broke off"):
            list(client.export())
        with pytest.raises(ConnectionFailed, match="broke off"):
            client.export().to_file(tmp_path / "all.jsonl")
        assert list(tmp_path.iterdir()) == []
        assert client.export().to_file(tmp_path / "all.jsonl").stat().st_size > 2000


def test_an_export_that_nobody_reads_to_its_end_is_closed(service: Service, user: str) -> None:
    with open_client("sync", service.url, service.key, user) as client:
        client.messages.append("key:c", [HELLO] * 100)
        for _ in range(20):
            with client.export() as export:
                assert next(iter(export))
