"""Turns among writers: whoever writes in one is alone in it."""

import asyncio
import random
import time
from collections import Counter
from itertools import pairwise

import httpx2
import pytest
from fastapi import FastAPI

from app.chats.lease import release_lease
from app.chats.store import ChatStore
from app.db.timestamps import now
from app.http.references import ChatRef
from tests.callers import ok, problem
from tests.messages.turns import HELLO, end, shown, taken, written
from tests.profiles import count


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

    def __init__(self, app: FastAPI, path: str, seed: int) -> None:
        self._app = app
        self._path = path
        self._chance = random.Random(seed)
        self._running = True
        # How long the last write took: on a busy machine everything takes longer, and turns must not end before it.
        self._took = 0.01
        self.written: dict[int, int] = {}  # messages, by token; 0 is no turn
        self.refused = 0

    @property
    def turns(self) -> int:
        """In how many turns something was written."""
        return len(self.written.keys() - {0})

    async def run(self, clients: list[httpx2.AsyncClient], turns: int) -> None:
        """Lets them all work until so much has happened."""
        tasks = [asyncio.create_task(self._work(number, client)) for number, client in enumerate(clients * 3)]
        tasks += [asyncio.create_task(self._write_beside(client)) for client in clients]
        tasks.append(asyncio.create_task(self._let_time_pass()))
        while self.turns < turns or self.refused < turns // 2:
            done, _ = await asyncio.wait(tasks, timeout=0.05)
            assert not done, [task.exception() for task in done]
        self._running = False
        await asyncio.gather(*tasks)

    async def _send(self, client: httpx2.AsyncClient, token: int) -> bool:
        """A write of one of the kinds there are, which says whose it is. Gives whether it was taken."""
        message = {**HELLO, "metadata": {"turn": token}}
        several = {"messages": [message] * self._chance.randint(1, 3)}
        body = self._chance.choice([message, message, several, {**message, "parent": 2}])
        began = time.monotonic()
        answer = await client.post(f"{self._path}/messages", json=body, headers=shown(token) if token else {})
        self._took = time.monotonic() - began
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
                await asyncio.sleep(chance.uniform(1, 10) * self._took)
                await self._send(client, token)
            else:
                ok(await client.delete(f"{self._path}/turn", headers=shown(token)))

    async def _write_beside(self, client: httpx2.AsyncClient) -> None:
        while self._running:
            await self._send(client, 0)
            await asyncio.sleep(0.01)

    async def _let_time_pass(self) -> None:
        while self._running:
            await asyncio.sleep(self._chance.uniform(1, 10) * self._took)
            await end(self._app, self._path)


async def test_turns_never_interleave(
    app: FastAPI, me: httpx2.AsyncClient, me_too: httpx2.AsyncClient, path: str, seed: int
) -> None:
    crowd = Crowd(app, path, seed)
    await crowd.run([me, me_too], count(fast=12, all=80))
    messages = (await written(me, path))[3:]
    assert [message["seq"] for message in messages] == [*range(4, len(messages) + 4)]
    tokens = [message["metadata"]["turn"] for message in messages]
    assert Counter(tokens) == crowd.written
    in_turns = [token for token in tokens if token]
    assert in_turns == sorted(in_turns)
    # Nor does anybody else write in the middle of a turn.
    runs = [token for before, token in pairwise([0, *tokens]) if token not in (0, before)]
    assert len(runs) == len(set(in_turns))
    assert len(runs) == crowd.turns
