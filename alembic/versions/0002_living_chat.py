"""Branches, revisions, feedback, the feed of changes, answers being written, turns."""

from pathlib import Path

import sqlalchemy as sa
from alembic import context, op

from app.db.types import Id, Json, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OWNER = ("user_id", "chat_id")
_HEAD_IDS = """
UPDATE chats SET head_id = (
    SELECT m.message_id FROM messages m
    WHERE m.user_id = chats.user_id AND m.chat_id = chats.chat_id AND m.seq = chats.head_seq
) WHERE head_seq IS NOT NULL
"""


def _partial(condition: str) -> dict[str, sa.TextClause]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _append_function(name: str) -> None:
    if context.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION chatkeep_append")
        op.execute((Path(__file__).parent / name).read_text())


def upgrade() -> None:
    for column in (
        sa.Column("head_id", Id()),
        sa.Column("tree", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("last_branch", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("forked_from", Id()),
        sa.Column("forked_at", Id()),
        sa.Column("lease_token", sa.BigInteger()),
        sa.Column("lease_holder", sa.Text()),
        sa.Column("lease_until", UtcDateTime()),
    ):
        op.add_column("chats", column)
    op.execute(_HEAD_IDS)
    op.add_column("idempotency", sa.Column("parent_id", Id()))
    op.create_index("ix_messages_branch", "messages", [*OWNER, "branch", "seq"], **_partial("branch > 0"))
    op.create_index(
        "ix_messages_instructions", "messages", [*OWNER, "seq"], **_partial("role IN ('system', 'developer')")
    )
    op.create_table(
        "branches",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.Column("branch", sa.Integer(), nullable=False),
        sa.Column("parent_branch", sa.Integer()),
        sa.Column("fork_seq", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(*OWNER, "branch", name="pk_branches"),
        sa.ForeignKeyConstraint(OWNER, ["chats.user_id", "chats.chat_id"], name="fk_branches_chat", ondelete="CASCADE"),
    )
    op.create_table(
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
        sa.PrimaryKeyConstraint(*OWNER, "seq", "revision", name="pk_revisions"),
        _of_message("fk_revisions_message"),
    )
    op.create_table(
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
        sa.PrimaryKeyConstraint(*OWNER, "seq", "caller", name="pk_feedback"),
        _of_message("fk_feedback_message"),
    )
    op.create_table(
        "feeds",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("pruned", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_feeds"),
    )
    op.create_table(
        "changes",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("entries", Json(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "position", name="pk_changes"),
    )
    op.create_table(
        "answers",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("stored", sa.Integer(), nullable=False),
        sa.Column("lease_token", sa.BigInteger()),
        sa.Column("touched_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint(*OWNER, "seq", name="pk_answers"),
        _of_message("fk_answers_message"),
    )
    op.create_index("ix_answers_touched_at", "answers", ["touched_at"])
    op.create_table(
        "pieces",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(*OWNER, "seq", "start", name="pk_pieces"),
        sa.ForeignKeyConstraint(
            [*OWNER, "seq"],
            ["answers.user_id", "answers.chat_id", "answers.seq"],
            name="fk_pieces_answer",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "tickets",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("scopes", Json(), nullable=False),
        sa.Column("caller_until", UtcDateTime()),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "sha256", name="pk_tickets"),
    )
    op.create_index("ix_tickets_sha256", "tickets", ["sha256"])
    _append_function("0002_append.sql")


def _of_message(name: str) -> sa.ForeignKeyConstraint:
    parent = ["messages.user_id", "messages.chat_id", "messages.seq"]
    return sa.ForeignKeyConstraint([*OWNER, "seq"], parent, name=name, ondelete="CASCADE")


def downgrade() -> None:
    _append_function("0001_append.sql")
    for table in ("tickets", "pieces", "answers", "changes", "feeds", "feedback", "revisions", "branches"):
        op.drop_table(table)
    op.drop_index("ix_messages_instructions", "messages")
    op.drop_index("ix_messages_branch", "messages")
    op.drop_column("idempotency", "parent_id")
    for column in (
        "lease_until",
        "lease_holder",
        "lease_token",
        "forked_at",
        "forked_from",
        "last_branch",
        "tree",
        "head_id",
    ):
        op.drop_column("chats", column)
