"""The first schema: chats and messages, the event log, the search index, the counters, API keys."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import context, op

from app.db.citus import distribute_function, distribute_table
from app.db.migrations import run_sql_file
from app.db.types import Id, Json, Key, UtcDateTime
from app.messages.append.postgres import APPEND, LOOKUPS, extraction

# Until 0.1.0 this migration is changed in place. It is another revision then: a database made before is refused.
revision = "0001_2026_11_29"
down_revision = None
branch_labels = None
depends_on = None

CHAT = ("user_id", "chat_id")
MESSAGE = (*CHAT, "seq")
# In the order in which they are made: a table comes after the one that it refers to.
TABLES = (
    "chats",
    "moved_chats",
    "messages",
    "segments",
    "revisions",
    "feedback",
    "streaming_messages",
    "chunks",
    "api_keys",
    "tickets",
    "idempotency",
    "feeds",
    "changes",
    "documents",
    "buckets",
    "indexing",
    "usage",
    "usage_by",
    "usage_time_buckets",
)


def _is_postgres() -> bool:
    return context.get_context().dialect.name == "postgresql"


def _where(condition: str) -> dict[str, sa.TextClause]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _belongs_to(table: str, key: Sequence[str], name: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(key, [f"{table}.{column}" for column in key], name=name, ondelete="CASCADE")


def _counters(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def _create_table(name: str, *columns: sa.schema.SchemaItem) -> None:
    op.create_table(name, *columns)
    distribute_table(name)


def upgrade() -> None:
    _create_table(
        "chats",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.Column("key", Key()),
        sa.Column("title", sa.Text()),
        sa.Column("summary", sa.Text()),
        sa.Column("summary_until_seq", sa.Integer()),
        sa.Column("platform", sa.Text()),
        sa.Column("tags", Json(), nullable=False),
        sa.Column("is_pinned", sa.Boolean(), nullable=False),
        sa.Column("metadata", Json(), nullable=False),
        sa.Column("forked_from", Id()),
        sa.Column("forked_at", Id()),
        sa.Column("source", sa.Text()),
        sa.Column("lease_token", sa.BigInteger()),
        sa.Column("lease_holder", sa.Text()),
        sa.Column("lease_until", UtcDateTime()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("listed_at", UtcDateTime(), nullable=False),
        sa.Column("archived_at", UtcDateTime()),
        sa.Column("deleted_at", UtcDateTime()),
        sa.Column("expires_at", UtcDateTime()),
        sa.Column("segment", sa.Integer(), nullable=False),
        sa.Column("tree_version", sa.Integer(), nullable=False),
        sa.Column("last_segment", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False),
        sa.Column("message_count", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("head_seq", sa.Integer()),
        sa.Column("head_id", Id()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("last_activity_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint(*CHAT, name="pk_chats"),
    )
    op.create_index(
        "ix_chats_expires_at", "chats", ["expires_at"], **_where("expires_at IS NOT NULL AND deleted_at IS NULL")
    )
    for name, condition in (
        ("active", "deleted_at IS NULL AND archived_at IS NULL"),
        ("archived", "deleted_at IS NULL AND archived_at IS NOT NULL"),
        ("trash", "deleted_at IS NOT NULL"),
    ):
        for order in ("listed_at", "created_at", "updated_at"):
            op.create_index(f"ix_chats_{name}_{order}", "chats", ["user_id", order, "chat_id"], **_where(condition))
    op.create_index(
        "uq_chats_key", "chats", ["user_id", "key"], unique=True, **_where("key IS NOT NULL AND deleted_at IS NULL")
    )
    op.create_index("uq_chats_source", "chats", ["user_id", "source"], unique=True, **_where("source IS NOT NULL"))
    if _is_postgres():
        # Room on each page for what appends change of a chat: with it, they leave the indexes alone.
        op.execute("ALTER TABLE chats SET (fillfactor = 50)")
    _create_table(
        "moved_chats",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.PrimaryKeyConstraint(*CHAT, name="pk_moved_chats"),
        _belongs_to("chats", CHAT, "fk_moved_chats_chat"),
    )
    _create_table(
        "messages",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("message_id", Id(), nullable=False),
        sa.Column("key", sa.Text()),
        sa.Column("parent_seq", sa.Integer()),
        sa.Column("segment", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("content", Json()),
        sa.Column("tool_calls", Json()),
        sa.Column("tool_call_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("model", sa.Text()),
        sa.Column("tokens", sa.BigInteger()),
        sa.Column("input_tokens", sa.BigInteger()),
        sa.Column("output_tokens", sa.BigInteger()),
        sa.Column("status", sa.Text()),
        sa.Column("metadata", Json()),
        sa.Column("payload", Json()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("edited_at", UtcDateTime()),
        sa.PrimaryKeyConstraint(*MESSAGE, name="pk_messages"),
        _belongs_to("chats", CHAT, "fk_messages_chat"),
    )
    op.create_index("ix_messages_instructions", "messages", MESSAGE, **_where("role IN ('system', 'developer')"))
    op.create_index(
        "ix_messages_parent",
        "messages",
        [*CHAT, "parent_seq", "seq"],
        **_where("parent_seq IS NULL OR parent_seq < seq - 1"),
    )
    op.create_index("ix_messages_segment", "messages", [*CHAT, "segment", "seq"], **_where("segment > 0"))
    op.create_index("uq_messages_key", "messages", [*CHAT, "key"], unique=True, **_where("key IS NOT NULL"))
    op.create_index("uq_messages_message_id", "messages", ["user_id", "message_id"], unique=True)
    _create_table(
        "segments",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.Column("segment", sa.Integer(), nullable=False),
        sa.Column("parent_segment", sa.Integer()),
        sa.Column("fork_seq", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(*CHAT, "segment", name="pk_segments"),
        _belongs_to("chats", CHAT, "fk_segments_chat"),
    )
    _create_table(
        "revisions",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("content", Json()),
        sa.Column("tool_calls", Json()),
        sa.Column("tool_call_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("model", sa.Text()),
        sa.Column("tokens", sa.BigInteger()),
        sa.Column("input_tokens", sa.BigInteger()),
        sa.Column("output_tokens", sa.BigInteger()),
        sa.Column("status", sa.Text()),
        sa.Column("metadata", Json()),
        sa.Column("replaced_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint(*MESSAGE, "revision", name="pk_revisions"),
        _belongs_to("messages", MESSAGE, "fk_revisions_message"),
    )
    _create_table(
        "feedback",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("text", sa.Text()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint(*MESSAGE, "caller", name="pk_feedback"),
        _belongs_to("messages", MESSAGE, "fk_feedback_message"),
    )
    _create_table(
        "streaming_messages",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("stored", sa.Integer(), nullable=False),
        sa.Column("lease_token", sa.BigInteger()),
        sa.Column("touched_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint(*MESSAGE, name="pk_streaming_messages"),
        _belongs_to("messages", MESSAGE, "fk_streaming_messages_message"),
    )
    op.create_index("ix_streaming_messages_touched_at", "streaming_messages", ["touched_at"])
    _create_table(
        "chunks",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(*MESSAGE, "start", name="pk_chunks"),
        _belongs_to("streaming_messages", MESSAGE, "fk_chunks_streaming_message"),
    )
    _create_table(
        "api_keys",
        sa.Column("key_id", Id(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text()),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("scopes", Json(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime()),
        sa.Column("revoked_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
    )
    op.create_index("uq_api_keys_sha256", "api_keys", ["sha256"], unique=True)
    _create_table(
        "tickets",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("scopes", Json(), nullable=False),
        sa.Column("caller_until", UtcDateTime()),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "sha256", name="pk_tickets"),
    )
    _create_table(
        "idempotency",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_sha256", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("chat_id", Id()),
        sa.Column("first_seq", sa.Integer()),
        sa.Column("parent_id", Id()),
        sa.Column("siblings", Json()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "route", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
    _create_table(
        "feeds",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("pruned", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_feeds"),
    )
    _create_table(
        "changes",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("events", Json(), nullable=False),
        sa.Column("deltas", Json()),
        sa.PrimaryKeyConstraint("user_id", "position", name="pk_changes"),
    )
    _create_table(
        "documents",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("doc", sa.BigInteger(), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(*MESSAGE, name="pk_documents"),
    )
    _create_table(
        "buckets",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("oldest", UtcDateTime(), nullable=False),
        sa.Column("newest", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "bucket", name="pk_buckets"),
    )
    _create_table(
        "indexing",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("tokenizer", sa.Integer(), nullable=False),
        sa.Column("rebuilt_chat", Id()),
        sa.Column("rebuilt_seq", sa.Integer()),
        sa.PrimaryKeyConstraint("user_id", name="pk_indexing"),
    )
    _create_table(
        "usage",
        sa.Column("user_id", sa.Text(), nullable=False),
        *_counters(
            "position", "active_chats", "deleted_chats", "messages", "input_tokens", "output_tokens", "total_tokens"
        ),
        sa.Column("longest", sa.Integer()),
        sa.Column("first_at", UtcDateTime()),
        sa.Column("last_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("user_id", name="pk_usage"),
    )
    _create_table(
        "usage_by",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        *_counters("active_chats", "deleted_chats", "messages", "input_tokens", "output_tokens", "total_tokens"),
        sa.PrimaryKeyConstraint("user_id", "kind", "name", name="pk_usage_by"),
    )
    _create_table(
        "usage_time_buckets",
        sa.Column("user_id", sa.Text(), nullable=False),
        *_counters("time_bucket", "chats", "messages", "input_tokens", "output_tokens", "total_tokens"),
        sa.PrimaryKeyConstraint("user_id", "time_bucket", name="pk_usage_time_buckets"),
    )
    if _is_postgres():
        run_sql_file("messages/append/lookups.sql")
        run_sql_file("messages/append/append.sql", extraction())
        for signature in LOOKUPS:
            distribute_function(signature)
        distribute_function(APPEND, by_owner=True)
        run_sql_file("search/postgres.sql")
    else:
        run_sql_file("search/sqlite.sql")


def downgrade() -> None:
    if _is_postgres():
        for function in ("chatkeep_append", "chatkeep_find_message", "chatkeep_children"):
            op.execute(f"DROP FUNCTION {function}")
    else:
        op.execute("DROP TABLE search_index")
        op.execute("DROP TABLE search_numbers")
    for table in reversed(TABLES):
        op.drop_table(table)
    if _is_postgres():
        # After the index on documents that calls it.
        op.execute("DROP FUNCTION chatkeep_terms")
        op.execute("DROP SEQUENCE search_numbers")
