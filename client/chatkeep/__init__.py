"""The client of Chatkeep, the conversation store for AI agents: `Chatkeep`, and `AsyncChatkeep` to be awaited.

Importing it is quick: what is heavy, such as httpx2 and asyncio, is imported where it is first needed.
"""

from chatkeep.async_client import AsyncChatkeep
from chatkeep.client import Chatkeep
from chatkeep.errors import (
    ApiError,
    BadRequest,
    BodyTooLarge,
    ChatkeepError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    Gone,
    InvalidCursor,
    NotFound,
    PreconditionFailed,
    ServerError,
    StorageFull,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unprocessable,
    UnsupportedMediaType,
)
from chatkeep.models.chats import Chat
from chatkeep.models.messages import Message, MessageIn
from chatkeep.models.model import Page
from chatkeep.request import UNSET

__all__ = [
    "UNSET",
    "ApiError",
    "AsyncChatkeep",
    "BadRequest",
    "BodyTooLarge",
    "Chat",
    "Chatkeep",
    "ChatkeepError",
    "Conflict",
    "ConnectionFailed",
    "Forbidden",
    "Gone",
    "InvalidCursor",
    "Message",
    "MessageIn",
    "NotFound",
    "Page",
    "PreconditionFailed",
    "ServerError",
    "StorageFull",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "Unprocessable",
    "UnsupportedMediaType",
]
