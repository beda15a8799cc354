"""`GET /events`: the feed as Server-Sent Events."""

import asyncio
import time

import pytest
from fastapi import FastAPI

from app.changes import change_stream as stream_module
from app.events import sse as events_module
from app.events import streams
from app.events.pubsub import POLL_SECONDS
from app.settings import Settings
from tests.callers import ok, problem, started
from tests.people import Person
from tests.streams import events, socket


async def test_what_comes_first(app: FastAPI, ann: Person) -> None:
    await ann.chat()
    async with events(app, ann.headers) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["cache-control"] == "no-store"
        assert stream.headers["x-accel-buffering"] == "no"
        assert "content-length" not in stream.headers
        assert stream.headers["x-request-id"]
        assert await stream.block() == "retry: 1000"
        now = (await ann.changes(since="now"))["cursor"]
        # From now on: nothing of what was before.
        assert await stream.event() == {"type": "cursor", "cursor": now}
        assert stream.nothing_left()


async def test_changes_arrive_as_they_happen_and_as_they_are_read(app: FastAPI, ann: Person, bob: Person) -> None:
    async with events(app, ann.headers) as stream, events(app, bob.headers) as other:
        start = (await stream.event())["cursor"]
        assert (await other.event())["type"] == "cursor"
        chat = await ann.chat(title="Привет 🥚\n")
        await ann.say(chat, "one\n\ntwo\r\n", "three")
        got = await stream.events(3)
        ok(await ann.client.patch(f"/chats/{chat}", json={"title": "x"}))
        got += await stream.events(1)
        assert [change["type"] for change in got] == ["chat.created", *["message.appended"] * 2, "chat.updated"]
        assert got[1]["message"]["content"] == "one\n\ntwo\r\n"
        assert got[1:] == (await ann.changes(since=got[0]["cursor"]))["items"]
        assert (await ann.changes(since=start))["items"][0]["cursor"] == got[0]["cursor"]
        assert other.nothing_left()


async def test_it_resumes_after_the_last_event(app: FastAPI, ann: Person) -> None:
    chat = await ann.chat()
    await ann.say(chat, *"abcd")
    all_of_it = (await ann.changes())["items"]
    for place, change in enumerate(all_of_it):
        async with events(app, {**ann.headers, "Last-Event-ID": change["cursor"]}, since="start") as stream:
            assert await stream.event() == {"type": "cursor", "cursor": change["cursor"]}
            assert await stream.events(len(all_of_it) - place - 1) == all_of_it[place + 1 :]
            assert stream.nothing_left()
    async with events(app, ann.headers, since="start") as stream:
        assert (await stream.events(6))[1:] == all_of_it
    problem(await ann.client.get("/events", headers={"Last-Event-ID": "x"}), 400)
    problem(await ann.client.get("/events", params={"chat": "key:absent"}), 404)
    problem(await ann.client.get("/events", params={"since": "x" * 2000}), 422)


async def test_one_chat(app: FastAPI, ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "KEEP_ALIVE_SECONDS", 0.3)
    chat, other = await ann.chat(key="one"), await ann.chat()
    async with events(app, ann.headers, chat="key:one") as stream, events(app, ann.headers, chat=other) as second:
        await asyncio.gather(stream.event(), second.event())
        await ann.say(other, "a")
        await ann.say(chat, "b")
        assert (await stream.event())["message"]["content"] == "b"
        assert (await second.event())["message"]["content"] == "a"
        # The other one is told, after a while, how far it has come: it need not look at all that again.
        assert await second.event() == {"type": "cursor", "cursor": (await ann.changes(since="now"))["cursor"]}


async def test_a_sign_of_life(app: FastAPI, ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    assert streams.KEEP_ALIVE_SECONDS == 15
    monkeypatch.setattr(stream_module, "KEEP_ALIVE_SECONDS", 0.1)
    async with events(app, ann.headers) as stream:
        await stream.event()
        assert [await stream.block() for _ in range(3)] == [": still here"] * 3


async def test_a_listener_hears_what_another_process_writes(app: FastAPI, settings: Settings, ann: Person) -> None:
    async with started(settings) as second, events(second, ann.headers) as stream:
        await stream.event()
        waits = []
        chat = await ann.chat()
        for _ in range(5):
            await asyncio.sleep(0.2)
            began = time.monotonic()
            await ann.say(chat, "x")
            while (await stream.event())["type"] != "message.appended":
                pass
            waits.append(time.monotonic() - began)
        assert sorted(waits)[2] < POLL_SECONDS / 2, "found by looks, not heard"


async def test_a_thousand_changes_reach_thirty_listeners(app: FastAPI, ann: Person) -> None:
    chat = await ann.chat()
    opened = [events(app, ann.headers, **({"chat": chat} if number % 2 else {})) for number in range(30)]
    streams = [await one.__aenter__() for one in opened]
    await asyncio.gather(*(stream.event() for stream in streams))
    for _ in range(5):
        await asyncio.gather(*(ann.say(chat, *(str(n) for n in range(50))) for _ in range(4)))
    everything = await asyncio.gather(*(stream.events(1000) for stream in streams))
    for got in everything:
        assert [change["seq"] for change in got] == [*range(1, 1001)]
        assert got == everything[0]
    # What is kept for them all is bounded, and goes with the last of them.
    assert app.state.services.feed_cache.cached(ann.user_id) <= 200
    for one in opened:
        await one.__aexit__(None, None, None)
    assert app.state.services.feed_cache.cached(ann.user_id) == 0


async def test_what_is_deleted_is_not_shown_to_who_comes_late(app: FastAPI, ann: Person) -> None:
    chat = await ann.chat()
    async with events(app, ann.headers) as stream:
        start = (await stream.event())["cursor"]
        await ann.say(chat, "secret")
        assert (await stream.event())["message"]["content"] == "secret"
        ok(await ann.client.delete(f"/chats/{chat}/messages/1"))
        while (await stream.event())["type"] != "message.deleted":
            pass
        async with events(app, ann.headers, since=start) as late:
            while (await late.event())["type"] != "message.deleted":
                pass
            assert b"secret" not in late.body


async def test_a_slow_reader_is_cut_off_and_costs_nothing(
    app: FastAPI, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "SEND_TIMEOUT_SECONDS", 1.0)
    chat = await ann.chat()
    async with events(app, ann.headers) as stream:
        cursor = (await stream.event())["cursor"]
        stream.reading.clear()
        taken = len(stream.parts)
        for _ in range(20):
            await ann.say(chat, "x" * 100_000)
        assert not stream.ended.is_set()
        await asyncio.wait_for(stream.ended.wait(), 5)
        # One part was on its way; nothing else was kept for it, and the response has no end that it could take for one.
        stream.reading.set()
        await asyncio.sleep(0)
        assert len(stream.parts) <= taken + 1
        assert not stream.complete
        assert app.state.services.feed_cache.cached(ann.user_id) == 0
    async with events(app, {**ann.headers, "Last-Event-ID": cursor}) as stream:
        await stream.event()
        assert [change["seq"] for change in await stream.events(20)] == [*range(1, 21)]


async def test_a_large_event_goes_out_in_parts(app: FastAPI, ann: Person) -> None:
    chat = await ann.chat()
    async with events(app, ann.headers) as stream:
        await stream.event()
        await ann.say(chat, "é" * 300_000, "small", "small")
        got = await stream.events(3)
        assert [len(change["message"]["content"]) for change in got] == [300_000, 5, 5]
        assert max(map(len, stream.parts)) <= 65536


async def test_who_does_not_read_does_not_keep_the_service_from_stopping(settings: Settings, ann: Person) -> None:
    async with started(settings) as second, events(second, ann.headers) as stream, socket(second, ann.headers) as one:
        await asyncio.gather(stream.event(), one.message())
        stream.reading.clear()
        one.reading.clear()
        await ann.chat()
        await asyncio.sleep(0.3)
        second.state.services.pubsub.close_streams()
        await asyncio.wait_for(asyncio.gather(stream.ended.wait(), one.ended.wait()), 4)


async def test_streams_end_when_the_service_is_to_stop(settings: Settings, ann: Person) -> None:
    async with started(settings) as second, events(second, ann.headers) as stream:
        await stream.event()
        second.state.services.pubsub.close_streams()
        await asyncio.wait_for(stream.ended.wait(), 2)
        assert stream.complete
        # Who comes now is sent away politely: with an error, a browser would not come back.
        async with events(second, ann.headers) as late:
            assert late.status == 200
            assert (await late.event())["type"] == "cursor"
            await asyncio.wait_for(late.ended.wait(), 2)
            assert late.complete
