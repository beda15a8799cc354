"""Answers as tests write and read them."""

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2
from fastapi import FastAPI
from sqlalchemy import select
from sqlmodel import col

from app.models import Chunk, StreamingMessage
from tests.callers import Json, ok, problem
from tests.streams import Stream

EGG = "Eight minutes in boiling water, "
MORE = "then cold water 🥚 — and salt."


@dataclass(frozen=True)
class Written:
    """An answer that was opened: its message, and its path."""

    client: httpx2.AsyncClient
    message: Json

    @property
    def path(self) -> str:
        """The path of its message."""
        return f"/chats/{self.message['chat_id']}/messages/{self.message['message_id']}"

    async def chunk(self, offset: int, text: str, client: httpx2.AsyncClient | None = None) -> tuple[int, int]:
        """Sends a chunk, which must be taken: gives `received` and `stored`."""
        answer = await (client or self.client).post(f"{self.path}/chunks", json={"offset": offset, "text": text})
        assert answer.status_code == 202, answer.text
        return lengths(answer.json())

    async def chunk_in_the_end(self, offset: int, text: str) -> int:
        """Sends a chunk until it is taken, as it may not be before the last failure is over: gives `received`."""
        async with asyncio.timeout(30):
            while True:
                answer = await self.client.post(f"{self.path}/chunks", json={"offset": offset, "text": text})
                if answer.status_code != 503:
                    return lengths(ok(answer))[0]
                await asyncio.sleep(0.01)

    async def refused(
        self, offset: int, text: str, status: int = 409, client: httpx2.AsyncClient | None = None
    ) -> Json:
        """Sends a chunk, which must be refused: gives the problem."""
        body = {"offset": offset, "text": text}
        return problem(await (client or self.client).post(f"{self.path}/chunks", json=body), status)

    async def complete(self, offset: int, **said: Any) -> Json:
        """Completes it, and gives the message."""
        message: Json = ok(await self.client.post(f"{self.path}/complete", json={"offset": offset, **said}))
        return message

    async def read(self) -> Json:
        """Its message as it is now."""
        message: Json = ok(await self.client.get(self.path))
        return message


async def opened(client: httpx2.AsyncClient, chat: str, headers: Json | None = None, **said: Any) -> Written:
    """Opens an answer in a chat, by its path."""
    body = {"role": "assistant", "status": "in_progress", **said}
    answer = await client.post(f"{chat}/messages", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return Written(client, answer.json())


def lengths(said: Json) -> tuple[int, int]:
    """`received` and `stored` of an answer."""
    return said["received"], said["stored"]


@dataclass(frozen=True)
class Event:
    """An event of an answer's stream."""

    name: str
    id: str | None
    data: Json


async def event(stream: Stream) -> Event:
    """The next event of a stream."""
    while True:
        lines = [line.partition(": ") for line in (await stream.block()).split("\n")]
        said = {name: value for name, _, value in lines if name}
        if "event" in said:
            return Event(said["event"], said.get("id"), json.loads(said["data"]))


async def to_the_end(stream: Stream, offset: int = 0) -> tuple[str, Event]:
    """The text of a stream, whose places must be right, and its last event."""
    text = ""
    while (one := await event(stream)).name == "text":
        assert one.data["offset"] == offset + len(text)
        text += one.data["text"]
        assert one.id == str(offset + len(text))
    return text, one


async def stored(app: FastAPI, answer: Written, length: int, since: datetime | None = None) -> None:
    """Waits until so much of an answer is on disk, and its writer was heard of since a moment."""
    message = answer.message
    mine = (
        col(StreamingMessage.user_id) == answer.client.headers["X-User-Id"],
        col(StreamingMessage.chat_id) == message["chat_id"],
        col(StreamingMessage.seq) == message["seq"],
    )
    async with asyncio.timeout(60):
        while True:
            async with app.state.services.db.read() as session:
                row = (await session.execute(select(StreamingMessage).where(*mine))).scalar_one()
                if row.stored == length and (since is None or row.touched_at > since):
                    return
            await asyncio.sleep(0.01)


async def leftovers(app: FastAPI, answer: Written) -> int:
    """How many rows there are of an answer besides its message."""
    found = 0
    async with app.state.services.db.read() as session:
        for table in (StreamingMessage, Chunk):
            rows = select(table).where(col(table.chat_id) == answer.message["chat_id"])
            found += len((await session.execute(rows)).all())
    return found
