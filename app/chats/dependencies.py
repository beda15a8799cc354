"""How routes get the store of chats, and a chat to write to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request

from app.auth.caller import User
from app.chats.store import ChatStore
from app.db.database import Database
from app.http.references import ChatRef
from app.http.services import service
from app.models import Chat


def chat_store(request: Request, user: User) -> ChatStore:
    """The store of the user's chats."""
    return ChatStore(service(request, Database), user.user_id)


@asynccontextmanager
async def locked_chat(request: Request, user: User, ref: ChatRef) -> AsyncIterator[tuple[AsyncSession, Chat]]:
    """A write session and a chat of the user's, which nobody else changes before the session ends. Raises NotFound."""
    async with service(request, Database).write() as session:
        yield session, await chat_store(request, user).find(session, ref)
