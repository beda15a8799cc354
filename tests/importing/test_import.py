"""Importing what Chatkeep exports: everything comes back as it was, once, and whole or not at all."""

import json
import re
from collections.abc import AsyncIterator, Callable

import httpx2
import orjson
import pytest
from fastapi import FastAPI

from app.archive_formats import exports, imports
from tests.callers import Json, acting, every_item, ok, problem, started
from tests.conftest import settings_for
from tests.http.reading import everything_reads
from tests.importing.chats import a_bit_of_everything
from tests.importing.files import AT, CHAT_ID, MESSAGE_ID, a_chat, a_message, exported, imported, lines, send, trees
from tests.servers.databases import DIALECTS, Databases
from tests.tables import stored, without_feed

CONVERSATION: list[Json] = [
    {"role": "system", "content": "Answer shortly."},
    {"role": "user", "content": "How do I boil an egg?"},
    {"role": "assistant", "content": "Eight minutes in boiling water."},
]
# Whatever goes both ways comes back as it went: a new format is tested by being there.
BOTH_WAYS = sorted(exports().keys() & imports().keys())
LOSSLESS = [name for name in BOTH_WAYS if exports()[name].lossless]


@pytest.fixture
async def elsewhere(
    databases: Databases, dialect: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FastAPI]:
    """Another service, on an empty database of the same kind."""
    url = databases.fresh(dialect)
    async with started(settings_for(url, tmp_path_factory.mktemp("data"))) as other_app:
        yield other_app
    databases.drop(url)


@pytest.mark.parametrize("form", LOSSLESS)
async def test_what_is_exported_comes_back(me: httpx2.AsyncClient, elsewhere: FastAPI, form: str) -> None:
    await a_bit_of_everything(me)
    file = await exported(me, form)
    async with acting(elsewhere, dict(me.headers)) as other:
        report = await imported(other, file, keep_ids=True)
        assert (report["format"], report["errors"]) == (form, [])
        assert report["chats"]["imported"] == report["chats"]["found"] > 3
        assert await exported(other, form) == file
        again = await imported(other, file, keep_ids=True)
        assert again["chats"]["skipped"] == again["chats"]["found"] == report["chats"]["found"]
        assert await exported(other, form) == file
        await everything_reads(other)


@pytest.mark.parametrize("form", LOSSLESS)
async def test_it_comes_back_from_the_other_database_too(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory, admin: dict[str, str], form: str
) -> None:
    urls = [databases.fresh(kind) for kind in (*DIALECTS, DIALECTS[0])]
    headers = {**admin, "X-User-Id": "ann"}
    file = b""
    for number, url in enumerate(urls):
        async with started(settings_for(url, tmp_path_factory.mktemp("data"))) as app, acting(app, headers) as client:
            if number == 0:
                await a_bit_of_everything(client)
                file = await exported(client, form)
            else:
                assert (await imported(client, file, keep_ids=True))["errors"] == []
                assert await exported(client, form) == file
        databases.drop(url)


@pytest.mark.parametrize("form", sorted(set(BOTH_WAYS) - set(LOSSLESS)))
async def test_what_a_format_can_say_comes_back(me: httpx2.AsyncClient, elsewhere: FastAPI, form: str) -> None:
    for chat in (
        CONVERSATION,
        [{"role": "user", "content": "Was ist ein Ei?"}, {"role": "assistant", "content": "🥚"}],
    ):
        ok(await me.post("/chats", json={"title": "Eggs", "conversation": chat}))
    file = await exported(me, form)
    async with acting(elsewhere, dict(me.headers)) as other:
        report = await imported(other, file)
        assert (report["format"], report["errors"], report["chats"]["imported"]) == (form, [], 2)
        again = await exported(other, form)
        # A chat has the name there that it got there.
        assert _nameless(again) == _nameless(file)


def _nameless(file: bytes) -> bytes:
    return re.sub(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", b"", file)


async def test_what_comes_in_goes_on_as_if_it_had_been_written_here(me: httpx2.AsyncClient) -> None:
    tree = [
        *a_chat(1, "a", "b", message_count=6, last_seq=9, head_seq=4, version=12),
        a_message(1003, 4, "c", parent_seq=1),
        a_message(1004, 5, "d", parent_seq=2),
        a_message(1005, 6, "e", parent_seq=4),
        a_message(1006, 7, "f", parent_seq=6),
    ]
    del tree[-1]["parent_seq"]
    assert (await imported(me, lines(*tree), keep_ids=True))["chats"]["imported"] == 1
    path = f"/chats/{CHAT_ID.format(1)}"
    chat = ok(await me.get(path))
    assert (chat["version"], chat["last_seq"], chat["head_id"]) == (12, 9, MESSAGE_ID.format(1003))
    texts = [message["content"] for message in await every_item(me, f"{path}/messages")]
    assert texts == ["a", "c"]
    assert ok(await me.post(f"{path}/messages", json={"role": "user", "content": "g"}))["seq"] == 10
    assert [message["content"] for message in await every_item(me, f"{path}/messages")] == ["a", "c", "g"]
    for parent, before in ((2, ["a", "b"]), (5, ["a", "b", "d"]), (6, ["a", "c", "e"]), (7, ["f"])):
        ok(await me.post(f"{path}/messages", json={"role": "user", "content": "new", "parent": parent}))
        assert [message["content"] for message in await every_item(me, f"{path}/messages")] == [*before, "new"]
    await everything_reads(me)
    ok(await me.delete(f"{path}/messages/1"))
    await everything_reads(me)


async def test_it_is_told_and_counted(app: FastAPI, me: httpx2.AsyncClient) -> None:
    records = a_chat(1, "a", "b", "c", platform="web", deleted_at=AT)
    records[2] |= {"seq": 3, "parent_seq": 1, "tokens": 7, "model": "m"}
    records[3] |= {"seq": 4, "parent_seq": 3}
    records[0] |= {"last_seq": 4, "head_seq": 4}
    await imported(me, lines(*records, *a_chat(2)), keep_ids=True)
    tables = await stored(app, me.headers["X-User-Id"])
    (change,) = tables["changes"]
    assert change[3] == [
        ["chat.created", CHAT_ID.format(1)],
        ["appended", CHAT_ID.format(1), 1, 1],
        ["appended", CHAT_ID.format(1), 3, 2],
        ["chat.deleted", CHAT_ID.format(1)],
        ["chat.created", CHAT_ID.format(2)],
    ]
    slot = 1966512
    assert change[4] == [
        ["chats", "web", slot, 1, 0, 1],
        ["messages", "web", [[slot, "user", None, 2, 0, 0, 0], [slot, "user", "m", 1, 0, 0, 7]], 1],
        ["chats", None, slot, 1, 1, 0],
    ]
    assert change[1] == 6
    page = ok(await me.get("/changes", params={"since": "start"}))
    assert [item["type"] for item in page["items"]].count("message.appended") == 3


async def test_without_keep_ids_they_are_other_chats(
    app: FastAPI, me: httpx2.AsyncClient, make_user: Callable[[], str], as_user: Callable[[str], dict[str, str]]
) -> None:
    await a_bit_of_everything(me)
    file = await exported(me)
    before = {chat["chat_id"] for chat in await every_item(me, "/chats", state="all")}
    async with acting(app, as_user(make_user())) as other:
        report = await imported(other, file)
        assert (report["errors"], report["chats"]["imported"]) == ([], len(before))
        created = {chat["chat_id"] for chat in await every_item(other, "/chats", state="all")}
        assert len(created) == len(before)
        assert not created & before
        assert (await imported(other, file))["chats"]["skipped"] == len(before)
        await everything_reads(other)


async def test_an_export_that_comes_back_adds_nothing(me: httpx2.AsyncClient) -> None:
    await a_bit_of_everything(me)
    file = await exported(me)
    report = await imported(me, file)
    assert report["chats"]["skipped"] == report["chats"]["found"] > 3
    assert await exported(me) == file
    copied = await imported(me, file, on_conflict="copy")
    assert (copied["errors"], copied["chats"]["copied"]) == ([], report["chats"]["found"])
    await everything_reads(me)


async def test_a_chat_in_the_trash_is_known_and_an_erased_one_may_come_again(me: httpx2.AsyncClient) -> None:
    file = lines(*a_chat(1, "a"))
    for keep_ids in (True, False):
        assert (await imported(me, file, keep_ids=keep_ids))["chats"]["imported"] == 1
        (chat,) = await every_item(me, "/chats")
        ok(await me.delete(f"/chats/{chat['chat_id']}"))
        assert (await imported(me, file, keep_ids=keep_ids))["chats"]["skipped"] == 1
        ok(await me.delete(f"/chats/{chat['chat_id']}", params={"hard": "true"}))
        assert (await imported(me, file, keep_ids=keep_ids))["chats"]["imported"] == 1
        (chat,) = await every_item(me, "/chats")
        ok(await me.delete(f"/chats/{chat['chat_id']}", params={"hard": "true"}))


@pytest.mark.parametrize("keep_ids", [True, False])
async def test_replace_puts_the_new_one_in_its_place(me: httpx2.AsyncClient, keep_ids: bool) -> None:
    await imported(me, lines(*a_chat(1, "a", "b", key="k")), keep_ids=keep_ids)
    path = "/chats/key:k"
    ok(await me.post(f"{path}/messages", json={"role": "user", "content": "x", "parent": 1}))
    assert len(await every_item(me, f"{path}/messages")) == 2
    old = ok(await me.get(path))
    report = await imported(me, lines(*a_chat(1, "c", key="k")), keep_ids=keep_ids, on_conflict="replace")
    assert report["chats"] == {"found": 1, "imported": 0, "skipped": 0, "replaced": 1, "copied": 0, "failed": 0}
    chat = ok(await me.get(path))
    assert chat["chat_id"] == old["chat_id"]
    assert chat["version"] > old["version"]
    # What was read of the old one's tree is not taken for this one's.
    assert [message["content"] for message in await every_item(me, f"{path}/messages")] == ["c"]
    ok(await me.post(f"{path}/messages", json={"role": "user", "content": "d"}))
    await everything_reads(me)


@pytest.mark.parametrize("keep_ids", [True, False])
async def test_copy_makes_another_one(me: httpx2.AsyncClient, keep_ids: bool) -> None:
    file = lines(*a_chat(1, "a", "b", key="k"))
    await imported(me, file, keep_ids=keep_ids)
    for copies in (1, 2):
        report = await imported(me, file, keep_ids=keep_ids, on_conflict="copy")
        assert report["chats"]["copied"] == 1
        chats = await trees(me)
        assert len(chats) == 1 + copies
        assert [[message["content"] for message in messages] for _, messages in chats] == [["a", "b"]] * (1 + copies)
        assert sorted(str(chat["key"]) for chat, _ in chats) == ["None"] * copies + ["k"]
    await everything_reads(me)


async def test_a_copy_is_made_once_for_a_key(me: httpx2.AsyncClient) -> None:
    file = lines(*a_chat(1, "a"))
    await imported(me, file)
    for key, chats in (("one", 2), ("one", 2), ("two", 3)):
        headers = {"Idempotency-Key": key, "Content-Type": "application/jsonl"}
        answer = await me.post("/import", params={"on_conflict": "copy"}, content=file, headers=headers)
        assert ok(answer)["chats"]["copied"] == 1
        assert len(await every_item(me, "/chats")) == chats
    other = await me.post("/import", content=file, headers={**headers, "Idempotency-Key": "one"})
    problem(other, 422)


async def test_a_key_that_another_chat_has_is_said(me: httpx2.AsyncClient) -> None:
    ok(await me.post("/chats", json={"key": "k"}))
    before = await exported(me)
    report = await imported(me, lines(*a_chat(1, "a", key="k"), *a_chat(2, "b", key="l"), *a_chat(3, key="l")))
    assert (report["chats"]["imported"], report["chats"]["failed"]) == (1, 2)
    assert report["errors"][0] == {"place": "file body, line 2", "reason": "key: another chat has it"}
    assert before != await exported(me)


async def test_ids_of_other_chats_are_not_taken(me: httpx2.AsyncClient) -> None:
    await imported(me, lines(*a_chat(1, "a", "b")), keep_ids=True)
    theft = a_chat(2, "x")
    theft[1]["message_id"] = MESSAGE_ID.format(1001)
    report = await imported(me, lines(*a_chat(3, "c"), *theft, *a_chat(4, "d")), keep_ids=True)
    assert (report["chats"]["imported"], report["chats"]["failed"]) == (2, 1)
    assert "another chat" in report["errors"][0]["reason"]
    assert [len(messages) for _, messages in await trees(me)] == [2, 1, 1]


async def test_a_dry_run_changes_nothing(app: FastAPI, me: httpx2.AsyncClient) -> None:
    await imported(me, lines(*a_chat(1, "a")), keep_ids=True)
    file = lines(*a_chat(1, "b"), *a_chat(2, "c", "d"), *a_chat(2, "c"), *a_chat(3, "x", message_count=7))
    for on_conflict, outcome in (("skip", "skipped"), ("replace", "replaced"), ("copy", "copied")):
        before = await stored(app, me.headers["X-User-Id"])
        report = await imported(me, file, dry_run=True, keep_ids=True, on_conflict=on_conflict)
        assert await stored(app, me.headers["X-User-Id"]) == before
        assert report["dry_run"] is True
        expected = {"found": 4, "imported": 1, "skipped": 0, "replaced": 0, "copied": 0, "failed": 1} | {outcome: 2}
        assert report["chats"] == expected
        assert report["messages"]["found"] == 5
        assert len(report["errors"]) == report["errors_total"] == 1
    real = await imported(me, file, keep_ids=True)
    assert real["chats"] == {"found": 4, "imported": 1, "skipped": 2, "replaced": 0, "copied": 0, "failed": 1}


async def test_whose_they_become(
    app: FastAPI, admin: dict[str, str], as_user: Callable[[str], dict[str, str]], make_user: Callable[[], str]
) -> None:
    ann, bob, carol = make_user(), make_user(), make_user()
    file = lines(*a_chat(1, "a", user_id=ann), *a_chat(2, "b", user_id=bob), *a_chat(3, "c"))
    async with acting(app, as_user(carol)) as client:
        assert (await imported(client, file))["chats"]["imported"] == 3
        assert {chat["user_id"] for chat in await every_item(client, "/chats")} == {carol}
    async with acting(app, admin) as client:
        problem(await send(client, file), 400)
        report = await imported(client, file, all_users=True, keep_ids=True)
        assert (report["chats"]["imported"], report["chats"]["failed"]) == (2, 1)
    for user in (ann, bob):
        async with acting(app, as_user(user)) as client:
            (chat,) = await every_item(client, "/chats")
            assert chat["user_id"] == user
            assert len(await every_item(client, f"/chats/{chat['chat_id']}/messages")) == 1
            api_key = {"name": "x", "user_id": user, "scopes": ["chats:write"]}
            key = ok(await client.post("/admin/api-keys", json=api_key))["key"]
        own = {"Authorization": f"Bearer {key}"}
        async with acting(app, own) as client:
            problem(await send(client, file, all_users=True), 403)


async def test_a_large_chat_is_stored_whole_or_not_at_all(app: FastAPI, me: httpx2.AsyncClient) -> None:
    texts = [f"m{number}" for number in range(12_000)]
    good, bad = a_chat(1, *texts), a_chat(2, *texts, message_count=11_999)
    late = a_chat(4, *texts)
    late[9000]["role"] = "robot"
    file = lines(*a_chat(3, "a"), *good, *bad, *late, *a_chat(5, "z"))
    report = await imported(me, file)
    assert report["chats"] == {"found": 5, "imported": 3, "skipped": 0, "replaced": 0, "copied": 0, "failed": 2}
    assert report["messages"] == {"found": 36_002, "imported": 12_002}
    chats = {chat["message_count"]: chat for chat in await every_item(me, "/chats")}
    assert set(chats) == {1, 12_000}
    assert len(await every_item(me, "/chats")) == 3
    path = f"/chats/{chats[12_000]['chat_id']}/messages"
    last = ok(await me.get(path, params={"last": 2}))["items"]
    assert [message["content"] for message in last] == ["m11998", "m11999"]
    assert last[-1]["message_id"] == chats[12_000]["head_id"]
    tables = await stored(app, me.headers["X-User-Id"])
    assert len(tables["messages"]) == 12_002
    again = await imported(me, file)
    assert (again["chats"]["skipped"], again["chats"]["failed"]) == (3, 2)
    replaced = await imported(me, lines(*good), on_conflict="replace")
    assert replaced["chats"]["replaced"] == 1
    assert without_feed(await stored(app, me.headers["X-User-Id"]))["messages"][0][2:] is not None


REFUSED: dict[str, Json] = {
    "an unknown member": {"created_by": "x"},
    "an unknown role": {"role": "robot"},
    "no type": {"type": ""},
    "a content that is none": {"content": 5},
    "nothing said": {"content": None},
    "an id that is none": {"message_id": "x"},
    "a seq of zero": {"seq": 0},
    "a parent that is not there": {"parent_seq": 1},
    "itself as its parent": {"parent_seq": 2},
    "no moment": {"created_at": "2026-02-30T12:00:00.000000Z"},
    "a moment without a zone": {"created_at": "2026-01-30T12:00:00.000000"},
    "a number for a moment": {"created_at": 5},
    "a long model": {"model": "m" * 513},
    "negative tokens": {"tokens": -1},
    "true tokens": {"tokens": True},
    "an answer in progress": {"status": "in_progress"},
    "NUL": {"content": "a\0b"},
    "NUL deep inside": {"metadata": {"a": ["\0"]}},
    "a huge number": {"metadata": {"a": 2**60}},
    "a payload of a codec with no item": {"payload": {"format": "responses"}},
    "a payload of a codec with more than an item": {"payload": {"format": "ui", "item": {}, "more": 1}},
    "a payload of a codec that its item is not of": {"payload": {"format": "ui", "item": {"role": "user"}}},
    "a payload that is too deep": {"payload": json.loads("[" * 70 + "]" * 70)},
    "a role that is a list": {"role": ["user"]},
    "what is no key": {"key": ""},
    "a key with a control character": {"key": "a\nb"},
    "a true seq": {"seq": True},
}


@pytest.mark.any_database
@pytest.mark.parametrize("damage", REFUSED.values(), ids=REFUSED)
async def test_what_the_api_refuses_is_damage(me: httpx2.AsyncClient, damage: Json) -> None:
    damaged = a_chat(1, "a")
    damaged[1] = {**damaged[1], **damage}
    if damage == {"seq": 0}:
        damaged[1]["seq"] = 0
    report = await imported(me, lines(*damaged, *a_chat(2, "b")), keep_ids=True)
    assert (report["chats"]["imported"], report["chats"]["failed"]) == (1, 1), report
    assert report["errors"][0]["place"] in ("file body, line 3", "file body, line 2")
    assert "\0" not in report["errors"][0]["reason"]


_SAID = b'"role":"user","type":"message","created_at":"2026-01-31T12:00:00.000000Z"}'
RAW = {
    "a name twice": b'{"record":"message","seq":1,"seq":1,"content":"x",' + _SAID,
    "a lone surrogate": b'{"record":"message","seq":1,"content":"\\ud800",' + _SAID,
    "NaN": b'{"record":"message","seq":1,"content":"x","tokens":NaN,' + _SAID,
    "no UTF-8": b'{"record":"message","seq":1,"content":"\xff",' + _SAID,
    "a huge number": b'{"record":"message","seq":99999999999999999999,"content":"x",' + _SAID,
    "no object": b'["message"]',
    "no JSON": b"{",
}


@pytest.mark.any_database
@pytest.mark.parametrize("line", RAW.values(), ids=RAW)
async def test_a_line_that_is_no_strict_json_is_damage(me: httpx2.AsyncClient, line: bytes) -> None:
    good = lines(*a_chat(1, "a"), *a_chat(2, "b")).splitlines(keepends=True)
    good[2] = line + b"\n"
    report = await imported(me, b"".join(good))
    assert report["chats"]["imported"] == 1
    assert report["errors"][0]["place"] == "file body, line 3"


async def test_lines_may_be_written_otherwise(me: httpx2.AsyncClient) -> None:
    records = [orjson.loads(line) for line in lines(*a_chat(1, "ä\u2028", "b")).splitlines()]
    file = "\ufeff\n" + "".join(f" {json.dumps(record)} \r\n\n" for record in records)
    assert (await imported(me, file))["chats"]["imported"] == 1
    ((_, messages),) = await trees(me)
    assert [message["content"] for message in messages] == ["ä\u2028", "b"]
