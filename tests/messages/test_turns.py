"""One writer per turn: who holds a chat's turn writes, nobody else does, and who lost it cannot write any more."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from sqlmodel import col

from app.chats.lease import release_lease
from app.chats.store import ChatStore
from app.db.timestamps import now
from app.http.references import ChatRef
from app.models import Chat
from tests.callers import Json, every_item, ok, problem
from tests.tables import stored

HELLO: Json = {"role": "user", "content": "Hello"}
ANSWER: Json = {"role": "assistant", "content": "Hi!"}
CALL: Json = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f"}}]}
Send = Callable[[httpx2.AsyncClient, str, Json], Awaitable[httpx2.Response]]

# What is refused while somebody else holds the turn: each changes where the next message goes.
WRITES: dict[str, Send] = {
    "append": lambda c, path, h: c.post(f"{path}/messages", json=HELLO, headers=h),
    "append at the head": lambda c, path, h: c.post(f"{path}/messages", json={**HELLO, "parent": 3}, headers=h),
    "append a batch": lambda c, path, h: c.post(f"{path}/messages", json={"messages": [HELLO, ANSWER]}, headers=h),
    "begin a branch": lambda c, path, h: c.post(f"{path}/messages", json={**HELLO, "parent": 1}, headers=h),
    "begin a branch with a batch": lambda c, path, h: c.post(
        f"{path}/messages", json={"messages": [HELLO, ANSWER], "parent": None}, headers=h
    ),
    "open an answer": lambda c, path, h: c.post(
        f"{path}/messages", json={"role": "assistant", "status": "in_progress"}, headers=h
    ),
    "pop": lambda c, path, h: c.post(f"{path}/messages/pop", headers=h),
    "clear": lambda c, path, h: c.delete(f"{path}/messages", headers=h),
    "replace the conversation": lambda c, path, h: c.put(path, json={"conversation": [HELLO]}, headers=h),
    "move the head": lambda c, path, h: c.patch(path, json={"head": 1}, headers=h),
    "repair": lambda c, path, h: c.post(f"{path}/repair", headers=h),
}
# What goes on beside a turn, and is refused only where it says that it belongs to one that is over.
BESIDE: dict[str, Send] = {
    "edit": lambda c, path, h: c.patch(f"{path}/messages/2", json={"content": "Salut!"}, headers=h),
    "delete": lambda c, path, h: c.delete(f"{path}/messages/2", headers=h),
    "change details": lambda c, path, h: c.patch(path, json={"title": "t"}, headers=h),
    "replace details": lambda c, path, h: c.put(path, json={"title": "t"}, headers=h),
}
every_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
beside = pytest.mark.parametrize("write", BESIDE.values(), ids=BESIDE)


@pytest.fixture
async def path(me: httpx2.AsyncClient) -> str:
    """The path of a chat of mine with three messages."""
    answer = await me.post("/chats", json={"key": "k", "conversation": [HELLO, ANSWER, HELLO]})
    return answer.headers["Location"]


async def taken(me: httpx2.AsyncClient, path: str, **body: Any) -> Json:
    """The headers that show a turn that was just taken."""
    return shown(ok(await me.post(f"{path}/turn", json=body))["token"])


def shown(token: Any) -> Json:
    """The headers that show a token."""
    return {"Turn-Token": str(token)}


async def end(app: FastAPI, path: str) -> None:
    """Lets the time of a chat's turn be over."""
    mine = col(Chat.chat_id) == path.rpartition("/")[2]
    async with app.state.services.db.write() as session:
        await session.execute(update(Chat).where(mine, col(Chat.lease_until) > now()).values(lease_until=now()))


async def written(me: httpx2.AsyncClient, path: str) -> list[Json]:
    """Every message of a chat, of all its branches."""
    return await every_item(me, f"{path}/messages", tree="true")


async def test_a_turn_is_taken_and_ends(me: httpx2.AsyncClient, path: str) -> None:
    nobody = {"holder": None, "until": None}
    assert ok(await me.get(f"{path}/turn")) == nobody
    answer = await me.post(f"{path}/turn", json={"holder": "worker-1", "seconds": 30})
    turn = answer.json()
    assert (answer.status_code, turn["holder"]) == (201, "worker-1")
    left = datetime.fromisoformat(turn["until"]) - datetime.now(UTC)
    assert timedelta(seconds=20) < left <= timedelta(seconds=30)
    said = {"holder": "worker-1", "until": turn["until"]}
    assert ok(await me.get(f"{path}/turn")) == said
    refused = problem(await me.post(f"{path}/turn", json={"holder": "worker-2"}), 409)
    assert {name: refused[name] for name in said} == said
    assert "token" not in refused
    assert (await me.delete(f"{path}/turn", headers=shown(turn["token"]))).status_code == 204
    assert ok(await me.get(f"{path}/turn")) == nobody
    again = ok(await me.post(f"{path}/turn"))
    assert again["token"] > turn["token"]
    assert again["holder"] == "admin-key"


@every_write
async def test_while_it_is_held_only_its_holder_writes(
    app: FastAPI, me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, path: str, write: Send
) -> None:
    mine = await taken(me, path, holder="worker-1")
    before = await stored(app, me.headers["X-User-Id"])
    token = int(mine["Turn-Token"])
    for headers in ({}, shown(1), shown(token - 1), shown(token + 1), shown(2**53)):
        for client in (me, me_too):
            refused = problem(await write(client, path, headers), 409)
            assert refused["holder"] == "worker-1"
            assert refused["until"] > refused["until"][:4]
    assert await stored(app, me.headers["X-User-Id"]) == before
    ok(await write(me_too, path, mine))


@every_write
async def test_by_its_key_too(me: httpx2.AsyncClient, path: str, write: Send) -> None:
    mine = await taken(me, path)
    problem(await write(me, "/chats/key:k", {}), 409)
    ok(await write(me, "/chats/key:k", mine))


@every_write
async def test_a_turn_that_is_over_is_refused_though_nobody_took_another(
    app: FastAPI, me: httpx2.AsyncClient, path: str, write: Send
) -> None:
    over = await taken(me, path)
    ok(await me.delete(f"{path}/turn", headers=over))
    expired = await taken(me, path)
    await end(app, path)
    before = await stored(app, me.headers["X-User-Id"])
    for headers in (over, expired):
        assert "holder" not in problem(await write(me, path, headers), 409)
    assert await stored(app, me.headers["X-User-Id"]) == before
    ok(await write(me, path, {}))


@every_write
async def test_a_chat_without_turns_takes_no_token(me: httpx2.AsyncClient, path: str, write: Send) -> None:
    problem(await write(me, path, shown(1)), 409)
    ok(await write(me, path, {}))


@beside
async def test_what_goes_on_beside_a_turn(app: FastAPI, me: httpx2.AsyncClient, path: str, write: Send) -> None:
    over = await taken(me, path)
    await end(app, path)
    mine = await taken(me, path)
    before = await stored(app, me.headers["X-User-Id"])
    problem(await write(me, path, over), 409)
    assert await stored(app, me.headers["X-User-Id"]) == before
    ok(await write(me, path, {}))
    ok(await me.post(f"{path}/messages", json=HELLO, headers=mine))


async def test_in_a_chat_with_branches_too(
    app: FastAPI, me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, path: str
) -> None:
    ok(await me.post(f"{path}/messages", json={**HELLO, "parent": 1}))
    for head in (2, 4):
        # At the last message of a line, and in the middle of one.
        ok(await me.patch(path, json={"head": head}))
        mine = await taken(me, path)
        for client in (me, me_too):
            problem(await client.post(f"{path}/messages", json=HELLO), 409)
            problem(await client.post(f"{path}/messages", json={"messages": [HELLO]}, headers=shown(1)), 409)
        ok(await me_too.post(f"{path}/messages", json=HELLO, headers=mine))
        ok(await me.delete(f"{path}/turn", headers=mine))
        problem(await me.post(f"{path}/messages", json=HELLO, headers=mine), 409)


async def test_the_clock_ends_a_turn(me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, path: str) -> None:
    mine = await taken(me, path, seconds=1)
    ok(await me.post(f"{path}/messages", json=HELLO, headers=mine))
    problem(await me_too.post(f"{path}/turn"), 409)
    await asyncio.sleep(1.1)
    assert ok(await me.get(f"{path}/turn")) == {"holder": None, "until": None}
    for write in WRITES.values():
        problem(await write(me, path, mine), 409)
    problem(await me.patch(f"{path}/turn", headers=mine), 409)
    ok(await me_too.post(f"{path}/turn"))


async def test_a_turn_is_held_for_longer(app: FastAPI, me: httpx2.AsyncClient, path: str) -> None:
    turn = ok(await me.post(f"{path}/turn", json={"holder": "w", "seconds": 5}))
    mine = shown(turn["token"])
    renewed = ok(await me.patch(f"{path}/turn", json={"seconds": 600}, headers=mine))
    assert renewed == {**turn, "until": renewed["until"]}
    assert renewed["until"] > turn["until"]
    assert ok(await me.get(f"{path}/turn")) == {"holder": "w", "until": renewed["until"]}
    assert ok(await me.patch(f"{path}/turn", headers=mine))["until"] < renewed["until"]
    problem(await me.patch(f"{path}/turn", headers=shown(turn["token"] + 1)), 409)
    await end(app, path)
    assert "holder" not in problem(await me.patch(f"{path}/turn", headers=mine), 409)
    ok(await me.post(f"{path}/turn", json={"holder": "x"}))
    assert problem(await me.patch(f"{path}/turn", headers=mine), 409)["holder"] == "x"


async def test_who_lost_it_ends_nobody_elses(app: FastAPI, me: httpx2.AsyncClient, path: str) -> None:
    lost = await taken(me, path)
    await end(app, path)
    mine = await taken(me, path, holder="me")
    for headers in (lost, lost, shown(2**53)):
        assert (await me.delete(f"{path}/turn", headers=headers)).status_code == 204
    assert ok(await me.get(f"{path}/turn"))["holder"] == "me"
    ok(await me.post(f"{path}/messages", json=HELLO, headers=mine))


async def test_of_twenty_at_once_one_gets_it(me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, path: str) -> None:
    tokens = [0]
    for _ in range(5):
        answers = await asyncio.gather(
            *(
                (me, me_too)[n % 2].post(f"{(path, '/chats/key:k')[n % 3 == 0]}/turn", json={"holder": f"worker-{n}"})
                for n in range(20)
            )
        )
        (won,) = [answer.json() for answer in answers if answer.status_code == 201]
        lost = [problem(answer, 409) for answer in answers if answer.status_code != 201]
        assert {(one["holder"], one["until"]) for one in lost} == {(won["holder"], won["until"])}
        tokens.append(won["token"])
        ok(await me.delete(f"{path}/turn", headers=shown(won["token"])))
    assert tokens == sorted(set(tokens))


async def test_a_retry_gets_the_same_token(
    app: FastAPI, me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, path: str
) -> None:
    idempotency = {"Idempotency-Key": "1"}
    answers = await asyncio.gather(
        *((me, me_too)[n % 2].post(f"{path}/turn", json={"holder": "w"}, headers=idempotency) for n in range(10))
    )
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 9
    problem(await me.post(f"{path}/turn", json={"holder": "x"}, headers=idempotency), 422)
    # It says what was, and takes nothing anew.
    await end(app, path)
    assert (await me.post(f"{path}/turn", json={"holder": "w"}, headers=idempotency)).content == answers[0].content
    assert ok(await me.get(f"{path}/turn"))["holder"] is None
    # Who was refused can try again.
    again = {"Idempotency-Key": "2"}
    mine = await taken(me, path)
    problem(await me.post(f"{path}/turn", headers=again), 409)
    ok(await me.delete(f"{path}/turn", headers=mine))
    assert (await me.post(f"{path}/turn", headers=again)).status_code == 201


async def test_an_append_that_was_answered_is_answered_again(me: httpx2.AsyncClient, path: str) -> None:
    mine = await taken(me, path)
    sent = {**mine, "Idempotency-Key": "1"}
    first = await me.post(f"{path}/messages", json=HELLO, headers=sent)
    ok(await me.delete(f"{path}/turn", headers=mine))
    again = await me.post(f"{path}/messages", json=HELLO, headers=sent)
    assert (again.status_code, again.content) == (201, first.content)
    assert len(await written(me, path)) == 4


async def test_a_turn_is_no_change_of_the_chat(app: FastAPI, me: httpx2.AsyncClient, path: str) -> None:
    user = me.headers["X-User-Id"]
    before, tables = await me.get(path), await stored(app, user)
    mine = await taken(me, path)
    ok(await me.patch(f"{path}/turn", headers=mine))
    ok(await me.delete(f"{path}/turn", headers=mine))
    after = await me.get(path)
    assert (after.content, after.headers["ETag"]) == (before.content, before.headers["ETag"])
    now_stored = await stored(app, user)
    assert {name for name in tables if now_stored[name] != tables[name]} == {"chats"}


async def test_the_trash_has_no_turns(me: httpx2.AsyncClient, path: str) -> None:
    mine = await taken(me, path, holder="w")
    ok(await me.delete(path))
    for at in (path, "/chats/key:k", "/chats/key:never"):
        problem(await me.post(f"{at}/turn"), 404)
        problem(await me.get(f"{at}/turn"), 404)
        problem(await me.patch(f"{at}/turn", headers=mine), 404)
        problem(await me.delete(f"{at}/turn", headers=mine), 404)
        problem(await me.post(f"{at}/messages", json=HELLO, headers=mine), 404)
        problem(await me.post(f"{at}/messages", json={"messages": [HELLO], "parent": None}, headers=mine), 404)
        problem(await me.put(at, json={"conversation": [HELLO]}, headers=mine), 404)
    ok(await me.post(f"{path}/restore"))
    assert ok(await me.get(f"{path}/turn"))["holder"] == "w"
    problem(await me.post(f"{path}/messages", json=HELLO), 409)


@every_write
async def test_another_chat_with_the_key_knows_no_earlier_token(me: httpx2.AsyncClient, path: str, write: Send) -> None:
    lost = await taken(me, path)
    ok(await me.delete(path, params={"hard": "true"}))
    ok(await me.put("/chats/key:k", json={"conversation": [HELLO, ANSWER, HELLO]}))
    problem(await write(me, "/chats/key:k", lost), 409)
    mine = await taken(me, "/chats/key:k")
    problem(await write(me, "/chats/key:k", lost), 409)
    ok(await write(me, "/chats/key:k", mine))


WRONG_TOKENS = ["", "0", "-1", "+1", "1.0", "1e3", "x", "1 2", "1,2", "٣", "9" * 17, str(2**53 + 1), "0x1", "null"]


@pytest.mark.parametrize("token", WRONG_TOKENS, ids=ascii)
async def test_what_is_no_token(app: FastAPI, me: httpx2.AsyncClient, path: str, token: str) -> None:
    ok(await me.post(f"{path}/turn"))
    before = await stored(app, me.headers["X-User-Id"])
    headers = {b"Turn-Token": token.encode()}
    for method, at, body in (
        ("PATCH", "/turn", None),
        ("DELETE", "/turn", None),
        ("POST", "/messages", HELLO),
        ("POST", "/messages", {**HELLO, "parent": 1}),
        ("POST", "/messages/pop", None),
        ("DELETE", "/messages", None),
        ("PATCH", "", {"head": 1}),
        ("PUT", "", {"conversation": []}),
        ("PATCH", "/messages/1", {"content": "x"}),
        ("DELETE", "/messages/1", None),
    ):
        problem(await me.request(method, path + at, json=body, headers=headers), 422)
    assert await stored(app, me.headers["X-User-Id"]) == before


async def test_a_turn_is_changed_by_its_token_alone(me: httpx2.AsyncClient, path: str) -> None:
    mine = await taken(me, path)
    twice = [("Turn-Token", mine["Turn-Token"])] * 2
    for method in ("PATCH", "DELETE"):
        problem(await me.request(method, f"{path}/turn"), 422)
        problem(await me.request(method, f"{path}/turn", headers=twice), 422)


@pytest.mark.parametrize(
    "body",
    [
        {"seconds": 0},
        {"seconds": 601},
        {"seconds": -1},
        {"seconds": 1.5},
        {"seconds": "60"},
        {"seconds": True},
        {"seconds": None},
        {"seconds": 2**53},
        {"token": 1},
        {"until": "2026-01-31T12:00:00Z"},
        [],
        "x",
        5,
    ],
    ids=str,
)
async def test_a_wrong_body_changes_nothing(app: FastAPI, me: httpx2.AsyncClient, path: str, body: Any) -> None:
    before = await stored(app, me.headers["X-User-Id"])
    problem(await me.post(f"{path}/turn", json=body), 422)
    assert await stored(app, me.headers["X-User-Id"]) == before
    mine = await taken(me, path)
    problem(await me.patch(f"{path}/turn", json=body, headers=mine), 422)


@pytest.mark.parametrize("holder", ["", "x" * 256, 5, ["x"], {"a": 1}], ids=ascii)
async def test_who_cannot_be_a_holder(me: httpx2.AsyncClient, path: str, holder: Any) -> None:
    problem(await me.post(f"{path}/turn", json={"holder": holder}), 422)


@pytest.mark.parametrize("holder", ["x" * 255, "🥚" * 255, "'; --", '"\\\n\x01%', "{}", "null"], ids=ascii)
async def test_a_holder_comes_back_as_it_was_said(me: httpx2.AsyncClient, path: str, holder: str) -> None:
    assert ok(await me.post(f"{path}/turn", json={"holder": holder}))["holder"] == holder
    assert ok(await me.get(f"{path}/turn"))["holder"] == holder
    assert problem(await me.post(f"{path}/messages", json=HELLO), 409)["holder"] == holder
    assert problem(await me.post(f"{path}/messages", json={**HELLO, "parent": 1}), 409)["holder"] == holder


async def test_bodies_may_be_left_out(me: httpx2.AsyncClient, path: str) -> None:
    bodies: list[Json | None] = [None, {}]
    for body in bodies:
        turn = ok(await me.post(f"{path}/turn", json=body))
        ok(await me.patch(f"{path}/turn", json=body, headers=shown(turn["token"])))
        ok(await me.delete(f"{path}/turn", headers=shown(turn["token"])))


@pytest.mark.parametrize("parent", [None, 1], ids=["at the head", "a branch"])
async def test_a_turn_that_ends_while_an_append_is_waiting(
    second: FastAPI, me: httpx2.AsyncClient, path: str, parent: int | None
) -> None:
    mine = await taken(me, path)
    body = HELLO if parent is None else {**HELLO, "parent": parent}
    for by_time in (False, True):
        async with second.state.services.db.write() as session:
            # The append finds the chat locked, and waits.
            chat = await ChatStore(second.state.services.db, me.headers["X-User-Id"]).find(
                session, ChatRef.parse("key:k")
            )
            waiting = asyncio.create_task(me.post(f"{path}/messages", json=body, headers=mine))
            await asyncio.sleep(0.2)
            if by_time:
                chat.lease_until = now()
            else:
                release_lease(chat, int(mine["Turn-Token"]))
        problem(await waiting, 409)
        ok(await me.post(f"{path}/messages", json=body))
        mine = await taken(me, path)


class Crowd:
    """Workers that take turns in one chat, write, and die at random; others who write beside them; and the clock."""

    def __init__(self, app: FastAPI, path: str) -> None:
        self._app = app
        self._path = path
        self._chance = random.Random(7)
        self._running = True
        self.written: dict[int, int] = {}  # messages, by token; 0 is no turn
        self.refused = 0

    async def run(self, clients: list[httpx2.AsyncClient], seconds: float) -> None:
        """Lets them all work for this long."""
        tasks = [asyncio.create_task(self._work(number, client)) for number, client in enumerate(clients * 3)]
        tasks += [asyncio.create_task(self._write_beside(client)) for client in clients]
        tasks.append(asyncio.create_task(self._let_time_pass()))
        await asyncio.sleep(seconds)
        self._running = False
        await asyncio.gather(*tasks)

    async def _send(self, client: httpx2.AsyncClient, token: int) -> bool:
        """A write of one of the kinds there are, which says whose it is. Gives whether it was taken."""
        message = {**HELLO, "metadata": {"turn": token}}
        several = {"messages": [message] * self._chance.randint(1, 3)}
        body = self._chance.choice([message, message, several, {**message, "parent": 2}])
        answer = await client.post(f"{self._path}/messages", json=body, headers=shown(token) if token else {})
        if answer.status_code == 409:
            self.refused += bool(token)
            return False
        self.written[token] = self.written.get(token, 0) + len(ok(answer).get("messages", [0]))
        return True

    async def _work(self, number: int, client: httpx2.AsyncClient) -> None:
        chance = self._chance
        while self._running:
            answer = await client.post(f"{self._path}/turn", json={"holder": f"worker-{number}", "seconds": 1})
            if answer.status_code == 409:
                await asyncio.sleep(chance.uniform(0.001, 0.02))
                continue
            token = ok(answer)["token"]
            for _ in range(chance.randint(1, 6)):
                if not await self._send(client, token):
                    break
                await asyncio.sleep(chance.choice([0, 0, 0.01]))
            if chance.random() < 0.5:
                # It dies without a word, or seems to: it wakes up later and goes on.
                await asyncio.sleep(chance.uniform(0.01, 0.1))
                await self._send(client, token)
            else:
                ok(await client.delete(f"{self._path}/turn", headers=shown(token)))

    async def _write_beside(self, client: httpx2.AsyncClient) -> None:
        while self._running:
            await self._send(client, 0)
            await asyncio.sleep(0.01)

    async def _let_time_pass(self) -> None:
        while self._running:
            await asyncio.sleep(self._chance.uniform(0.01, 0.05))
            await end(self._app, self._path)


async def test_turns_never_interleave(
    app: FastAPI, me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, path: str
) -> None:
    crowd = Crowd(app, path)
    await crowd.run([me, me_too], 4)
    messages = (await written(me, path))[3:]
    assert [message["seq"] for message in messages] == [*range(4, len(messages) + 4)]
    tokens = [message["metadata"]["turn"] for message in messages]
    assert Counter(tokens) == crowd.written
    in_turns = [token for token in tokens if token]
    assert in_turns == sorted(in_turns)
    # Nor does anybody else write in the middle of a turn.
    runs = [token for before, token in pairwise([0, *tokens]) if token not in (0, before)]
    assert len(runs) == len(set(in_turns))
    assert len(runs) > 10
    assert crowd.refused > 5
