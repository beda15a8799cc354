"""Turns as tests take, show and end them."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from fastapi import FastAPI
from sqlalchemy import update
from sqlmodel import col

from app.db.timestamps import now
from app.models import Chat
from tests.callers import Json, every_item, ok

HELLO: Json = {"role": "user", "content": "Hello"}
ANSWER: Json = {"role": "assistant", "content": "Hi!"}
CALL: Json = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f"}}]}
Send = Callable[[httpx2.AsyncClient, str, Json], Awaitable[httpx2.Response]]


async def taken(me: httpx2.AsyncClient, path: str, **body: Any) -> Json:
    """The headers that show a turn that was just taken."""
    return shown(ok(await me.post(f"{path}/turn", json=body))["token"])


def shown(token: Any) -> Json:
    """The headers that show a token."""
    return {"Turn-Token": str(token)}


async def end(app: FastAPI, path: str) -> None:
    """Lets the time of a chat's turn be over."""
    mine = col(Chat.chat_id) == path.rpartition("/")[2]
    async with app.state.services.db.write() as session:
        await session.execute(update(Chat).where(mine, col(Chat.lease_until) > now()).values(lease_until=now()))


async def written(me: httpx2.AsyncClient, path: str) -> list[Json]:
    """Every message of a chat, of all its branches."""
    return await every_item(me, f"{path}/messages", tree="true")
