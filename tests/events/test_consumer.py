"""Background consumers of the event log: they are told whose rows changed, wait at the gate, and try again."""

import asyncio
from collections.abc import Collection

from fastapi import FastAPI

from app.events.consumer import Consumer, PauseGate


async def test_a_consumer_waits_at_a_closed_gate_and_then_goes_on(app: FastAPI) -> None:
    db, pause_gate = app.state.services.db, PauseGate()
    consumed: asyncio.Queue[Collection[str]] = asyncio.Queue()

    async def nobody() -> Collection[str]:
        return ()

    with pause_gate.closed():
        consumer = Consumer(db, "test", consumed.put, nobody, pause_gate)
        with pause_gate.closed():
            db.commit_hooks.run(["ann"])
        await asyncio.sleep(0.2)
        assert consumed.empty()
    assert await asyncio.wait_for(consumed.get(), 10) == ["ann"]
    db.commit_hooks.run(["bob"])
    assert await asyncio.wait_for(consumed.get(), 10) == ["bob"]
    await consumer.close()


async def test_what_could_not_be_consumed_is_consumed_later(app: FastAPI) -> None:
    db, served = app.state.services.db, asyncio.Event()
    failed: list[Collection[str]] = []

    async def consume(user_ids: Collection[str]) -> None:
        if not failed:
            failed.append(user_ids)
            raise OSError
        served.set()

    async def nobody() -> Collection[str]:
        return ()

    consumer = Consumer(db, "test", consume, nobody, PauseGate())
    db.commit_hooks.run(["ann"])
    await asyncio.wait_for(served.wait(), 10)
    assert failed == [["ann"]]
    await consumer.close()
