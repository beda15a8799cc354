"""The peer on Postgres: FastAPI + asyncpg, one `INSERT … RETURNING` to append, one `SELECT` and orjson to read."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import orjson
from fastapi import FastAPI, Request, Response

from bench.peers.schemas import NewMessage, StoredMessage

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chat_id text NOT NULL,
    role text NOT NULL,
    content text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS messages_of_chat ON messages (chat_id, id);
"""


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["PEER_DATABASE"], min_size=10, max_size=10) as pool:
        await pool.execute(_SCHEMA)
        app.state.pool = pool
        yield


app = FastAPI(lifespan=_lifespan, telemetry={"tracing": False, "metrics": False, "logs": False})


@app.put("/chats/{chat_id}", status_code=204)
async def create(chat_id: str) -> None:
    """Makes a chat, which is nothing but its messages here."""


@app.post("/chats/{chat_id}/messages", status_code=201)
async def append(chat_id: str, message: NewMessage, request: Request) -> StoredMessage:
    """Stores one message."""
    row = await request.app.state.pool.fetchrow(
        "INSERT INTO messages (chat_id, role, content) VALUES ($1, $2, $3) RETURNING id, created_at",
        chat_id,
        message.role,
        message.content,
    )
    return StoredMessage(id=row["id"], chat_id=chat_id, created_at=row["created_at"], **message.model_dump())


@app.get("/chats/{chat_id}/messages")
async def last(chat_id: str, request: Request, last: int = 50) -> Response:
    """The last messages of a chat, oldest first."""
    rows = await request.app.state.pool.fetch(
        "SELECT id, chat_id, role, content, created_at FROM messages WHERE chat_id = $1 ORDER BY id DESC LIMIT $2",
        chat_id,
        last,
    )
    return Response(orjson.dumps({"items": [dict(row) for row in reversed(rows)]}), media_type="application/json")
