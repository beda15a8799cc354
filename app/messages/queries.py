"""What the stores of messages share: finding a message, and keeping its chat's counters right."""

from typing import Any

from sqlalchemy import select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.timestamps import now
from app.http.errors import NotFound
from app.http.references import is_uuid
from app.messages.append.new_message import counted
from app.messages.branching.tree import END
from app.models import Chat, Message


def of(chat: Chat) -> Any:
    """The condition for the messages of a chat."""
    return (col(Message.user_id) == chat.user_id) & (col(Message.chat_id) == chat.chat_id)


def named(message: str) -> tuple[str, Any]:
    """The column by which a path names a message, and its value. Raises NotFound where it can name none."""
    if message.isascii() and message.isdigit() and len(message) <= 10 and int(message) <= END:
        return "seq", int(message)
    if is_uuid(message):
        return "message_id", message.lower()
    raise NotFound


async def find(session: AsyncSession, chat: Chat, message: str) -> Message:
    """A message of a chat, by `message_id` or seq. Raises NotFound."""
    column, value = named(message)
    statement = select(Message).where(of(chat), getattr(Message, column) == value)
    found: Message | None = (await session.execute(statement)).scalar_one_or_none()
    if found is None:
        raise NotFound
    return found


def tokens_of(message: Message) -> tuple[int, int, int]:
    """The input, output and total tokens of a message."""
    return counted(message.tokens, message.input_tokens, message.output_tokens)


def count(chat: Chat, messages: int, tokens: tuple[int, int, int]) -> None:
    """Adds messages and their input, output and total tokens to a chat's counters."""
    chat.message_count += messages
    chat.input_tokens += tokens[0]
    chat.output_tokens += tokens[1]
    chat.total_tokens += tokens[2]


def touch(chat: Chat) -> None:
    """Marks a chat as changed by its messages."""
    chat.version += 1
    chat.last_activity_at = max(chat.last_activity_at, now())
