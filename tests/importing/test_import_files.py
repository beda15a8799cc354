"""Files on their way in: one or several, in a zip or not, whole or broken, and some that were made to do harm."""

import asyncio
import io
import json
import random
import struct
import zipfile
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
from fastapi import FastAPI

from tests.callers import Json, acting, every_item, ok, problem, started
from tests.conftest import settings_for
from tests.corrupt_files import cut, flipped, fuzzed
from tests.http.hostile import Body, asked
from tests.http.reading import everything_reads
from tests.importing.files import BYTES, a_chat, chatgpt, exported, imported, lines, send, trees, zipped
from tests.profiles import count
from tests.servers.databases import Databases
from tests.tables import stored

LIMIT = 2_000_000
SMALL = chatgpt("Small", {"a": (None, "user", "hi"), "b": ("a", "assistant", "ho")}, "b")


@pytest.fixture(scope="module")
async def app(databases: Databases, dialect: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FastAPI]:
    """The service on a database with nothing in it but what is made here, and with a small limit."""
    url = databases.fresh(dialect)
    settings = settings_for(url, tmp_path_factory.mktemp("data")).model_copy(update={"max_import_bytes": LIMIT})
    async with started(settings) as service:
        yield service
    databases.drop(url)


async def test_several_files_come_as_a_form(me: httpx2.AsyncClient) -> None:
    files = [
        ("file", ("conversations.json", b"\xef\xbb\xbf" + json.dumps([SMALL]).encode(), "application/json")),
        ("file", ("more.jsonl", lines(*a_chat(1, "a")), "text/plain")),
        ("other", ("export.zip", zipped(x__conversations_json=json.dumps([{**SMALL, "id": "y"}]).encode()), "")),
    ]
    report = ok(await me.post("/import", files=files))
    assert report["format"] == "chatgpt,jsonl"
    assert report["chats"]["imported"] == 2
    assert report["chats"]["skipped"] == 1
    problem(await me.post("/import", files=[*files[:1], ("file", ("x.json", b'{"a": 1}', ""))]), 400)
    problem(await me.post("/import", data={"file": "no file"}, headers={}), 415)
    for broken in (b"--x\r\n", b"", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'):
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        problem(await me.post("/import", content=broken, headers=form), 400)
    problem(await me.post("/import", content=b"", headers={"Content-Type": "multipart/form-data"}), 400)


async def test_what_chatgpt_sends_is_a_zip(me: httpx2.AsyncClient) -> None:
    chats = [{**SMALL, "conversation_id": f"c{number}"} for number in range(4)]
    file = zipped(
        user_json=b'{"id": "user-x"}',
        message_feedback_json=b"[]",
        shared_conversations_json=b"[]",
        **{
            "deep__conversations-000_json": json.dumps(chats[:2]).encode(),
            "deep__conversations-001_json": b"\xef\xbb\xbf" + json.dumps(chats[2:]).encode(),
            "file-1.zip": zipped(a=b"b"),
            "chat.html": b"<html>",
        },
    )
    report = await imported(me, file)
    assert (report["format"], report["chats"]["imported"]) == ("chatgpt", 4)
    assert (await imported(me, file))["chats"]["skipped"] == 4


async def test_a_zip_may_have_any_of_the_formats(me: httpx2.AsyncClient) -> None:
    file = zipped(**{"chats.jsonl": lines(*a_chat(1, "a")), "settings.json": b'{"theme": "dark"}'})
    assert (await imported(me, file))["chats"]["imported"] == 1
    problem(await send(me, zipped(**{"settings.json": b'{"theme": "dark"}'})), 400)
    problem(await send(me, zipped(**{"readme.txt": b"hello"})), 400)
    problem(await send(me, zipped(**{"inner.zip": zipped(conversations_json=b"[]")})), 400)


def entry(name: str, content: bytes = b"[]", attributes: int = 0o644 << 16) -> bytes:
    """A zip with an entry of any name and kind."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = attributes
        archive.writestr("conversations.json", json.dumps([SMALL]))
        archive.writestr(info, content)
    return buffer.getvalue()


def patched(file: bytes, before: bytes, after: bytes) -> bytes:
    """A file with some bytes in the place of others."""
    assert before in file
    return file.replace(before, after)


def encrypted() -> bytes:
    """A zip that says that its entries are encrypted."""
    file = bytearray(zipped(conversations_json=json.dumps([SMALL]).encode()))
    file[6] |= 1
    file[file.index(b"PK\x01\x02") + 8] |= 1
    return bytes(file)


def lying() -> bytes:
    """A zip whose headers say that there is little in it."""
    file = zipped(conversations_json=b"[" + b" " * (8 * LIMIT) + b"]")
    size = struct.pack("<L", 8 * LIMIT + 2)
    return patched(file, size, struct.pack("<L", 2))


def many() -> bytes:
    """A zip with more entries than anybody needs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(10_001):
            archive.writestr(f"{number}.txt", b"")
    return buffer.getvalue()


HARMFUL: dict[str, tuple[Callable[[], bytes], tuple[int, ...]]] = {
    "inflates": (lambda: zipped(conversations_json=b"[" + b" " * (8 * LIMIT) + b"]"), (413,)),
    "inflates and lies": (lying, (400, 413)),
    "inflates in many": (lambda: zipped(**{f"conversations-{n}_json": b" " * LIMIT for n in range(9)}), (413,)),
    "has too many entries": (many, (413,)),
    "leads up": (lambda: entry("../conversations.json"), (400,)),
    "leads up inside": (lambda: entry("a/../../x.json"), (400,)),
    "is absolute": (lambda: entry("/etc/x.json"), (400,)),
    "has a drive": (lambda: entry("C:x.json"), (400,)),
    "has backslashes": (lambda: patched(entry("a#x.json"), b"a#x", b"a\\x"), (400,)),
    "has a link": (lambda: entry("x.json", b"/etc/passwd", 0o120777 << 16), (400,)),
    "is encrypted": (encrypted, (400,)),
    "holds an archive": (lambda: zipped(conversations_json=zipped(a=b"b")), (400,)),
    "is empty": (lambda: zipped(), (400,)),
    "is a beginning only": (lambda: b"PK\x03\x04", (400,)),
}


@pytest.mark.any_database
@pytest.mark.parametrize(("make", "statuses"), HARMFUL.values(), ids=HARMFUL)
async def test_a_zip_that_does_harm_is_refused(
    app: FastAPI, me: httpx2.AsyncClient, make: Callable[[], bytes], statuses: tuple[int, ...]
) -> None:
    before = await stored(app, me.headers["X-User-Id"])
    response = await send(me, make())
    assert response.status_code in statuses, response.text
    assert await stored(app, me.headers["X-User-Id"]) == before


async def test_a_body_over_the_limit_is_not_read_to_its_end(app: FastAPI, me: httpx2.AsyncClient) -> None:
    headers = {**me.headers, **BYTES}
    declared = Body(b"x" * 1000)
    assert await asked(app, "POST", "/import", {**headers, "Content-Length": str(LIMIT + 1)}, declared) == 413
    assert declared.read == 0
    for form in (BYTES, {"Content-Type": "multipart/form-data; boundary=x"}):
        begun = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n'
        body = Body(begun + b"{" * 100_000 if form is not BYTES else b"{" * 100_000)
        assert await asked(app, "POST", "/import", {**headers, **form}, body) in (400, 413)
        assert body.read <= LIMIT + 200_000


@pytest.mark.any_database
@pytest.mark.parametrize("media_type", ["text/html", "application/x-www-form-urlencoded", "image/png"])
async def test_other_kinds_of_bodies_are_refused(me: httpx2.AsyncClient, media_type: str) -> None:
    problem(await me.post("/import", content=b"[]", headers={"Content-Type": media_type}), 415)


UNKNOWN = {
    "nothing": b"",
    "space": b" \n ",
    "a word": b"hello",
    "an object": b'{"a": 1}',
    "numbers": b"[1, 2]",
    "texts": b'["a"]',
    "UTF-16": '[{"mapping": {}}]'.encode("utf-16"),
    "bytes": bytes(range(256)),
    "a cut list": b'[{"mapping": {}',
    "a number": b"5",
    "brackets": b"[" * 100_000,
}


@pytest.mark.any_database
@pytest.mark.parametrize("file", UNKNOWN.values(), ids=UNKNOWN)
async def test_what_is_of_no_format_is_refused(me: httpx2.AsyncClient, file: bytes) -> None:
    problem(await send(me, file), 400)
    for form in ("jsonl", "json", "chatgpt", "librechat", "openwebui", "chatbotui", "sharegpt", "openai", "oasst"):
        response = await send(me, file, format=form)
        assert response.status_code in (200, 400)
        if response.status_code == 200:
            assert response.json()["chats"]["imported"] == 0
    problem(await send(me, file, format="csv"), 422)


async def test_an_empty_list_has_no_chats(me: httpx2.AsyncClient) -> None:
    assert (await imported(me, b"[]"))["chats"]["found"] == 0
    assert (await imported(me, await exported(me, "json")))["chats"]["found"] == 0
    assert (await imported(me, await exported(me)))["chats"]["found"] == 0


async def test_one_damaged_item_leaves_the_others(me: httpx2.AsyncClient) -> None:
    second = {**SMALL, "conversation_id": "2"}
    second["mapping"] = {**SMALL["mapping"], "b": 5}
    chats = [SMALL, second, {**SMALL, "conversation_id": "3"}, 7]
    report = await imported(me, json.dumps(chats, indent=1))
    assert (report["chats"]["imported"], report["chats"]["failed"]) == (2, 2)
    assert report["errors"][0]["place"].startswith("file body, item 2 (line ")


FILES: dict[str, bytes] = {
    "jsonl": lines(*a_chat(1, "ä"), *a_chat(2, "b", "c")),
    "json": b"",
    "chatgpt": json.dumps([SMALL, {**SMALL, "conversation_id": "2"}]).encode(),
    "zip": zipped(conversations_json=json.dumps([SMALL, {**SMALL, "conversation_id": "2"}]).encode()),
}


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("damage", [cut, flipped], ids=["cut", "flipped"])
async def test_damage_anywhere_stores_no_half_of_a_chat(
    app: FastAPI, admin: dict[str, str], form: str, damage: Callable[[bytes, int], bytes], seed: int
) -> None:
    async with acting(app, {**admin, "X-User-Id": f"whole {form} {damage.__name__}"}) as client:
        await imported(client, FILES["jsonl"] if form == "json" else FILES[form])
        file = FILES[form] or await exported(client, "json")
        whole = sorted([message["content"] for message in messages] for _, messages in await trees(client))
    async with acting(app, {**admin, "X-User-Id": f"damaged {form} {damage.__name__}"}) as client:
        step = count(fast=len(file) // 15, all=2 if form == "zip" else 5)
        for at in [*range(seed % step, len(file), step), len(file) - 1]:
            response = await send(client, damage(file, at))
            assert response.status_code in (200, 400, 413), (at, response.text)
            if response.status_code == 200 and response.json()["chats"]["imported"]:
                for chat, messages in await trees(client):
                    assert chat["message_count"] == len(messages) in {len(message) for message in whole}, at
                    ok(await client.delete(f"/chats/{chat['chat_id']}", params={"hard": "true"}))
                # But for the newline at its end, a file that was cut is broken.
                assert damage is flipped or at == len(file) - 1, at
        await everything_reads(client)


@pytest.mark.any_database
async def test_fuzzed_files_break_nothing(app: FastAPI, admin: dict[str, str], seed: int) -> None:
    source = random.Random(seed)
    async with acting(app, {**admin, "X-User-Id": "fuzz"}) as client:
        for number in range(count(fast=100, all=1600)):
            file = fuzzed(source, list(FILES.values())[number % 3] or FILES["jsonl"])
            query: Json = {"on_conflict": source.choice(["skip", "replace", "copy"])}
            query |= {"keep_ids": source.random() < 0.5, "dry_run": source.random() < 0.2}
            response = await send(client, file, **query)
            assert response.status_code in (200, 400), (response.text, file)
        chats = await every_item(client, "/chats", state="all")
        for chat in source.sample(chats, min(40, len(chats))):
            if chat["is_active"]:
                tree = await every_item(client, f"/chats/{chat['chat_id']}/messages", tree=True)
                assert len(tree) == chat["message_count"]
        assert (await client.get("/export", params={"state": "all"})).status_code == 200


async def test_two_imports_of_the_same_file_at_once_add_it_once(me: httpx2.AsyncClient) -> None:
    records = [record for number in range(50) for record in a_chat(number, "a", "b")]
    reports = await asyncio.gather(*(imported(me, lines(*records)) for _ in range(4)))
    assert sum(response["chats"]["imported"] for response in reports) == 50
    assert sum(response["chats"]["skipped"] for response in reports) == 150
    assert len(await every_item(me, "/chats")) == 50
    await everything_reads(me)
