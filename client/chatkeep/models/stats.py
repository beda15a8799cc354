"""Statistics."""

from pydantic import AwareDatetime

from chatkeep.models.model import Model


class MessageCounts(Model):
    """Counts of messages and tokens of one role, model or platform, depending on the list it is in."""

    role: str | None = None
    model: str | None = None
    platform: str | None = None
    messages: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    conversations: int | None = None


class Totals(Model):
    """Totals of a user, or of all."""

    total_conversations: int
    active_conversations: int
    deleted_conversations: int
    total_messages: int
    total_tokens: int
    total_input_tokens: int
    total_output_tokens: int
    longest_conversation_messages: int
    first_activity_at: AwareDatetime | None
    last_activity_at: AwareDatetime | None


class Stats(Totals):
    """Totals, chats in the trash included."""

    average_messages_per_conversation: float
    average_tokens_per_conversation: float
    longest_conversation_user: str | None
    by_role: list[MessageCounts]
    by_model: list[MessageCounts]
    by_platform: list[MessageCounts]
    total_users: int | None = None


class TopUser(Totals):
    """One of the most active users."""

    user_id: str


class Step(Model):
    """An hour, a day or a week of a series; `start` has the offset of its time zone."""

    start: AwareDatetime
    conversations: int
    messages: int
    input_tokens: int
    output_tokens: int
    total_tokens: int


class Series(Model):
    """A series without holes."""

    by: str
    tz: str
    items: list[Step]


class IndexSize(Model):
    """The size of an index, in bytes."""

    name: str
    bytes: int | None


class TableSize(Model):
    """The size of a table, in bytes."""

    name: str
    bytes: int | None
    index_bytes: int | None
    rows: int | None
    indexes: list[IndexSize]


class Storage(Model):
    """The size of the database, in bytes; None for what it does not tell."""

    database: str
    total_bytes: int
    free_bytes: int | None
    wal_bytes: int | None
    tables: list[TableSize]
