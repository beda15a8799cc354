"""Another caller, for the tests of chats."""

from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
from fastapi import FastAPI

from tests.callers import acting


@pytest.fixture
async def another(
    app: FastAPI, make_user: Callable[[], str], as_user: Callable[[str], dict[str, str]]
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `app` that acts for another user than `me`."""
    async with acting(app, as_user(make_user())) as client:
        yield client
