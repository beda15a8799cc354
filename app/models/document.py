"""Search index tables: the words by which a message, or a chat's title and summary, is found.

The full-text index is created by the migrations: an FTS5 table that triggers keep up with `documents` on SQLite, a GIN
index on Postgres. Both have the number of the document's bucket before each word, so that a word is looked up among a
few thousand documents of one user, however many others there are.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Integer, PrimaryKeyConstraint, Text
from sqlmodel import Field, SQLModel

from app.db.types import Id, UtcDateTime
from app.models.registry import owned


@owned("message")
class Document(SQLModel, table=True):
    """The words of a message; with the seq 0, those of a chat's title and summary.

    Attributes:
        doc: its number, which no other document of any user ever has. On SQLite, where the full-text table has nothing
            else of a document, there is an index of it.
        words: its folded words in their order, each between two spaces: ` soft boiled eggs `.
    """

    __tablename__ = "documents"
    __table_args__ = (PrimaryKeyConstraint("user_id", "chat_id", "seq", name="pk_documents"),)

    user_id: str = Field(sa_type=Text)
    doc: int = Field(sa_type=BigInteger)
    bucket: int = Field(sa_type=BigInteger)
    chat_id: str = Field(sa_type=Id)
    seq: int = Field(sa_type=Integer)
    role: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    words: str = Field(sa_type=Text)


@owned("user")
class Bucket(SQLModel, table=True):
    """Some thousand documents of a user, which are searched together. One bucket is filled after the other.

    `size`, `oldest` and `newest` are of all documents that were ever put into it.
    """

    __tablename__ = "buckets"
    __table_args__ = (PrimaryKeyConstraint("user_id", "bucket", name="pk_buckets"),)

    user_id: str = Field(sa_type=Text)
    bucket: int = Field(sa_type=BigInteger)
    size: int = Field(sa_type=Integer)
    oldest: datetime = Field(sa_type=UtcDateTime)
    newest: datetime = Field(sa_type=UtcDateTime)


@owned("user")
class Indexing(SQLModel, table=True):
    """Index progress: how far a user's documents are up to date.

    Attributes:
        position: up to which position of the user's feed.
        tokenizer: the version of the tokenizer that made the words.
        rebuilt_chat, rebuilt_seq: the last message indexed while the index is rebuilt; `position` is where that began.
    """

    __tablename__ = "indexing"
    __table_args__ = (PrimaryKeyConstraint("user_id", name="pk_indexing"),)

    user_id: str = Field(sa_type=Text)
    position: int = Field(sa_type=BigInteger)
    tokenizer: int = Field(sa_type=Integer)
    rebuilt_chat: str | None = Field(default=None, sa_type=Id)
    rebuilt_seq: int | None = Field(default=None, sa_type=Integer)
