"""Several processes serve one database as one would, and a `kill -9` loses nothing that was acknowledged."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from app.auth.authenticator import KEY_CACHE_SECONDS
from bench.crash import crash
from tests.callers import Json, every_item, ok
from tests.profiles import count
from tests.servers.databases import Databases
from tests.servers.service import ServiceProcess

pytestmark = pytest.mark.more_with_all

CLIENTS = 16
HELLO: Json = {"role": "user", "content": "Hello"}


@pytest.fixture(scope="module")
def running(dialect: str, databases: Databases) -> Iterator[ServiceProcess]:
    """The service with several processes, shared by tests that need HTTP alone and have a user of their own each."""
    url = databases.fresh(dialect)
    with ServiceProcess(database_url=url, workers=count(fast=2, all=4)) as made:
        yield made
    databases.drop(url)


@asynccontextmanager
async def clients(service: ServiceProcess, headers: dict[str, str]) -> AsyncIterator[list[httpx2.AsyncClient]]:
    """Sixteen clients with connections of their own, which the processes of the service share among them."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                httpx2.AsyncClient(
                    base_url=service.base_url, headers=headers, timeout=30, trust_env=False, verify=False
                )
            )
            for _ in range(CLIENTS)
        ]


async def test_sixteen_clients_write_one_chat_through_several_processes(running: ServiceProcess) -> None:
    acknowledged: dict[int, str] = {}

    async def write(number: int, client: httpx2.AsyncClient) -> None:
        for turn in range(25):
            name, size = f"{number}-{turn}", 1 + (number + turn) % 3
            batch = {"messages": [{"role": "user", "content": name}] * size}
            said: list[Json] = []
            # Every write twice, as by a client that did not hear the first answer.
            for _ in range(2):
                answer = await client.post("/chats/key:busy/messages", json=batch, headers={"Idempotency-Key": name})
                assert not said or answer.json()["messages"] == said
                said = ok(answer)["messages"]
            assert [message["seq"] for message in said] == [*range(said[0]["seq"], said[0]["seq"] + size)]
            assert not acknowledged.keys() & {message["seq"] for message in said}
            acknowledged.update({message["seq"]: message["content"] for message in said})
            newest = ok(await client.get("/chats/key:busy/messages", params={"last": 1}))["items"][0]["seq"]
            assert newest >= said[-1]["seq"]

    async with clients(running, running.headers("writers")) as writers:
        await asyncio.gather(*(write(*one) for one in enumerate(writers)))
        stored = await every_item(writers[0], "/chats/key:busy/messages")
        counted = ok(await writers[0].get("/chats/key:busy"))
    assert [message["seq"] for message in stored] == [*range(1, len(stored) + 1)]
    assert {message["seq"]: message["content"] for message in stored} == acknowledged
    assert counted["message_count"] == counted["last_seq"] == len(stored)


async def test_several_processes_asked_for_one_key_make_one_chat(running: ServiceProcess) -> None:
    async with clients(running, running.headers("one-key")) as callers:
        for number in range(20):
            path = f"/chats/key:{number}"
            answers = await asyncio.gather(
                *(
                    caller.put(path, json={}) if (place + number) % 2 else caller.post(f"{path}/messages", json=HELLO)
                    for place, caller in enumerate(callers)
                )
            )
            put = Counter(answer.status_code for answer in answers if answer.request.method == "PUT")
            posted = [ok(answer) for answer in answers if answer.request.method == "POST"]
            assert put.keys() <= {200, 201}, running.log
            assert put[201] <= 1
            assert len({ok(answer)["chat_id"] for answer in answers}) == 1
            assert sorted(message["seq"] for message in posted) == [*range(1, len(posted) + 1)]
        assert len(await every_item(callers[0], "/chats")) == 20


async def test_one_chat_by_its_id_and_by_its_key(running: ServiceProcess) -> None:
    async with clients(running, running.headers("id-and-key")) as callers:
        by_id = f"/chats/{ok(await callers[0].put('/chats/key:it', json={}))['chat_id']}"
        acknowledged: dict[int, Json] = {}
        sent = 0
        for turn in range(10):
            sizes = [(1, 3, 1, 5)[(place + turn) % 4] for place in range(len(callers))]
            answers = await asyncio.gather(
                *(
                    caller.post(
                        f"{by_id if (place + turn) % 2 else '/chats/key:it'}/messages",
                        json=HELLO if size == 1 else {"messages": [HELLO] * size},
                    )
                    for (place, caller), size in zip(enumerate(callers), sizes, strict=True)
                )
            )
            for answer, size in zip(answers, sizes, strict=True):
                stored = [ok(answer)] if size == 1 else ok(answer)["messages"]
                first = stored[0]["seq"]
                assert [message["seq"] for message in stored] == [*range(first, first + size)]
                acknowledged |= {message["seq"]: message for message in stored}
                sent += size
        history = await every_item(callers[0], f"{by_id}/messages")
    assert {message["seq"]: message for message in history} == acknowledged
    assert sorted(acknowledged) == [*range(1, sent + 1)]


async def test_a_revoked_key_is_refused_by_every_process_within_five_seconds(running: ServiceProcess) -> None:
    async with clients(running, running.headers()) as callers:
        made = ok(
            await callers[0].post("/admin/api-keys", json={"name": "k", "user_id": "ann", "scopes": ["chats:read"]})
        )
        for caller in callers:
            caller.headers["Authorization"] = f"Bearer {made['key']}"
            # Every process knows it now, and would go on taking it for a while.
            ok(await caller.get("/chats"))
        revoked = await callers[0].delete(f"/admin/api-keys/{made['key_id']}", headers=running.headers())
        assert revoked.status_code == 204
        assert KEY_CACHE_SECONDS < 5
        statuses = {200}
        async with asyncio.timeout(60):
            while 200 in statuses:
                await asyncio.sleep(0.1)
                statuses = {(await caller.get("/chats")).status_code for caller in callers}
        assert statuses == {401}


def test_kill_9_loses_nothing_that_was_acknowledged(fresh_database_url: str, tmp_path: Path) -> None:
    service = ServiceProcess(folder=tmp_path, database_url=fresh_database_url, workers=count(1, 2), log_level="error")
    try:
        # How soon it is ready is for the bench to say: this machine may be busy.
        outcome = crash(service, 2, ready_within=60)
    finally:
        service.kill()
    assert outcome.faults == []
    assert outcome.kills == 2
    assert outcome.acknowledged > CLIENTS
