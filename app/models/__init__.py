"""The tables, one file per aggregate. The owner, `user_id`, is the first column of every key and constraint.

That makes isolation structural, keeps one user's rows together, and lets the same tables be distributed by `user_id`.
"""

from sqlmodel import SQLModel

from app.models.api_key import ApiKey as ApiKey
from app.models.chat import Chat as Chat
from app.models.chat import MovedChat as MovedChat
from app.models.document import Bucket as Bucket
from app.models.document import Document as Document
from app.models.document import Indexing as Indexing
from app.models.feed import Change as Change
from app.models.feed import Feed as Feed
from app.models.idempotency import Idempotency as Idempotency
from app.models.message import Feedback as Feedback
from app.models.message import Message as Message
from app.models.message import Revision as Revision
from app.models.message import Segment as Segment
from app.models.streaming_message import Chunk as Chunk
from app.models.streaming_message import StreamingMessage as StreamingMessage
from app.models.ticket import Ticket as Ticket
from app.models.usage import Usage as Usage
from app.models.usage import UsageBy as UsageBy
from app.models.usage import UsageTimeBucket as UsageTimeBucket

metadata = SQLModel.metadata
