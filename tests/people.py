"""Users of the service inside this process: fixtures that a folder's conftest takes over."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import httpx2
import pytest
from fastapi import FastAPI

from tests.callers import Json, acting, ok


@dataclass
class Person:
    """A user that nobody else is, with a client and the headers it sends."""

    user_id: str
    headers: dict[str, str]
    client: httpx2.AsyncClient = field(repr=False)

    async def chat(self, **details: object) -> str:
        """A new chat's id."""
        chat_id: str = ok(await self.client.post("/chats", json=details))["chat_id"]
        return chat_id

    async def say(self, chat: str, *texts: str) -> list[Json]:
        """Appends messages together."""
        batch = {"messages": [{"role": "user", "content": text} for text in texts]}
        messages: list[Json] = ok(await self.client.post(f"/chats/{chat}/messages", json=batch))["messages"]
        return messages

    async def changes(self, **query: str | int) -> Json:
        """A page of changes."""
        page: Json = ok(await self.client.get("/changes", params=query))
        return page


@pytest.fixture
async def ann(
    app: FastAPI, make_user: Callable[[], str], as_user: Callable[[str], dict[str, str]]
) -> AsyncIterator[Person]:
    """Somebody new."""
    user_id = make_user()
    async with acting(app, as_user(user_id)) as client:
        yield Person(user_id, as_user(user_id), client)


@pytest.fixture
async def bob(
    app: FastAPI, make_user: Callable[[], str], as_user: Callable[[str], dict[str, str]]
) -> AsyncIterator[Person]:
    """Somebody else."""
    user_id = make_user()
    async with acting(app, as_user(user_id)) as client:
        yield Person(user_id, as_user(user_id), client)
