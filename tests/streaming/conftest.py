"""The users that these tests act for."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from tests.callers import acting
from tests.people import Person, ann, bob
from tests.streaming.writing import Written, opened

__all__ = ["ann", "bob"]


@pytest.fixture
async def elsewhere(second: FastAPI, ann: Person) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `second` that acts for Ann too."""
    async with acting(second, ann.headers) as client:
        yield client


@pytest.fixture
async def answer(ann: Person) -> Written:
    """An answer of Ann's, with nothing in it yet."""
    return await opened(ann.client, "/chats/key:kitchen")
