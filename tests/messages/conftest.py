"""A chat to write to."""

import httpx2
import pytest

from tests.callers import ok
from tests.messages.keyed import said
from tests.messages.turns import ANSWER, HELLO


@pytest.fixture
async def path(me: httpx2.AsyncClient) -> str:
    """The path of a chat of mine with three messages."""
    answer = await me.post("/chats", json={"key": "k", "conversation": [HELLO, ANSWER, HELLO]})
    return answer.headers["Location"]


@pytest.fixture
async def keyed_path(me: httpx2.AsyncClient) -> str:
    """The path of the messages of a chat of mine, which has three: a, without a key, and b."""
    conversation = [said("one", key="a"), said("two"), said("three", key="b/ü %2F")]
    chat = ok(await me.post("/chats", json={"conversation": conversation}))
    return f"/chats/{chat['chat_id']}/messages"
