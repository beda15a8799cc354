"""The tables of the search: what a message, or a chat's title and summary, is found by.

The index itself is of the database's own kind, and made in the migrations: an FTS5 table that triggers keep up with
`documents`, and a GIN index on Postgres. Both hold a document's words with its bucket's number before each, so that a
word is looked up among one user's few thousand documents, however many there are of others.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer, PrimaryKeyConstraint, Text
from sqlmodel import Field, SQLModel

from app.db.types import Id, UtcDateTime


class Document(SQLModel, table=True):
    """What one message is found by; with the seq 0, what a chat itself is.

    Attributes:
        doc: its number, which no other document of any user ever has.
        words: its words in their order, folded, each between two spaces: ` what is folded `.
    """

    __tablename__ = "documents"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "doc", name="pk_documents"),
        Index("uq_documents_message", "user_id", "chat_id", "seq", unique=True),
    )

    user_id: str = Field(sa_type=Text)
    doc: int = Field(sa_type=BigInteger)
    bucket: int = Field(sa_type=BigInteger)
    chat_id: str = Field(sa_type=Id)
    seq: int = Field(sa_type=Integer)
    role: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    words: str = Field(sa_type=Text)


class Bucket(SQLModel, table=True):
    """Some thousand documents of a user, filled one bucket after the other: what one step of a search looks at.

    `size`, `oldest` and `newest` are of all that were ever put into it.
    """

    __tablename__ = "buckets"
    __table_args__ = (PrimaryKeyConstraint("user_id", "bucket", name="pk_buckets"),)

    user_id: str = Field(sa_type=Text)
    bucket: int = Field(sa_type=BigInteger)
    size: int = Field(sa_type=Integer)
    oldest: datetime = Field(sa_type=UtcDateTime)
    newest: datetime = Field(sa_type=UtcDateTime)


class Indexing(SQLModel, table=True):
    """How far a user's documents are up to date.

    Attributes:
        position: up to which position of the user's feed.
        tokenizer: the version of the tokenizer that made the words.
        rebuilt_chat, rebuilt_seq: while all is indexed anew, the last message that is; `position` is where it began.
    """

    __tablename__ = "indexing"
    __table_args__ = (PrimaryKeyConstraint("user_id", name="pk_indexing"),)

    user_id: str = Field(sa_type=Text)
    position: int = Field(sa_type=BigInteger)
    tokenizer: int = Field(sa_type=Integer)
    rebuilt_chat: str | None = Field(default=None, sa_type=Id)
    rebuilt_seq: int | None = Field(default=None, sa_type=Integer)
