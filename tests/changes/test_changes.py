"""`GET /changes`: everything that changed, in the order in which it was committed, and never one skipped."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from sqlmodel import col

from app.changes import reader as reader_module
from app.events import pruning
from app.events.events import ChatUpdated
from app.events.log import append_events
from app.events.pruning import prune
from app.jobs import housekeeping
from app.models import Change
from tests.callers import Json, ok, problem
from tests.people import Person


def short(change: Json) -> tuple[Any, ...]:
    """A change, in short: its type, and what it says besides."""
    return change["type"], change.get("seq"), change.get("message", {}).get("content")


async def everything(person: Person, limit: int = 200, **query: Any) -> list[Json]:
    """All changes, read in pages."""
    items: list[Json] = []
    while True:
        page = await person.changes(limit=limit, **query)
        assert len(page["items"]) <= limit
        items += page["items"]
        query["since"] = page["cursor"]
        if not page["has_more"]:
            return items


async def test_each_kind_of_change(ann: Person) -> None:
    client = ann.client
    chat = await ann.chat(key="k", title="one")
    first, second = await ann.say(chat, "a", "b")
    ok(await client.patch(f"/chats/{chat}/messages/1", json={"content": "A"}))
    ok(await client.delete(f"/chats/{chat}/messages/2"))
    ok(await client.patch(f"/chats/{chat}", json={"title": "two"}))
    items = (await ann.changes())["items"]
    assert [short(item) for item in items if item["type"] != "head.moved"] == [
        ("chat.created", None, None),
        # As the messages are now: the first was edited, the second is gone.
        ("message.appended", 1, "A"),
        ("message.appended", 2, None),
        ("message.edited", 1, "A"),
        ("message.deleted", 2, None),
        ("chat.updated", None, None),
    ]
    by_type = {item["type"]: item for item in items}
    chat_now = ok(await client.get(f"/chats/{chat}"))
    assert by_type["chat.created"]["chat"] == by_type["chat.updated"]["chat"] == chat_now
    assert by_type["message.edited"]["message"] == ok(await client.get(f"/chats/{chat}/messages/1"))
    assert by_type["message.edited"]["message_id"] == first["message_id"]
    assert by_type["message.deleted"]["message_id"] == second["message_id"]
    assert "message" not in by_type["message.deleted"]
    assert {item["chat_id"] for item in items} == {chat}
    assert [item["at"] for item in items] == sorted(item["at"] for item in items)

    since = items[-1]["cursor"]
    await ann.say(chat, "c")
    ok(await client.delete(f"/chats/{chat}/messages"))
    ok(await client.delete(f"/chats/{chat}"))
    ok(await client.post(f"/chats/{chat}/restore"))
    ok(await client.delete(f"/chats/{chat}", params={"hard": "true"}))
    later = (await ann.changes(since=since))["items"]
    assert [item["type"] for item in later if item["type"] != "head.moved"] == [
        "message.appended",
        "messages.cleared",
        "chat.deleted",
        "chat.restored",
        "chat.erased",
    ]
    cleared = next(item for item in later if item["type"] == "messages.cleared")
    assert cleared["last_seq"] == 3
    # What is gone is not shown, whatever had happened to it.
    assert not any("chat" in item or "message" in item for item in await everything(ann))


async def test_a_cursor_may_point_into_the_middle_of_a_batch(ann: Person) -> None:
    chat = await ann.chat()
    await ann.say(chat, *"abcdefg")
    await ann.say(chat, "h")
    whole = await everything(ann)
    assert [item.get("message", {}).get("content") for item in whole] == [None, *"abcdefgh"]
    assert len({item["cursor"] for item in whole}) == len(whole)
    for limit in (1, 2, 3, 7):
        assert await everything(ann, limit) == whole
    for place, item in enumerate(whole):
        assert await everything(ann, 3, since=item["cursor"]) == whole[place + 1 :]


async def test_where_to_begin(ann: Person) -> None:
    nothing = await ann.changes(since="now")
    assert (nothing["items"], nothing["has_more"]) == ([], False)
    assert await ann.changes() == nothing
    chat = await ann.chat()
    assert [item["chat_id"] for item in (await ann.changes(since=nothing["cursor"]))["items"]] == [chat]
    assert await ann.changes(since="start") == await ann.changes()
    now = await ann.changes(since="now")
    assert now["items"] == []
    assert now["cursor"] == (await ann.changes())["cursor"]


async def test_a_cursor_is_good_for_its_user_only(ann: Person, bob: Person) -> None:
    await ann.chat()
    await bob.chat()
    cursor = (await ann.changes())["cursor"]
    for wrong in ("x", "", cursor[:-1], f"{cursor}x", cursor.swapcase(), (await bob.changes())["cursor"], "\0"):
        problem(await ann.client.get("/changes", params={"since": wrong}), 400)
    problem(await ann.client.get("/changes", params={"since": "x" * 2000}), 422)


async def test_changes_of_one_chat(ann: Person, bob: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    chat, other = await ann.chat(key="one"), await ann.chat()
    for text in "abc":
        await ann.say(other, text)
        await ann.say(chat, text)
    for name in (chat, chat.upper(), "key:one"):
        items = await everything(ann, chat=name)
        assert [short(item) for item in items][1:] == [("message.appended", n, t) for n, t in enumerate("abc", 1)]
        assert {item["chat_id"] for item in items} == {chat}
    # However much of other chats stands between.
    monkeypatch.setattr(reader_module, "ROWS_SCANNED", 2)
    assert await everything(ann, 1, chat=chat) == items
    # In the trash it goes on to change; for good, or never been, or another's is all the same.
    ok(await ann.client.delete(f"/chats/{chat}"))
    assert [item["type"] for item in await everything(ann, chat="key:one")][-1] == "chat.deleted"
    ok(await ann.client.delete(f"/chats/{chat}", params={"hard": "true"}))
    answers = [
        await ann.client.get("/changes", params={"chat": name})
        for name in (chat, "key:one", "key:absent", "x", await bob.chat(key="bobs"), "key:bobs", "")
    ]
    assert {problem(answer, 404)["detail"] for answer in answers} == {answers[0].json()["detail"]}


async def test_changes_are_the_users_own(ann: Person, bob: Person) -> None:
    await ann.say(await ann.chat(), "secret")
    assert (await bob.changes())["items"] == []


async def test_a_feed_that_was_pruned_says_so(
    app: FastAPI, ann: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await ann.chat()
    start = await ann.changes(since="now")
    for text in "abcde":
        await ann.say(chat, text, text)
    before = (await everything(ann))[-1]["cursor"]
    await bob.chat()
    async with app.state.services.db.write() as session:
        long_ago = datetime.now(UTC) - timedelta(days=31)
        await session.execute(update(Change).where(col(Change.user_id) == ann.user_id).values(at=long_ago))
    await ann.say(chat, "new")
    monkeypatch.setattr(pruning, "ROWS_PER_BATCH", 2)
    monkeypatch.setattr(pruning, "FEEDS_PER_BATCH", 20)
    await app.state.services.counters.catch_up(None)
    await prune(app.state.services.db, datetime.now(UTC) - timedelta(days=30))

    for path in ("/changes", "/events"):
        gone = await ann.client.get(path, params={"since": start["cursor"]})
        assert problem(gone, 410)["type"] == "urn:chatkeep:problem:gone"
    kept = await everything(ann)
    assert [short(item) for item in kept] == [("message.appended", 11, "new")]
    assert await everything(ann, since=before) == kept
    assert len(await everything(bob)) == 1
    # Pruned to the last one, it goes on from where it was.
    await prune(app.state.services.db, datetime.now(UTC) + timedelta(days=1))
    cursor = (await ann.changes())["cursor"]
    assert cursor == kept[-1]["cursor"]
    await ann.say(chat, "newer")
    assert [short(item) for item in await everything(ann, since=cursor)] == [("message.appended", 12, "newer")]


async def test_a_cursor_from_before_a_restored_backup_is_gone(app: FastAPI, ann: Person) -> None:
    await ann.chat()
    ahead = app.state.services.feed_cache.reader(ann.user_id).cursor(1000)
    problem(await ann.client.get("/changes", params={"since": ahead}), 410)


async def test_who_commits_last_comes_last_and_nobody_skips_him(app: FastAPI, ann: Person) -> None:
    """Two writers at once: the one that took its position first commits last."""
    chat = await ann.chat()
    since = (await ann.changes(since="now"))["cursor"]
    took, commit = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with app.state.services.db.write() as session:
            await append_events(session, ann.user_id, ChatUpdated(chat))
            took.set()
            await commit.wait()

    async def quick() -> Json:
        return (await ann.say(chat, "quick"))[0]

    writing = asyncio.create_task(slow())
    await took.wait()
    waiting = asyncio.create_task(quick())
    await asyncio.sleep(0.2)
    # The second has to wait for its position: if it had one that a reader could see, the first would be skipped.
    page = await ann.changes(since=since)
    assert page == {"items": [], "cursor": since, "has_more": False}
    commit.set()
    await asyncio.gather(writing, waiting)
    items = (await ann.changes(since=page["cursor"]))["items"]
    assert [short(item) for item in items] == [("chat.updated", None, None), ("message.appended", 1, "quick")]


async def test_a_transaction_that_fails_leaves_no_hole(app: FastAPI, ann: Person) -> None:
    chat = await ann.chat()

    async def fail() -> None:
        async with app.state.services.db.write() as session:
            await append_events(session, ann.user_id, ChatUpdated(chat))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    await ann.say(chat, "a")
    assert [item["type"] for item in await everything(ann)] == ["chat.created", "message.appended"]


async def test_large_messages_come_in_shorter_pages(ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "PAGE_BYTES", 1000)
    monkeypatch.setattr(reader_module, "MESSAGES_PER_QUERY", 2)
    chat = await ann.chat()
    await ann.say(chat, *("x" * 400 for _ in range(9)))
    page = await ann.changes(limit=200)
    assert 2 <= len(page["items"]) < 10
    assert page["has_more"]
    assert [item.get("seq") for item in await everything(ann)] == [None, *range(1, 10)]


async def test_a_chat_that_expires_is_a_change_too(
    app: FastAPI, ann: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "CHATS_PER_BATCH", 2)
    expired = sorted([await ann.chat(expires_at="2020-01-01T00:00:00Z") for _ in range(3)])
    others = await bob.chat(expires_at="2020-01-01T00:00:00Z")
    since = (await ann.changes(since="now"))["cursor"]
    await housekeeping.run_pass(app.state.services.db)
    items = (await ann.changes(since=since))["items"]
    assert [(item["type"], item["chat_id"]) for item in items] == [("chat.deleted", chat) for chat in expired]
    assert {item["chat"]["is_active"] for item in items} == {False}
    assert [item["type"] for item in await everything(bob, chat=others)] == ["chat.created", "chat.deleted"]


async def test_housekeeping_keeps_what_is_young(app: FastAPI, ann: Person) -> None:
    await ann.chat()
    await housekeeping.run_pass(app.state.services.db)
    await prune(app.state.services.db, datetime.now(UTC) - timedelta(days=30))
    assert len((await ann.changes())["items"]) == 1


async def test_only_who_may_read(client: httpx2.AsyncClient, admin: dict[str, str]) -> None:
    for path in ("/changes", "/events"):
        problem(await client.get(path), 401)
        problem(await client.get(path, headers=admin), 400)
    problem(await client.post("/tickets"), 401)
    made = ok(
        await client.post("/admin/api-keys", headers=admin, json={"name": "k", "user_id": "u", "scopes": ["admin"]})
    )
    headers = {"Authorization": f"Bearer {made['key']}"}
    for path in ("/changes", "/events"):
        problem(await client.get(path, headers=headers), 403)
    problem(await client.post("/tickets", headers=headers), 403)
