"""The tables, one file per aggregate. The owner, `user_id`, is the first column of every key and constraint.

That makes isolation structural, keeps one user's rows together, and lets the same tables be distributed by `user_id`.
"""

from sqlmodel import SQLModel

from app.models.api_key import ApiKey
from app.models.chat import Chat
from app.models.document import Bucket, Document, Indexing
from app.models.feed import Change, Feed
from app.models.idempotency import Idempotency
from app.models.message import Feedback, Message, Revision, Segment
from app.models.streaming_message import Chunk, StreamingMessage
from app.models.ticket import Ticket
from app.models.usage import Usage, UsageBy, UsageTimeBucket

metadata = SQLModel.metadata

__all__ = [
    "ApiKey",
    "Bucket",
    "Change",
    "Chat",
    "Chunk",
    "Document",
    "Feed",
    "Feedback",
    "Idempotency",
    "Indexing",
    "Message",
    "Revision",
    "Segment",
    "StreamingMessage",
    "Ticket",
    "Usage",
    "UsageBy",
    "UsageTimeBucket",
    "metadata",
]
