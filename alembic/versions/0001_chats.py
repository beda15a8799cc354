"""Chats, messages, API keys and answers kept for retries."""

from pathlib import Path

import sqlalchemy as sa
from alembic import context, op

from app.db.types import Id, Json, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ORDERS = ("last_activity_at", "created_at", "updated_at")


def _partial(condition: str) -> dict[str, sa.TextClause]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "chats",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.Column("key", sa.Text()),
        sa.Column("title", sa.Text()),
        sa.Column("summary", sa.Text()),
        sa.Column("platform", sa.Text()),
        sa.Column("tags", Json(), nullable=False),
        sa.Column("is_pinned", sa.Boolean(), nullable=False),
        sa.Column("metadata", Json(), nullable=False),
        sa.Column("message_count", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("branch", sa.Integer(), nullable=False),
        sa.Column("head_seq", sa.Integer()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("last_activity_at", UtcDateTime(), nullable=False),
        sa.Column("deleted_at", UtcDateTime()),
        sa.Column("expires_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("user_id", "chat_id", name="pk_chats"),
    )
    op.create_index(
        "uq_chats_key", "chats", ["user_id", "key"], unique=True, **_partial("key IS NOT NULL AND deleted_at IS NULL")
    )
    for name, condition in (("live", "deleted_at IS NULL"), ("trash", "deleted_at IS NOT NULL")):
        for order in ORDERS:
            op.create_index(f"ix_chats_{name}_{order}", "chats", ["user_id", order, "chat_id"], **_partial(condition))
    op.create_index(
        "ix_chats_expires_at", "chats", ["expires_at"], **_partial("expires_at IS NOT NULL AND deleted_at IS NULL")
    )
    op.create_table(
        "messages",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("message_id", Id(), nullable=False),
        sa.Column("parent_seq", sa.Integer()),
        sa.Column("branch", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("content", Json()),
        sa.Column("text", sa.Text(), nullable=False),
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
        sa.PrimaryKeyConstraint("user_id", "chat_id", "seq", name="pk_messages"),
        sa.ForeignKeyConstraint(
            ["user_id", "chat_id"], ["chats.user_id", "chats.chat_id"], name="fk_messages_chat", ondelete="CASCADE"
        ),
    )
    op.create_index("uq_messages_message_id", "messages", ["user_id", "message_id"], unique=True)
    op.create_table(
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
    op.create_table(
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
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "route", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
    if context.get_context().dialect.name == "postgresql":
        op.execute((Path(__file__).parent / "0001_append.sql").read_text())


def downgrade() -> None:
    if context.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION chatkeep_append")
    for table in ("idempotency", "api_keys", "messages", "chats"):
        op.drop_table(table)
