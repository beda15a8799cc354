"""One writer per turn: who holds a chat's turn writes, nobody else does, and who lost it cannot write any more."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from fastapi import FastAPI

from tests.callers import ok, problem
from tests.messages.turns import ANSWER, HELLO, Send, end, shown, taken, written
from tests.tables import stored

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
    async with asyncio.timeout(30):
        while ok(await me.get(f"{path}/turn")) != {"holder": None, "until": None}:
            await asyncio.sleep(0.05)
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
