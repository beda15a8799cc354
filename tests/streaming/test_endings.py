"""How answers end: completed once, failed, deleted meanwhile, left by their writers."""

import asyncio
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from sqlmodel import col

from app.db.timestamps import now
from app.models import StreamingMessage
from app.streaming import chunk_writer, reaper
from tests.callers import ok, problem
from tests.people import Person
from tests.streaming.writing import Written, event, leftovers, lengths, opened, stored
from tests.streams import events


async def test_it_is_not_complete_before_all_of_it_is_there(answer: Written, elsewhere: httpx2.AsyncClient) -> None:
    await answer.chunk(0, "one ")
    details = problem(await answer.client.post(f"{answer.path}/complete", json={"offset": 7}), 409)
    assert lengths(details) == (4, 4)
    problem(await answer.client.post(f"{answer.path}/complete", json={"offset": 3}), 409)
    problem(await answer.client.post(f"{answer.path}/complete", json={}), 422)
    assert (await answer.read())["status"] == "in_progress"
    await answer.chunk(4, "two")
    # Another process waits for what this one has.
    assert ok(await elsewhere.post(f"{answer.path}/complete", json={"offset": 7}))["content"] == "one two"


async def test_it_is_completed_once(answer: Written) -> None:
    await answer.chunk(0, "one")
    key = {"Idempotency-Key": "end"}
    first = await answer.client.post(f"{answer.path}/complete", json={"offset": 3, "tokens": 2}, headers=key)
    again = await answer.client.post(f"{answer.path}/complete", json={"offset": 3, "tokens": 2}, headers=key)
    assert ok(first) == ok(again) == await answer.complete(3, tokens=2) == await answer.complete(3)
    assert again.headers["Idempotency-Replayed"] == "true"
    for said in ({"offset": 4}, {"offset": 3, "tokens": 3}, {"offset": 3, "metadata": {"a": 1}}, {"content": "two"}):
        problem(await answer.client.post(f"{answer.path}/complete", json=said), 409)
    problem(await answer.client.post(f"{answer.path}/fail", json={}), 409)
    assert "completed" in (await answer.refused(3, " two"))["detail"]
    assert ok(await answer.client.get("/chats/key:kitchen"))["total_tokens"] == 2


async def test_its_backend_may_have_the_last_word(ann: Person) -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    answer = await opened(ann.client, "/chats/key:kitchen")
    assert (await answer.complete(0, tool_calls=calls))["tool_calls"] == calls
    assert "content" not in await answer.read()
    answer = await opened(ann.client, "/chats/key:kitchen")
    await answer.chunk(0, "one [1]")
    parts = [{"type": "text", "text": "one"}, {"type": "source", "url": "x"}]
    message = ok(await ann.client.post(f"{answer.path}/complete", json={"content": parts}))
    assert message["content"] == parts
    answer = await opened(ann.client, "/chats/key:kitchen")
    assert (await answer.complete(0))["content"] == ""


async def test_a_failed_answer_keeps_its_text(app: FastAPI, answer: Written) -> None:
    await answer.chunk(0, "one ")
    said = {"metadata": {"error": "the provider hung up"}}
    message = ok(await answer.client.post(f"{answer.path}/fail", json=said))
    assert (message["content"], message["status"], message["metadata"]) == ("one ", "failed", said["metadata"])
    assert ok(await answer.client.post(f"{answer.path}/fail", json=said)) == message
    problem(await answer.client.post(f"{answer.path}/complete", json={"offset": 4}), 409)
    await answer.refused(4, "x")
    assert await leftovers(app, answer) == 0


async def test_only_what_is_in_progress_takes_chunks(ann: Person) -> None:
    chat = await ann.chat()
    (message,) = await ann.say(chat, "Hello")
    said = Written(ann.client, message)
    await said.refused(5, "x")
    problem(await ann.client.post(f"{said.path}/complete", json={"offset": 6}), 409)
    problem(await ann.client.post(f"{said.path}/fail", json={}), 409)
    problem(await ann.client.patch((await opened(ann.client, f"/chats/{chat}")).path, json={"content": "x"}), 409)


async def test_it_can_be_named_in_every_way(answer: Written) -> None:
    message = answer.message
    offset = 0
    for chat in (message["chat_id"], message["chat_id"].upper(), "key:kitchen"):
        for name in (message["message_id"], message["message_id"].upper(), str(message["seq"])):
            for _ in range(2):
                said = await answer.client.post(
                    f"/chats/{chat}/messages/{name}/chunks", json={"offset": offset, "text": "x"}
                )
                offset += 1
                assert said.json()["received"] == offset
    assert (await answer.complete(offset))["content"] == "x" * offset


async def test_a_key_that_moves_takes_no_text_along(ann: Person) -> None:
    first = await opened(ann.client, "/chats/key:moving")
    path = f"/chats/key:moving/messages/{first.message['seq']}/chunks"
    ok(await ann.client.post(path, json={"offset": 0, "text": "first"}))
    ok(await ann.client.patch("/chats/key:moving", json={"key": "moved"}))
    second = await opened(ann.client, "/chats/key:moving")
    ok(await ann.client.post(path, json={"offset": 0, "text": "other"}))
    assert [(await one.complete(5))["content"] for one in (first, second)] == ["first", "other"]


@pytest.mark.parametrize("way", ["delete", "pop", "clear", "trash", "erase"])
async def test_what_is_deleted_meanwhile_takes_no_more(app: FastAPI, ann: Person, answer: Written, way: str) -> None:
    chat = f"/chats/{answer.message['chat_id']}"
    await answer.chunk(0, "one ")
    async with events(app, ann.headers, f"{answer.path}/stream") as stream:
        assert (await event(stream)).data["text"] == "one "
        match way:
            case "delete":
                ok(await ann.client.delete(answer.path))
            case "pop":
                ok(await ann.client.post(f"{chat}/messages/pop"))
            case "clear":
                ok(await ann.client.delete(f"{chat}/messages"))
            case "trash":
                ok(await ann.client.delete(chat))
            case "erase":
                ok(await ann.client.delete(f"{chat}?hard=true"))
        async with asyncio.timeout(5):
            while (await ann.client.post(f"{answer.path}/chunks", json={"offset": 4, "text": "x"})).status_code == 202:
                await asyncio.sleep(0.05)
        await answer.refused(4, "x", 404)
        problem(await ann.client.post(f"{answer.path}/complete", json={"offset": 4}), 404)
        assert (await event(stream)).name == "deleted"
    if way == "trash":
        ok(await ann.client.post(f"{chat}/restore"))
        assert (await answer.chunk(4, "two"))[0] == 7
        assert (await answer.complete(7))["content"] == "one two"
    else:
        assert await leftovers(app, answer) == 0


async def test_nobody_else_writes_or_reads_it(ann: Person, bob: Person, answer: Written) -> None:
    await answer.chunk(0, "one ")
    await answer.refused(4, "x", 404, bob.client)
    for path in ("complete", "fail"):
        problem(await bob.client.post(f"{answer.path}/{path}", json={"offset": 4}), 404)
    problem(await bob.client.get(f"{answer.path}/stream"), 404)
    assert (await answer.complete(4))["content"] == "one "


async def test_a_writer_that_is_gone_leaves_an_incomplete_answer(
    app: FastAPI,
    second: FastAPI,
    ann: Person,
    answer: Written,
    elsewhere: httpx2.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alive = await opened(ann.client, "/chats/key:kitchen")
    for one in (answer, alive):
        await one.chunk(0, "one ")
        await stored(app, one, 4)
    # Too old for the 40 seconds below, and not for the minute after which the service looks by itself.
    old = now() - timedelta(seconds=45)
    mine = col(StreamingMessage.user_id) == ann.user_id
    async with app.state.services.db.write() as session:
        await session.execute(update(StreamingMessage).where(mine).values(touched_at=old))
    # A word, even without text, says that its writer lives. Not every one is written down.
    monkeypatch.setattr(chunk_writer, "TOUCH_SECONDS", 0.0)
    assert await alive.chunk(4, "") == (4, 4)
    await stored(app, alive, 4, since=old)
    async with events(second, ann.headers, f"{answer.path}/stream") as stream:
        assert (await event(stream)).data["text"] == "one "
        await asyncio.gather(
            *(
                reaper.reap(one.state.services.streaming_messages.finalizer, one.state.services.pubsub, 40)
                for one in (app, second)
            )
        )
        last = await event(stream)
    message = await answer.read()
    assert (message["content"], message["status"]) == ("one ", "incomplete")
    assert (last.name, last.data) == ("incomplete", message)
    assert (await alive.read())["status"] == "in_progress"
    details = await answer.refused(4, "two", client=elsewhere)
    assert "too long" in details["detail"]
    problem(await answer.client.post(f"{answer.path}/complete", json={"offset": 4}), 409)


async def test_who_lost_the_turn_cannot_write_on(app: FastAPI, ann: Person) -> None:
    chat = f"/chats/{await ann.chat()}"
    lease = ok(await ann.client.post(f"{chat}/turn", json={"holder": "worker 1", "seconds": 60}))
    turn = {"Turn-Token": str(lease["token"])}
    answer = await opened(ann.client, chat, turn)
    await answer.chunk(0, "one ")
    await stored(app, answer, 4)
    ok(await ann.client.delete(f"{chat}/turn", headers=turn))
    ok(await ann.client.post(f"{chat}/turn", json={"holder": "worker 2", "seconds": 60}))
    async with asyncio.timeout(5):
        while (await ann.client.post(f"{answer.path}/chunks", json={"offset": 4, "text": "two"})).status_code == 202:
            await asyncio.sleep(0.05)
    assert (await answer.refused(4, "two"))["holder"] == "worker 2"
    problem(await ann.client.post(f"{answer.path}/complete", json={"offset": 4}), 409)
    assert (await answer.read())["status"] == "in_progress"
