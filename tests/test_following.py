"""What follows the feeds in the background: it is told who changed something, and makes way for what is urgent."""

import asyncio
from collections.abc import Collection

from fastapi import FastAPI

from app.events.consumer import Follower, Rest


async def test_a_follower_makes_way_and_then_goes_on(app: FastAPI) -> None:
    db, rest = app.state.services.db, Rest()
    digested: asyncio.Queue[Collection[str]] = asyncio.Queue()

    async def nobody() -> Collection[str]:
        return ()

    with rest.held():
        follower = Follower(db, "test", digested.put, nobody, rest)
        with rest.held():
            db.announcer.changed(["ann"])
        await asyncio.sleep(0.2)
        assert digested.empty()
    assert await asyncio.wait_for(digested.get(), 10) == ["ann"]
    db.announcer.changed(["bob"])
    assert await asyncio.wait_for(digested.get(), 10) == ["bob"]
    await follower.close()


async def test_who_could_not_be_served_is_served_later(app: FastAPI) -> None:
    db, served = app.state.services.db, asyncio.Event()
    failed: list[Collection[str]] = []

    async def digest(users: Collection[str]) -> None:
        if not failed:
            failed.append(users)
            raise OSError
        served.set()

    async def nobody() -> Collection[str]:
        return ()

    follower = Follower(db, "test", digest, nobody, Rest())
    db.announcer.changed(["ann"])
    await asyncio.wait_for(served.wait(), 10)
    assert failed == [["ann"]]
    await follower.close()
