"""`WS /ws` and `POST /tickets`."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlmodel import col

from app.changes import change_stream as stream_module
from app.changes import websocket as websocket_module
from app.jobs import housekeeping
from app.models import Ticket
from app.settings import Settings
from tests.callers import Json, acting, ok, problem, started
from tests.people import Person
from tests.streams import socket


async def ticket(person: Person) -> str:
    """A new ticket."""
    made: str = ok(await person.client.post("/tickets"))["ticket"]
    return made


async def close_code(app: FastAPI, headers: Json, **query: str) -> int | None:
    """The code with which a socket is closed at once."""
    async with socket(app, headers, **query) as one:
        await one.closed()
        assert one.accepted
        assert one.code is None or one.reason or one.code == 1011
        return one.code


async def test_the_same_changes_as_by_http(app: FastAPI, ann: Person) -> None:
    async with socket(app, {}, ticket=await ticket(ann)) as one:
        first = await one.message()
        assert first == {"type": "cursor", "cursor": (await ann.changes(since="now"))["cursor"]}
        chat = await ann.chat()
        await ann.say(chat, "a", "Привет\n")
        ok(await ann.client.delete(f"/chats/{chat}/messages/1"))
        expected = (await ann.changes(since=first["cursor"]))["items"]
        got = await one.messages(len(expected))
        assert [change["cursor"] for change in got] == [change["cursor"] for change in expected]
        assert got[-1] == expected[-1]
        # What a client says is not looked at.
        one.outgoing.put_nowait({"type": "websocket.receive", "text": "hello"})
        one.outgoing.put_nowait({"type": "websocket.receive", "bytes": b"\xff"})
        await ann.say(chat, "b")
        assert (await one.message())["message"]["content"] == "b"
    # Not from a browser: with the header, as anywhere else.
    async with socket(app, ann.headers, since=got[0]["cursor"]) as one:
        assert (await one.message())["cursor"] == got[0]["cursor"]
        assert (await one.message())["cursor"] == got[1]["cursor"]


async def test_one_chat(app: FastAPI, ann: Person) -> None:
    chat, other = await ann.chat(key="k:/1"), await ann.chat()
    async with socket(app, ann.headers, chat="key:k:/1") as one:
        await one.message()
        await ann.say(other, "a")
        await ann.say(chat, "b")
        assert (await one.message())["message"]["content"] == "b"


async def test_a_ticket_is_good_once(app: FastAPI, settings: Settings, ann: Person) -> None:
    answer = await ann.client.post("/tickets")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    made = answer.json()
    assert datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC) < timedelta(seconds=30)
    # In any process.
    async with started(settings) as second, socket(second, {}, ticket=made["ticket"]) as one:
        assert (await one.message())["type"] == "cursor"
        for process in (app, second):
            assert await close_code(process, {}, ticket=made["ticket"]) == 4401
        await ann.chat()
        assert (await one.message())["type"] == "chat.created"


async def test_of_many_at_once_one_gets_in(app: FastAPI, ann: Person) -> None:
    made = await ticket(ann)

    refused, enough = 0, asyncio.Event()

    async def attempt() -> int | None:
        nonlocal refused
        async with socket(app, {}, ticket=made) as one:
            ending = [asyncio.create_task(event.wait()) for event in (one.ended, enough)]
            await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED, timeout=60)
            for task in ending:
                task.cancel()
            refused += one.ended.is_set()
            if refused == 7:
                enough.set()
            return one.code

    codes = await asyncio.gather(*(attempt() for _ in range(8)))
    assert sorted(code or 0 for code in codes) == [0] + [4401] * 7


async def test_an_old_ticket_is_worth_nothing(app: FastAPI, ann: Person) -> None:
    old, unused = await ticket(ann), await ticket(ann)
    own = col(Ticket.user_id) == ann.user_id
    async with app.state.services.db.write() as session:
        await session.execute(update(Ticket).where(own).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert await close_code(app, {}, ticket=old) == 4401
    await housekeeping.run_pass(app.state.services.db)
    async with app.state.services.db.read() as session:
        assert (await session.execute(select(col(Ticket.sha256)).where(own))).all() == []
    assert await close_code(app, {}, ticket=unused) == 4401


async def test_a_ticket_is_not_stored(app: FastAPI, ann: Person) -> None:
    made = await ticket(ann)
    async with app.state.services.db.read() as session:
        rows = (await session.execute(select(Ticket).where(col(Ticket.user_id) == ann.user_id))).scalars().all()
    assert made not in str([row.model_dump() for row in rows])


async def test_a_retry_gets_the_same_ticket(app: FastAPI, ann: Person, admin: Json) -> None:
    again = {"Idempotency-Key": "t"}
    first, second = [await ann.client.post("/tickets", headers=again) for _ in range(2)]
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    key = ok(
        await ann.client.post(
            "/admin/api-keys",
            headers={"X-User-Id": ann.user_id},
            json={"name": "k", "user_id": ann.user_id, "scopes": ["chats:read"]},
        )
    )["key"]
    async with acting(app, {"Authorization": f"Bearer {key}"}) as other:
        problem(await other.post("/tickets", headers=again), 409)
    async with socket(app, {}, ticket=first.json()["ticket"]) as one:
        assert (await one.message())["type"] == "cursor"


async def test_what_is_wrong_is_said_by_the_code(app: FastAPI, ann: Person, bob: Person, admin: Json) -> None:
    assert await close_code(app, {}) == 4401
    assert await close_code(app, {"Authorization": "Bearer x"}) == 4401
    assert await close_code(app, {}, ticket="x") == 4401
    assert await close_code(app, {}, ticket="\udc80 é\0"[1:]) == 4401
    assert await close_code(app, admin) == 4400
    assert await close_code(app, ann.headers, since="x") == 4400
    assert await close_code(app, ann.headers, chat=await bob.chat()) == 4404
    assert await close_code(app, ann.headers, chat="x") == 4404
    assert await close_code(app, ann.headers, since="x" * 2000) == 4422
    assert await close_code(app, ann.headers, since=app.state.services.feed_cache.reader(ann.user_id).cursor(5)) == 4410
    made = ok(await ann.client.post("/admin/api-keys", json={"name": "k", "user_id": "u", "scopes": ["chats:write"]}))
    assert await close_code(app, {"Authorization": f"Bearer {made['key']}"}) == 4403


async def test_a_defect_says_nothing_of_itself(app: FastAPI, ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("secret")

    monkeypatch.setattr(stream_module.ChangeStream, "open", broken)
    async with socket(app, ann.headers) as one:
        await one.closed()
        assert (one.code, one.reason) == (1011, "")


async def test_a_slow_reader_is_cut_off(app: FastAPI, ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_module, "SEND_TIMEOUT_SECONDS", 0.5)
    chat = await ann.chat()
    async with socket(app, ann.headers) as one:
        await one.message()
        one.reading.clear()
        await ann.say(chat, "a")
        await asyncio.wait_for(one.ended.wait(), 5)
        assert one.code is None  # it would not take that either
        assert app.state.services.feed_cache.cached(ann.user_id) == 0


async def test_it_ends_when_the_service_is_to_stop(settings: Settings, ann: Person) -> None:
    async with started(settings) as second, socket(second, ann.headers) as one:
        await one.message()
        second.state.services.pubsub.close_streams()
        assert (await one.closed()).code == 1012


async def test_a_cursor_now_and_then_where_other_chats_change(
    app: FastAPI, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "KEEP_ALIVE_SECONDS", 0.2)
    chat = await ann.chat()
    async with socket(app, ann.headers, chat=chat) as one:
        before = await one.message()
        await ann.say(await ann.chat(), "elsewhere")
        now = (await ann.changes(since="now"))["cursor"]
        moved = before
        while moved["cursor"] != now:
            moved = await one.message()
            assert moved["type"] == "cursor"
        assert moved != before


async def test_an_origin_gives_no_rights(app: FastAPI, ann: Person) -> None:
    """A page of another site can open a socket here, but nothing goes with it that would let it in."""
    headers = {"Origin": "https://evil.example", "Cookie": f"ticket={await ticket(ann)}; session=x"}
    assert await close_code(app, headers) == 4401


async def test_a_ticket_without_the_scope(app: FastAPI, client: httpx2.AsyncClient, admin: Json) -> None:
    made = ok(
        await client.post(
            "/admin/api-keys", headers=admin, json={"name": "k", "user_id": "u", "scopes": ["chats:write"]}
        )
    )
    problem(await client.post("/tickets", headers={"Authorization": f"Bearer {made['key']}"}), 403)
