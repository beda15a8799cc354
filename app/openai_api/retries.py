"""Calls that OpenAI's client sends again.

It retries what broke or was refused for the time being twice, with nothing that tells the call from another one like
it but a header that counts. So a retry is known by what the first attempt has left: see `docs/openai.md`.
"""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request

from app.db.types import now
from app.http.idempotency import oldest_kept
from app.models import Chat, Idempotency

HEADER = "x-stainless-retry-count"
# The client waits ten minutes for an answer, and tries three times.
KNOWN_FOR = timedelta(minutes=30)
# It waits longer than this before it tries again.
SOONEST = timedelta(seconds=0.3)

Key = tuple[str, str, bytes]


def is_retry(request: Request) -> bool:
    """Whether a call was sent before."""
    count = request.headers.get(HEADER, "0")
    return count.isascii() and count.isdigit() and int(count[:9]) > 0


class FirstAttempts:
    """The first attempts that this process is busy with. Their retries wait until they have ended."""

    def __init__(self) -> None:
        self._attempts: dict[Key, list[asyncio.Event]] = {}

    @contextmanager
    def attempt(self, key: Key) -> Iterator[None]:
        """Around a first attempt."""
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
        """Waits for the end of every attempt at this that has begun."""
        for ended in list(self._attempts.get(key, ())):
            await ended.wait()


class Marks:
    """What is remembered of calls for the sake of their retries, in the transaction of what they do.

    Kept where answers are kept that have an `Idempotency-Key`, and as long.
    """

    def __init__(self, session: AsyncSession, chat: Chat) -> None:
        self._session = session
        self._chat = chat

    async def deleted(self, message_id: str, place: int) -> None:
        """Remembers that a call deleted the item at a place of a message."""
        await self._put(f"DELETE {message_id} {place}")

    async def was_deleted(self, message_id: str, place: int) -> bool:
        """Whether a call deleted the item at a place of a message."""
        return await self._since(f"DELETE {message_id} {place}") is not None

    async def retried(self, body: bytes) -> None:
        """Remembers that a retry stored what its body says."""
        await self._put(_post(body))

    async def was_retried(self, body: bytes, began: datetime) -> bool:
        """Whether a retry stored what a body says after its first attempt, or another like that, began."""
        since = await self._since(_post(body))
        return since is not None and since >= began

    async def _put(self, said: str) -> None:
        chat = self._chat
        await self._session.merge(
            Idempotency(
                user_id=chat.user_id,
                route=_route(chat),
                key=said,
                request_sha256="",
                status=200,
                body="",
                chat_id=chat.chat_id,
                created_at=now(),
            )
        )

    async def _since(self, said: str) -> datetime | None:
        row = await self._session.get(Idempotency, (self._chat.user_id, _route(self._chat), said))
        return row.created_at if row and row.created_at >= oldest_kept() else None


def _route(chat: Chat) -> str:
    # No method comes first: this is none that a client could name.
    return f"retries {chat.chat_id}"


def _post(body: bytes) -> str:
    return f"POST {hashlib.sha256(body).hexdigest()}"
