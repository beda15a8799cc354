"""Queries that the stores of messages share: finding a message, and keeping its chat's counters right."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.timestamps import now
from app.http.errors import NotFound
from app.http.references import KEY_PREFIX, is_uuid, parse_key
from app.messages.append.new_message import token_counts
from app.models import Chat, Message
from app.models.message import MAX_SEQ


def in_chat(chat: Chat) -> ColumnElement[bool]:
    """The condition for the messages of a chat."""
    return (col(Message.user_id) == chat.user_id) & (col(Message.chat_id) == chat.chat_id)


def parse_message_ref(message: str) -> tuple[str, Any]:
    """The column by which a text names a message, `seq`, `message_id` or `key`, and its value.

    Raises NotFound for a text that can name none.
    """
    if message.isascii() and message.isdigit() and len(message) <= 10 and int(message) <= MAX_SEQ:
        return "seq", int(message)
    if is_uuid(message):
        return "message_id", message.lower()
    if message.startswith(KEY_PREFIX):
        return "key", parse_key(message)
    raise NotFound


async def find_message(session: AsyncSession, chat: Chat, message: str) -> Message:
    """A message of a chat, by `message_id`, seq or `key:` and its key. Raises NotFound."""
    column, value = parse_message_ref(message)
    statement = select(Message).where(in_chat(chat), getattr(Message, column) == value)
    row: Message | None = (await session.execute(statement)).scalar_one_or_none()
    if row is None:
        raise NotFound
    return row


def tokens_of(message: Message) -> tuple[int, int, int]:
    """The input, output and total tokens of a message."""
    return token_counts(message.tokens, message.input_tokens, message.output_tokens)


def add_to_counters(chat: Chat, messages: int, tokens: Sequence[int]) -> None:
    """Adds messages and their input, output and total tokens to a chat's counters."""
    chat.message_count += messages
    chat.input_tokens += tokens[0]
    chat.output_tokens += tokens[1]
    chat.total_tokens += tokens[2]


def record_activity(chat: Chat) -> None:
    """Raises the version of a chat whose messages change, and the time of its last activity."""
    chat.version += 1
    is_moved = chat.listed_at < chat.last_activity_at
    chat.last_activity_at = max(chat.last_activity_at, now())
    if not is_moved:
        chat.listed_at = chat.last_activity_at
