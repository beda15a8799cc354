"""A second process beside the first, and what the counters should say."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from app.settings import Settings
from tests.callers import acting, started


@pytest.fixture(scope="module")
async def second(settings: Settings) -> AsyncIterator[FastAPI]:
    """The service once more on the same database, with a follower of its own."""
    async with started(settings) as made:
        yield made


@pytest.fixture
async def me_too(second: FastAPI, me: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `second` that acts for the same user as `me`."""
    async with acting(second, dict(me.headers)) as client:
        yield client
