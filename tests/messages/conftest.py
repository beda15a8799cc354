"""Callers for the tests of messages, and a second process beside the first."""

from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
from fastapi import FastAPI

from app.settings import Settings
from tests.callers import acting, started


@pytest.fixture
async def me(
    app: FastAPI, make_user: Callable[[], str], as_user: Callable[[str], dict[str, str]]
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `app` that acts for a user of its own."""
    async with acting(app, as_user(make_user())) as client:
        yield client


@pytest.fixture(scope="module")
async def second(settings: Settings) -> AsyncIterator[FastAPI]:
    """The service once more on the same database, with a writer and a cache of its own."""
    async with started(settings) as made:
        yield made


@pytest.fixture
async def me_too(second: FastAPI, me: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `second` that acts for the same user as `me`."""
    async with acting(second, dict(me.headers)) as client:
        yield client
