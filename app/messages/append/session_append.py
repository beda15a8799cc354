"""Appends in a session of their own: the slower way, for what the group-commit writer does not do."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request
from starlette.responses import Response
from uuid_utils import uuid7

from app.auth.caller import User
from app.chats.dependencies import chat_store
from app.chats.lease import check_lease
from app.chats.schemas import ChatDetails
from app.chats.store import check_version
from app.db.database import Database
from app.db.timestamps import now
from app.http.errors import NotFound
from app.http.idempotency import IdempotentRequest, StoredResponse, run_idempotent
from app.http.references import ChatRef
from app.http.services import service
from app.messages.append.new_message import NewMessage, new_message
from app.messages.branching.store import BranchStore
from app.messages.dependencies import message_store
from app.messages.edits import message_as_json
from app.messages.schemas import MessageBatch, MessageIn, MessageToAppend
from app.messages.serialize import appended_json
from app.models import Chat, Chunk, StreamingMessage


def parent_of(body: MessageToAppend | MessageBatch) -> str | None:
    """The message that a body's messages follow, as text; "" for none, and None where the body does not say."""
    if "parent" not in body.model_fields_set:
        return None
    return "" if body.parent is None else str(body.parent).lower()


def appended_body(messages: Sequence[bytes], batch: bool) -> bytes:
    """The body of the response to an append: its message, or those of its batch."""
    return b'{"messages":[%b]}' % b",".join(messages) if batch else messages[0]


async def append_in_session(
    request: Request,
    user: User,
    ref: ChatRef,
    messages: Sequence[MessageIn],
    idempotency: IdempotentRequest | None,
    parent: str | None,
    lease_token: int | None,
    batch: bool,
    status: str | None = None,
    if_match: str | None = None,
) -> Response:
    """Appends messages that begin a branch, or only to a certain version, or one in progress.

    Takes what `MessageStore.append` takes, and raises the same, PreconditionFailed (412) and Unprocessable (422).
    """
    async with service(request, Database).write() as session:

        async def append() -> StoredResponse:
            chat = await _find_or_create(session, request, user, ref, parent, lease_token, if_match)
            check_version(chat, if_match)
            check_lease(chat, lease_token)
            at = now()
            new_messages = [new_message(message, at) for message in messages]
            first_seq = chat.last_seq + 1
            await BranchStore(message_store(request, user)).append(session, chat, parent, new_messages, status)
            if status is not None:
                await _start_streaming(session, chat, lease_token, new_messages[0])
            first = await message_as_json(session, chat, first_seq)
            rest = _serialize_rest(chat.chat_id, new_messages, first_seq)
            return StoredResponse(201, appended_body([first, *rest], batch), chat_id=chat.chat_id)

        stored = await run_idempotent(session, user.user_id, idempotency, append)
    return stored.response()


def _serialize_rest(chat_id: str, new_messages: Sequence[NewMessage], first_seq: int) -> list[bytes]:
    """All but the first of new messages, each of which follows the one before it and has no siblings."""
    return [
        appended_json(message.public, chat_id, seq, before.message_id)
        for seq, (before, message) in enumerate(pairwise(new_messages), first_seq + 1)
    ]


async def _start_streaming(session: AsyncSession, chat: Chat, lease_token: int | None, message: NewMessage) -> None:
    """Opens the message that was just appended for chunks; what it begins with is its first one."""
    beginning = message.public.get("content") or ""
    key: dict[str, Any] = {"user_id": chat.user_id, "chat_id": chat.chat_id, "seq": chat.head_seq}
    session.add(StreamingMessage(**key, stored=len(beginning), lease_token=lease_token, touched_at=now()))
    await session.flush()
    if beginning:
        session.add(Chunk(**key, start=0, text=beginning))


async def _find_or_create(
    session: AsyncSession,
    request: Request,
    user: User,
    ref: ChatRef,
    parent: str | None,
    lease_token: int | None,
    if_match: str | None,
) -> Chat:
    """The chat, which is created where it is named by a key, not there yet, and not meant to be of some version."""
    store = chat_store(request, user)
    try:
        return await store.find(session, ref)
    except NotFound:
        if ref.key is None or parent or lease_token is not None or if_match is not None:
            raise
    return await store.create(session, str(uuid7()), ChatDetails(key=ref.key))
