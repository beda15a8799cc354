"""What is searched, what is counted, and where an imported chat came from."""

from pathlib import Path

import sqlalchemy as sa
from alembic import context, op

from app.db.types import Id, Json, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TOTALS = ("messages", "input_tokens", "output_tokens", "total_tokens")
_IMPORTED = "source IS NOT NULL"
_HERE = Path(__file__).parent


def _is_postgres() -> bool:
    return context.get_context().dialect.name == "postgresql"


def _counters(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def upgrade() -> None:
    op.add_column("chats", sa.Column("source", sa.Text()))
    op.create_index(
        "uq_chats_source",
        "chats",
        ["user_id", "source"],
        unique=True,
        sqlite_where=sa.text(_IMPORTED),
        postgresql_where=sa.text(_IMPORTED),
    )
    op.add_column("changes", sa.Column("counts", Json()))
    op.create_table(
        "usage",
        sa.Column("user_id", sa.Text(), nullable=False),
        *_counters("position", "active_chats", "deleted_chats", *_TOTALS),
        sa.Column("longest", sa.Integer()),
        sa.Column("first_at", UtcDateTime()),
        sa.Column("last_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("user_id", name="pk_usage"),
    )
    op.create_table(
        "usage_by",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        *_counters("active_chats", "deleted_chats", *_TOTALS),
        sa.PrimaryKeyConstraint("user_id", "kind", "name", name="pk_usage_by"),
    )
    op.create_table(
        "usage_slots",
        sa.Column("user_id", sa.Text(), nullable=False),
        *_counters("slot", "chats", *_TOTALS),
        sa.PrimaryKeyConstraint("user_id", "slot", name="pk_usage_slots"),
    )
    op.create_table(
        "documents",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("doc", sa.BigInteger(), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("chat_id", Id(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "doc", name="pk_documents"),
    )
    op.create_index("uq_documents_message", "documents", ["user_id", "chat_id", "seq"], unique=True)
    op.create_table(
        "buckets",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("oldest", UtcDateTime(), nullable=False),
        sa.Column("newest", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "bucket", name="pk_buckets"),
    )
    op.create_table(
        "indexing",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("tokenizer", sa.Integer(), nullable=False),
        sa.Column("rebuilt_chat", Id()),
        sa.Column("rebuilt_seq", sa.Integer()),
        sa.PrimaryKeyConstraint("user_id", name="pk_indexing"),
    )
    if _is_postgres():
        op.execute("DROP FUNCTION chatkeep_append")
        op.execute((_HERE / "0003_append.sql").read_text())
        for statement in _statements("0003_search_postgres.sql"):
            op.execute(statement)
    else:
        for statement in _statements("0003_search_sqlite.sql"):
            op.execute(statement)
    _count_what_is_there()


def _statements(name: str) -> list[str]:
    """The statements of a file, each ended by a line with `--;` alone: a trigger's own have semicolons too."""
    return (_HERE / name).read_text().split("--;\n")


def _count_what_is_there() -> None:
    """Fills the counters from the messages, once: from now on they are kept with the writes."""
    if _is_postgres():
        slot = (
            "CASE WHEN isfinite(created_at) THEN floor(extract(epoch FROM created_at) / 900)::bigint "
            "WHEN created_at > now() THEN 281558111 ELSE -69039552 END"
        )
        as_json, greatest = "coalesce(to_json({0})::text, 'null')", "greatest"
    else:
        seconds = "CAST(strftime('%s', substr(created_at, 1, 19)) AS INTEGER)"
        slot = f"({seconds} - (({seconds} % 900) + 900) % 900) / 900"
        as_json, greatest = "json_quote({0})", "max"
    total = "coalesce(tokens, coalesce(input_tokens, 0) + coalesce(output_tokens, 0))"
    sums = f"count(*), sum(coalesce(input_tokens, 0)), sum(coalesce(output_tokens, 0)), sum({total})"
    active = "sum(CASE WHEN deleted_at IS NULL THEN 1 ELSE 0 END)"
    deleted = "sum(CASE WHEN deleted_at IS NULL THEN 0 ELSE 1 END)"
    of_chats = f"{active}, {deleted}, sum(message_count), sum(input_tokens), sum(output_tokens), sum(total_tokens)"
    columns = f"active_chats, deleted_chats, {', '.join(_TOTALS)}"
    op.execute(
        f"INSERT INTO usage (user_id, position, {columns}, longest, first_at, last_at) "
        "SELECT user_id, coalesce((SELECT f.position FROM feeds f WHERE f.user_id = chats.user_id), 0), "
        f"{of_chats}, max(message_count), min(created_at), max({greatest}(last_activity_at, updated_at)) "
        "FROM chats GROUP BY user_id"
    )
    # Users whose chats are all gone; their feeds are read.
    op.execute(
        f"INSERT INTO usage (user_id, position, {columns}, longest) SELECT user_id, position, 0, 0, 0, 0, 0, 0, 0 "
        "FROM feeds WHERE NOT EXISTS (SELECT 1 FROM usage u WHERE u.user_id = feeds.user_id)"
    )
    op.execute(
        f"INSERT INTO usage_by (user_id, kind, name, {columns}) "
        f"SELECT user_id, 'platform', {as_json.format('platform')}, {of_chats} FROM chats GROUP BY user_id, platform"
    )
    for kind in ("role", "model"):
        op.execute(
            f"INSERT INTO usage_by (user_id, kind, name, {columns}) "
            f"SELECT user_id, '{kind}', {as_json.format(kind)}, 0, 0, {sums} FROM messages GROUP BY user_id, {kind}"
        )
    op.execute(
        f"INSERT INTO usage_slots (user_id, slot, chats, {', '.join(_TOTALS)}) "
        f"SELECT user_id, {slot}, 0, {sums} FROM messages GROUP BY 1, 2"
    )
    op.execute(
        f"INSERT INTO usage_slots (user_id, slot, chats, {', '.join(_TOTALS)}) "
        f"SELECT user_id, {slot}, count(*), 0, 0, 0, 0 FROM chats WHERE true GROUP BY 1, 2 "
        "ON CONFLICT (user_id, slot) DO UPDATE SET chats = excluded.chats"
    )


def downgrade() -> None:
    if _is_postgres():
        op.execute("DROP FUNCTION chatkeep_append")
        op.execute((_HERE / "0002_append.sql").read_text())
    else:
        op.execute("DROP TABLE search_index")
        op.execute("DROP TABLE search_numbers")
    for table in ("indexing", "buckets", "documents", "usage_slots", "usage_by", "usage"):
        op.drop_table(table)
    if _is_postgres():
        op.execute("DROP FUNCTION chatkeep_terms")
        op.execute("DROP SEQUENCE search_numbers")
    op.drop_column("changes", "counts")
    op.drop_index("uq_chats_source", "chats")
    op.drop_column("chats", "source")
