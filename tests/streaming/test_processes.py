"""Answers written and read through several processes, which are killed under them: every reader has the exact text."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import closing

import pytest

from bench.streaming import Connection, Outcome, Play
from tests.profiles import count
from tests.servers.databases import Databases
from tests.servers.service import ServiceProcess, StartService

pytestmark = pytest.mark.more_with_all

ANSWERS = count(fast=4, all=8)


@pytest.fixture(scope="module")
def running(dialect: str, databases: Databases) -> Iterator[ServiceProcess]:
    """The service with two processes, for tests that leave it running."""
    url = databases.fresh(dialect)
    with ServiceProcess(database_url=url, workers=2, log_level="warning") as made:
        yield made
    databases.drop(url)


@pytest.mark.parametrize("shared", [False, True], ids=["own connections", "any connection"])
async def test_readers_who_come_and_go_have_the_exact_text(running: ServiceProcess, shared: bool) -> None:
    play = Play(running.port, running.headers(f"shared={shared}"), ANSWERS, chunks=30, shared=shared)
    outcome = await play.run()
    assert outcome.faults == []
    assert outcome.answers == ANSWERS
    assert outcome.readers == 2 * ANSWERS
    assert outcome.returns >= outcome.readers


async def test_a_backend_goes_on_from_what_was_on_disk(service: StartService) -> None:
    running = service(workers=count(fast=1, all=2), log_level="warning")

    async def kill(outcome: Outcome) -> None:
        await asyncio.sleep(random.uniform(0.3, 1.2))
        running.kill()
        outcome.kills += 1
        await asyncio.to_thread(running.start)

    outcome = await Play(running.port, running.headers("ann"), ANSWERS, chunks=40).run(kill)
    assert outcome.faults == []
    assert (outcome.answers, outcome.kills) == (ANSWERS, 1)


async def test_what_was_received_is_written_before_the_service_stops(service: StartService) -> None:
    running = service(log_level="warning")
    headers = running.headers("ann")
    with (
        closing(await Connection.open(running.port, headers)) as backend,
        closing(await Connection.open(running.port, headers)) as reader,
    ):
        body = {"role": "assistant", "content": "", "status": "in_progress"}
        _, message = await backend.ask("POST", "/chats/key:a/messages", body)
        path = f"/chats/{message['chat_id']}/messages/{message['message_id']}"
        stream = reader.events(f"{path}/stream", None)
        received = 0
        for text in ("one ", "two ", "three"):
            status, said = await backend.ask("POST", f"{path}/chunks", {"offset": received, "text": text})
            assert status == 202
            received = said["received"]
            if text == "one ":
                assert (await anext(stream))[2]["text"] == text
        assert said["stored"] < received
        await asyncio.to_thread(running.terminate)
        # An open stream does not hold it up.
        assert "exceeded" not in running.log
        assert "".join([data["text"] async for _, _, data in stream]) in ("", "two three")
    running.start()
    with closing(await Connection.open(running.port, headers)) as backend:
        status, said = await backend.ask("POST", f"{path}/chunks", {"offset": received, "text": ""})
        assert (status, said) == (202, {"received": received, "stored": received})
