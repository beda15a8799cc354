"""A chat to write to."""

import httpx2
import pytest

from tests.messages.turns import ANSWER, HELLO


@pytest.fixture
async def path(me: httpx2.AsyncClient) -> str:
    """The path of a chat of mine with three messages."""
    answer = await me.post("/chats", json={"key": "k", "conversation": [HELLO, ANSWER, HELLO]})
    return answer.headers["Location"]
