"""Recognises the retries of OpenAI's clients, which send no idempotency key.

A client retries a call twice after a broken connection or a temporary refusal. Only a header that counts the attempts
tells a retry from a new call. So a retry is recognised by what the first attempt stored, and leaves a marker for a
first attempt that comes after it: see `docs/openai.md`.
"""

import hashlib
from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request

from app.db.timestamps import now
from app.http.idempotency import IdempotentRequest, oldest_kept
from app.http.references import ChatRef
from app.models import Chat, Idempotency

HEADER = "x-stainless-retry-count"
# The client waits ten minutes for a response, and tries three times.
RECOGNISED_FOR = timedelta(minutes=30)


def is_retry(request: Request) -> bool:
    """Whether a call is a retry, by its header."""
    count = request.headers.get(HEADER, "0")
    return count.isascii() and count.isdigit() and int(count[:9]) > 0


def retried_request(ref: ChatRef, body: bytes) -> IdempotentRequest:
    """The request that a retry with this body leaves a marker of, for a first attempt that comes after it."""
    assert ref.chat_id is not None
    return IdempotentRequest(_route(ref.chat_id), _post(body), "")


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
        key = (self._chat.user_id, _route(self._chat.chat_id), f"DELETE {message_id} {index}")
        marker = await self._session.get(Idempotency, key)
        return marker is not None and marker.created_at >= oldest_kept()

    async def mark_retried(self, body: bytes) -> None:
        """Marks that a retry stored the items of its body."""
        await self._put(_post(body))

    async def _put(self, key: str) -> None:
        chat = self._chat
        marker = Idempotency(
            user_id=chat.user_id,
            route=_route(chat.chat_id),
            key=key,
            request_sha256="",
            status=200,
            body="",
            chat_id=chat.chat_id,
            created_at=now(),
        )
        await self._session.merge(marker)


def _route(chat_id: str) -> str:
    # It begins with no HTTP method, so that no client can name it as a route.
    return f"retries {chat_id}"


def _post(body: bytes) -> str:
    return f"POST {hashlib.sha256(body).hexdigest()}"
