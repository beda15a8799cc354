"""The client of Chatkeep, the conversation store for AI agents: `Chatkeep` is sync, `AsyncChatkeep` async.

Importing it is quick: heavy modules such as httpx2 and asyncio are imported where they are first needed.
"""

from chatkeep._async.client import AsyncChatkeep
from chatkeep._sync.client import Chatkeep
from chatkeep.call import UNSET
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
