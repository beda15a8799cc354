"""Answers that are read while they grow: what is on disk, and all of it."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI

from tests.callers import Json, ok
from tests.people import Person
from tests.streaming.writing import EGG, MORE, Event, Written, event, stored, to_the_end
from tests.streams import Stream, events


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
