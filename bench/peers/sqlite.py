"""The peer on SQLite: FastAPI + aiosqlite in WAL with `synchronous=FULL`, `UPDATE` + `INSERT` + commit to append.

One connection behind a lock: opening one for each request halved the rate (620 against 1,300 a second).
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiosqlite
import orjson
from fastapi import FastAPI, Request, Response

from bench.peers.schemas import NewMessage, StoredMessage

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS chats (chat_id TEXT PRIMARY KEY, message_count INTEGER NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY,
    chat_id TEXT NOT NULL,
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_of_chat ON messages (chat_id, id);
"""


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with (
        aiosqlite.connect(os.environ["PEER_DATABASE"]) as writer,
        aiosqlite.connect(os.environ["PEER_DATABASE"]) as reader,
    ):
        await writer.executescript(_SCHEMA)
        reader.row_factory = aiosqlite.Row
        app.state.writer, app.state.reader, app.state.lock = writer, reader, asyncio.Lock()
        yield


app = FastAPI(lifespan=_lifespan, telemetry={"tracing": False, "metrics": False, "logs": False})


@app.put("/chats/{chat_id}", status_code=204)
async def create(chat_id: str, request: Request) -> None:
    """Makes a chat."""
    async with request.app.state.lock:
        await request.app.state.writer.execute("INSERT OR IGNORE INTO chats VALUES (?, 0, '')", (chat_id,))
        await request.app.state.writer.commit()


@app.post("/chats/{chat_id}/messages", status_code=201)
async def append(chat_id: str, message: NewMessage, request: Request) -> StoredMessage:
    """Stores one message and counts it."""
    connection: aiosqlite.Connection = request.app.state.writer
    now = datetime.now(UTC)
    async with request.app.state.lock:
        await connection.execute(
            "UPDATE chats SET message_count = message_count + 1, updated_at = ? WHERE chat_id = ?",
            (now.isoformat(), chat_id),
        )
        cursor = await connection.execute(
            "INSERT INTO messages (chat_id, role, content, created_at) VALUES (?, ?, ?, ?)",
            (chat_id, message.role, message.content, now.isoformat()),
        )
        await connection.commit()
    assert cursor.lastrowid is not None
    return StoredMessage(id=cursor.lastrowid, chat_id=chat_id, created_at=now, **message.model_dump())


@app.get("/chats/{chat_id}/messages")
async def last(chat_id: str, request: Request, last: int = 50) -> Response:
    """The last messages of a chat, oldest first."""
    rows = await request.app.state.reader.execute_fetchall(
        "SELECT id, chat_id, role, content, created_at FROM messages WHERE chat_id = ? ORDER BY id DESC LIMIT ?",
        (chat_id, last),
    )
    return Response(orjson.dumps({"items": [dict(row) for row in reversed(rows)]}), media_type="application/json")
