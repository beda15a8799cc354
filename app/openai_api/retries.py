"""Recognises the retries of OpenAI's clients, which send no idempotency key.

A client retries a call twice after a broken connection or a temporary refusal. Only a header that counts the attempts
tells a retry from a new call. So a retry is recognised by what the first attempt stored: see `docs/openai.md`.
"""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request

from app.db.timestamps import now
from app.http.idempotency import oldest_kept
from app.models import Chat, Idempotency

HEADER = "x-stainless-retry-count"
# The client waits ten minutes for a response, and tries three times.
RECOGNISED_FOR = timedelta(minutes=30)
# It waits at least this long before it tries again.
EARLIEST_RETRY = timedelta(seconds=0.3)

Key = tuple[str, str, bytes]


def is_retry(request: Request) -> bool:
    """Whether a call is a retry, by its header."""
    count = request.headers.get(HEADER, "0")
    return count.isascii() and count.isdigit() and int(count[:9]) > 0


class FirstAttempts:
    """The first attempts that run in this process. Their retries wait until they have ended."""

    def __init__(self) -> None:
        self._attempts: dict[Key, list[asyncio.Event]] = {}

    @contextmanager
    def attempt(self, key: Key) -> Iterator[None]:
        """A context to run a first attempt in."""
        ended = asyncio.Event()
        self._attempts.setdefault(key, []).append(ended)
        try:
            yield
        finally:
            ended.set()
            self._attempts[key].remove(ended)
            if not self._attempts[key]:
                del self._attempts[key]

    async def ended(self, key: Key) -> None:
        """Waits for the end of every attempt with this key that has begun."""
        for ended in list(self._attempts.get(key, ())):
            await ended.wait()


class RetryMarkers:
    """Markers of calls by which their retries are recognised, written in the transaction of the call's effect.

    They are rows of the table of stored responses, and are kept as long.
    """

    def __init__(self, session: AsyncSession, chat: Chat) -> None:
        self._session = session
        self._chat = chat

    async def mark_deleted(self, message_id: str, index: int) -> None:
        """Marks that a call deleted the item at an index of a message."""
        await self._put(f"DELETE {message_id} {index}")

    async def was_deleted(self, message_id: str, index: int) -> bool:
        """Whether a call deleted the item at an index of a message."""
        return await self._marked_at(f"DELETE {message_id} {index}") is not None

    async def mark_retried(self, body: bytes) -> None:
        """Marks that a retry stored the items of its body."""
        await self._put(_post(body))

    async def was_retried(self, body: bytes, began: datetime) -> bool:
        """Whether a retry stored the items of a body since the first attempt with that body began."""
        marked_at = await self._marked_at(_post(body))
        return marked_at is not None and marked_at >= began

    async def _put(self, key: str) -> None:
        chat = self._chat
        owner: dict[str, Any] = {"user_id": chat.user_id, "chat_id": chat.chat_id, "route": _route(chat), "key": key}
        await self._session.merge(Idempotency(**owner, request_sha256="", status=200, body="", created_at=now()))

    async def _marked_at(self, key: str) -> datetime | None:
        row = await self._session.get(Idempotency, (self._chat.user_id, _route(self._chat), key))
        return row.created_at if row and row.created_at >= oldest_kept() else None


def _route(chat: Chat) -> str:
    # It begins with no HTTP method, so that no client can name it as a route.
    return f"retries {chat.chat_id}"


def _post(body: bytes) -> str:
    return f"POST {hashlib.sha256(body).hexdigest()}"
