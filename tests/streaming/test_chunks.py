"""Answers that are written in chunks: each chunk once, in order, and nothing said to be on disk that is not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from app.http.errors import Overloaded
from app.streaming import chunk_writer
from tests.callers import Json, acting, ok, problem
from tests.people import Person
from tests.streaming.writing import EGG, MORE, Written, event, leftovers, lengths, opened, stored
from tests.streams import events


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
    assert await answer.chunk_in_the_end(taken, "y") == taken + 1


async def test_what_the_disk_refuses_is_kept_and_tried_again(
    app: FastAPI, answer: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = app.state.services.streaming_messages.store.write
    monkeypatch.setattr(chunk_writer, "RETRY_SECONDS", 0.05)

    async def write(group: Any) -> Any:
        raise Overloaded

    monkeypatch.setattr(app.state.services.streaming_messages.store, "write", write)
    # Taken, whether the disk has refused it by now or not yet.
    first = await answer.client.post(f"{answer.path}/chunks", json={"offset": 0, "text": "one "})
    assert first.status_code in (202, 503)
    async with asyncio.timeout(30):
        while not app.state.services.streaming_messages.chunk_writer._failures:
            await asyncio.sleep(0.01)
    await answer.refused(4, "two", 503)
    problem(await answer.client.post(f"{answer.path}/complete", json={"offset": 4}), 503)
    monkeypatch.setattr(app.state.services.streaming_messages.store, "write", kept)
    await stored(app, answer, 4)
    assert await answer.chunk_in_the_end(4, "two") == 7
    assert (await answer.complete(7))["content"] == "one two"


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
