"""Answers that are written in chunks: each chunk once, in order, and nothing said to be on disk that is not."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlmodel import col

from app.db.timestamps import now
from app.http.errors import Overloaded
from app.models import Chunk, StreamingMessage
from app.settings import Settings
from app.streaming import chunk_writer, reaper
from tests.callers import Json, acting, ok, problem, started
from tests.people import Person
from tests.streaming.writing import Event, Written, event, lengths, opened, to_the_end
from tests.streams import Stream, events

EGG = "Eight minutes in boiling water, "
MORE = "then cold water 🥚 — and salt."


@pytest.fixture(scope="module")
async def second(settings: Settings) -> AsyncIterator[FastAPI]:
    """The service once more on the same database: another process, as far as that can tell."""
    async with started(settings) as made:
        yield made


@pytest.fixture
async def elsewhere(second: FastAPI, ann: Person) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `second` that acts for Ann too."""
    async with acting(second, ann.headers) as client:
        yield client


@pytest.fixture
async def answer(ann: Person) -> Written:
    """An answer of Ann's, with nothing in it yet."""
    return await opened(ann.client, "/chats/key:kitchen")


async def stored(app: FastAPI, answer: Written, length: int, since: datetime | None = None) -> None:
    """Waits until so much of an answer is on disk, and its writer was heard of since a moment."""
    message = answer.message
    mine = (col(StreamingMessage.chat_id) == message["chat_id"], col(StreamingMessage.seq) == message["seq"])
    async with asyncio.timeout(5):
        while True:
            async with app.state.services.db.read() as session:
                row = (await session.execute(select(StreamingMessage).where(*mine))).scalar_one()
                if row.stored == length and (since is None or row.touched_at > since):
                    return
            await asyncio.sleep(0.01)


async def leftovers(app: FastAPI, answer: Written) -> int:
    """How many rows there are of an answer besides its message."""
    found = 0
    async with app.state.services.db.read() as session:
        for table in (StreamingMessage, Chunk):
            rows = select(table).where(col(table.chat_id) == answer.message["chat_id"])
            found += len((await session.execute(rows)).all())
    return found


async def test_an_answer_from_its_first_word_to_its_last(app: FastAPI, ann: Person) -> None:
    answer = await opened(ann.client, "/chats/key:kitchen", content="Well: ", model="gpt-5")
    assert answer.message["status"] == "in_progress"
    before = ok(await ann.client.get("/chats/key:kitchen"))
    assert (await answer.chunk(6, EGG))[0] == 6 + len(EGG)
    assert await answer.chunk(6 + len(EGG), MORE) >= (6 + len(EGG) + len(MORE), 6)
    whole = f"Well: {EGG}{MORE}"
    message = await answer.complete(len(whole), output_tokens=9, input_tokens=12, metadata={"a": 1})
    assert message == {
        **answer.message,
        "content": whole,
        "status": "completed",
        "output_tokens": 9,
        "input_tokens": 12,
        "metadata": {"a": 1},
    }
    assert await answer.read() == message
    after = ok(await ann.client.get("/chats/key:kitchen"))
    assert after["version"] == before["version"] + 1
    assert [after[name] - before[name] for name in ("message_count", "output_tokens", "total_tokens")] == [0, 9, 21]
    assert await leftovers(app, answer) == 0
    assert (await ann.changes())["items"][-1]["type"] == "message.edited"
    assert (await ann.changes())["items"][-1]["message"] == message


async def test_what_is_sent_again_is_there_once(answer: Written) -> None:
    for text in ("one ", "one ", "two ", "two "):
        assert (await answer.chunk(0 if text == "one " else 4, text))[0] == (4 if text == "one " else 8)
    assert (await answer.chunk(0, "one two "))[0] == 8
    assert (await answer.chunk(2, "e two three"))[0] == 13
    assert (await answer.complete(13))["content"] == "one two three"


async def test_a_chunk_that_does_not_fit_is_told_where_to_go_on(app: FastAPI, answer: Written) -> None:
    await answer.chunk(0, "one ")
    await stored(app, answer, 4)
    details = await answer.refused(5, "two")
    assert lengths(details) == (4, 4)
    assert lengths(await answer.refused(0, "ONE ")) == (4, 4)
    assert await answer.chunk(4, "") == (4, 4)
    assert (await answer.complete(4))["content"] == "one "


async def test_a_chunk_waits_for_the_one_before(answer: Written) -> None:
    later = asyncio.create_task(answer.chunk(4, "two"))
    await asyncio.sleep(0.05)
    assert (await answer.chunk(0, "one "))[0] == 4
    assert (await later)[0] == 7


async def test_offsets_count_characters(app: FastAPI, answer: Written) -> None:
    text = "🥚é\u0301漢🇩🇪\u2028"
    assert (await answer.chunk(0, text))[0] == len(text) == 7
    await stored(app, answer, len(text))
    assert lengths(await answer.refused(len(text.encode()), "x")) == (len(text), len(text))
    assert (await answer.complete(len(text)))["content"] == text


async def test_chunks_of_one_answer_through_two_processes(
    answer: Written, ann: Person, elsewhere: httpx2.AsyncClient
) -> None:
    text, offset = "".join(f"{number} " for number in range(100)), 0

    async def send(begin: int, client: httpx2.AsyncClient) -> int:
        # Where the process before it is slow to write its chunk, this one is refused, and to be sent again.
        for _ in range(100):
            said = await client.post(f"{answer.path}/chunks", json={"offset": begin, "text": text[begin : begin + 10]})
            if said.status_code == 202:
                break
            assert said.status_code == 409
            await asyncio.sleep(0.05)
        received: int = said.json()["received"]
        return received

    for number, begin in enumerate(range(0, len(text), 10)):
        client, other = (ann.client, elsewhere) if number % 2 else (elsewhere, ann.client)
        offset = await send(begin, client)
        if number % 5 == 0:
            await send(begin, other)
    assert offset == len(text)
    assert (await answer.complete(len(text)))["content"] == text


async def test_two_writers_at_once_never_tear_a_text(
    answer: Written, ann: Person, elsewhere: httpx2.AsyncClient
) -> None:
    text = "".join(f"{number} " for number in range(300))

    async def write(client: httpx2.AsyncClient, step: int) -> None:
        offset = 0
        while offset < len(text):
            body = {"offset": offset, "text": text[offset : offset + step]}
            said = await client.post(f"{answer.path}/chunks", json=body)
            assert said.status_code in (202, 409)
            offset = said.json()["received"]

    await asyncio.gather(write(ann.client, 13), write(elsewhere, 29), write(elsewhere, 7))
    assert (await answer.complete(len(text)))["content"] == text


async def test_two_writers_that_differ_leave_the_text_of_one(
    answer: Written, ann: Person, elsewhere: httpx2.AsyncClient
) -> None:
    # Both know the answer as empty, and write at once.
    await asyncio.gather(answer.chunk(0, "", ann.client), answer.chunk(0, "", elsewhere))
    await asyncio.gather(answer.chunk(0, "a" * 20, ann.client), answer.chunk(0, "b" * 30, elsewhere))
    await asyncio.sleep(0.4)
    content = (await problem_or_message(answer, 20)) or (await problem_or_message(answer, 30))
    assert content in ("a" * 20, "b" * 30)


async def problem_or_message(answer: Written, offset: int) -> str | None:
    """The content of an answer that was completed at this length; None if it does not have it."""
    said = await answer.client.post(f"{answer.path}/complete", json={"offset": offset})
    return said.json()["content"] if said.status_code == 200 else None


async def test_lines_are_taken_as_they_come(app: FastAPI, answer: Written) -> None:
    sent = asyncio.Event()

    async def lines() -> AsyncIterator[bytes]:
        yield b'{"offset": 0, "text": "one "}\n\n{"offset": 4, "te'
        yield b'xt": "two "}\n'
        await stored(app, answer, 8)
        sent.set()
        yield b'{"offset": 4, "text": "two three"}'

    headers = {"Content-Type": "application/x-ndjson; charset=utf-8"}
    said = await answer.client.post(f"{answer.path}/chunks", content=lines(), headers=headers)
    assert sent.is_set()
    assert said.status_code == 202
    assert said.json()["received"] == 13
    bad = await answer.client.post(f"{answer.path}/chunks", content=b'{"offset": 20, "text": "x"}\n', headers=headers)
    assert lengths(problem(bad, 409))[0] == 13
    for line in (b"{}", b"x", b'{"offset": 13, "text": "\\u0000"}', b"[]", b'{"offset": 13, "text": "x"'):
        problem(await answer.client.post(f"{answer.path}/chunks", content=line, headers=headers), 422)
    assert (await answer.complete(13))["content"] == "one two three"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"offset": 0},
        {"text": "x"},
        {"offset": -1, "text": "x"},
        {"offset": 2**31, "text": "x"},
        {"offset": 0.0, "text": "x"},
        {"offset": "0", "text": "x"},
        {"offset": True, "text": "x"},
        {"offset": 0, "text": None},
        {"offset": 0, "text": "x" * 65_537},
        {"offset": 0, "text": "x", "more": 1},
    ],
)
async def test_what_is_no_chunk_is_refused(answer: Written, body: Json) -> None:
    details = problem(await answer.client.post(f"{answer.path}/chunks", json=body), 422)
    assert details["errors"]
    assert (await answer.chunk(0, "y" * 65_536))[0] == 65_536


async def test_an_answer_has_an_end(
    ann: Person, app: FastAPI, answer: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.state.services.streaming_messages.chunk_writer, "_max_length", 10)
    await answer.chunk(0, "x" * 10)
    await answer.refused(10, "x", 413)
    assert (await answer.complete(10))["content"] == "x" * 10


async def test_what_waits_for_the_disk_is_bounded(
    app: FastAPI, answer: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.state.services.streaming_messages.chunk_writer, "_buffer_bytes", 1)
    # One that finds room is taken whole.
    taken = 0
    for _ in range(20):
        said = await answer.client.post(f"{answer.path}/chunks", json={"offset": taken, "text": "x" * 100})
        if said.status_code == 503:
            break
        taken += 100
    assert problem(said, 503)
    assert said.headers["Retry-After"] == "1"
    await stored(app, answer, taken)
    assert (await answer.chunk(taken, "y"))[0] == taken + 1


async def test_what_the_disk_refuses_is_kept_and_tried_again(
    app: FastAPI, answer: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = app.state.services.streaming_messages.store.write
    monkeypatch.setattr(chunk_writer, "RETRY_SECONDS", 0.05)

    async def write(group: Any) -> Any:
        raise Overloaded

    monkeypatch.setattr(app.state.services.streaming_messages.store, "write", write)
    assert await answer.chunk(0, "one ") == (4, 0)
    await asyncio.sleep(2 * chunk_writer.FLUSH_SECONDS)
    await answer.refused(4, "two", 503)
    problem(await answer.client.post(f"{answer.path}/complete", json={"offset": 4}), 503)
    monkeypatch.setattr(app.state.services.streaming_messages.store, "write", kept)
    await stored(app, answer, 4)
    assert (await answer.chunk(4, "two"))[0] == 7
    assert (await answer.complete(7))["content"] == "one two"


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
    old = now() - timedelta(seconds=61)
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
                reaper.reap(one.state.services.streaming_messages.finalizer, one.state.services.pubsub, 60)
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


async def test_reading_along(app: FastAPI, second: FastAPI, ann: Person, answer: Written) -> None:
    path = f"{answer.path}/stream"
    await answer.chunk(0, EGG)
    async with events(app, ann.headers, path) as here, events(second, ann.headers, path) as there:
        assert here.headers["content-type"].startswith("text/event-stream")
        assert here.headers["cache-control"] == "no-store"
        readers = [asyncio.create_task(to_the_end(one)) for one in (here, there)]
        await asyncio.sleep(0.1)
        for number, character in enumerate(MORE):
            await answer.chunk(len(EGG) + number, character)
            if number % 10 == 0:
                await asyncio.sleep(0.05)
        message = await answer.complete(len(EGG + MORE))
        for reader in readers:
            text, last = await reader
            assert text == EGG + MORE
            assert (last.name, last.data) == ("done", message)
        for stream in (here, there):
            await asyncio.wait_for(stream.ended.wait(), 5)
            assert stream.complete
    # One that comes back, and one that was never there.
    headers = {**ann.headers, "Last-Event-ID": "10"}
    async with events(second, headers, path) as back, events(app, ann.headers, path, offset="20") as late:
        assert (await to_the_end(back, 10))[0] == (EGG + MORE)[10:]
        assert (await to_the_end(late, 20))[0] == (EGG + MORE)[20:]
        assert last.id is not None
    async with events(app, {**ann.headers, "Last-Event-ID": last.id}, path) as done:
        # Browsers come back until they are told not to.
        assert done.status == 204


async def test_only_what_is_on_disk_is_read(
    app: FastAPI, ann: Person, answer: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = app.state.services.streaming_messages.store.write
    held = asyncio.Event()

    async def write(group: Any) -> Any:
        await held.wait()
        return await kept(group)

    monkeypatch.setattr(app.state.services.streaming_messages.store, "write", write)
    async with events(app, ann.headers, f"{answer.path}/stream") as stream:
        assert await stream.block()
        assert await answer.chunk(0, "one ") == (4, 0)
        await asyncio.sleep(0.3)
        assert stream.nothing_left()
        held.set()
        assert (await event(stream)).data == {"offset": 0, "text": "one "}


async def test_any_message_can_be_replayed(app: FastAPI, ann: Person) -> None:
    chat = await ann.chat()
    long = "".join(f"{number} " for number in range(40_000))
    (message, other) = await ann.say(chat, long, "Hello")
    async with events(app, ann.headers, f"/chats/{chat}/messages/1/stream") as stream:
        assert await to_the_end(stream) == (long, event_of(message))
    async with events(app, ann.headers, f"/chats/{chat}/messages/2/stream", offset="99") as stream:
        assert await to_the_end(stream, 99) == ("", event_of(other))


def event_of(message: Json) -> Event:
    """The last event of a message's stream."""
    return Event("done", "end", message)


async def test_a_reader_that_fell_behind_reads_it_all(
    app: FastAPI, ann: Person, answer: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.streaming.tail_buffer.MAX_CHARACTERS", 50)
    text = "".join(f"{number} " for number in range(500))
    async with events(app, ann.headers, f"{answer.path}/stream") as slow:
        slow.reading.clear()
        async with events(app, ann.headers, f"{answer.path}/stream") as quick:
            reader = asyncio.create_task(to_the_end(quick))
            for begin in range(0, len(text), 200):
                await answer.chunk(begin, text[begin : begin + 200])
                await stored(app, answer, min(len(text), begin + 200))
            slow.reading.set()
            await answer.complete(len(text))
            assert (await reader)[0] == text
            assert (await to_the_end(slow))[0] == text


async def test_another_text_in_the_end_is_in_the_last_event(app: FastAPI, ann: Person, answer: Written) -> None:
    await answer.chunk(0, "one [1]")
    async with events(app, ann.headers, f"{answer.path}/stream") as stream:
        assert (await event(stream)).data["text"] == "one [1]"
        message = ok(await ann.client.post(f"{answer.path}/complete", json={"content": "one (see there)"}))
        assert await event(stream) == event_of(message)


async def test_a_silent_stream_says_that_it_lives(
    app: FastAPI, ann: Person, answer: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.streaming.sse.KEEP_ALIVE_SECONDS", 0.05)
    async with events(app, ann.headers, f"{answer.path}/stream") as stream:
        blocks = [await stream.block() for _ in range(3)]
        assert blocks[1:] == [": still here"] * 2


async def test_a_revoked_key_reads_and_writes_no_more(
    app: FastAPI, ann: Person, answer: Written, admin: Json, client: httpx2.AsyncClient
) -> None:
    asked = {"name": "k", "user_id": ann.user_id, "scopes": ["chats:read", "chats:write"]}
    key = ok(await client.post("/admin/api-keys", json=asked, headers=admin))
    headers = {"Authorization": f"Bearer {key['key']}"}

    async def lines() -> AsyncIterator[bytes]:
        yield b'{"offset": 0, "text": "one "}\n'
        await asyncio.sleep(60)
        yield b'{"offset": 4, "text": "two"}\n'

    async with events(app, headers, f"{answer.path}/stream") as stream, acting(app, headers) as writer:
        ndjson = {"Content-Type": "application/x-ndjson"}
        writing = asyncio.create_task(writer.post(f"{answer.path}/chunks", content=lines(), headers=ndjson))
        assert (await event(stream)).data["text"] == "one "
        ok(await client.delete(f"/admin/api-keys/{key['key_id']}", headers=admin))
        async with asyncio.timeout(5):
            problem(await writing, 401)
            await stream.ended.wait()


async def test_readers_hold_no_connection(app: FastAPI, ann: Person, answer: Written) -> None:
    async with asyncio.timeout(20):
        streams: list[Any] = [events(app, ann.headers, f"{answer.path}/stream") for _ in range(60)]
        opened_streams: list[Stream] = [await one.__aenter__() for one in streams]
        try:
            await answer.chunk(0, "one ")
            for stream in opened_streams:
                assert (await event(stream)).data["text"] == "one "
            ok(await ann.client.get("/chats"))
        finally:
            for one in streams:
                await one.__aexit__(None, None, None)
