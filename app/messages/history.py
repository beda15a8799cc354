"""The SQL of a page of messages. Hot: it runs on the driver, as one range of the primary key.

The page and the chat's version are read by one statement, so that they belong together. Every message is on the
active branch so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import InvalidCursor
from app.messages.rows import COLUMNS, FIELDS
from app.messages.schemas import HistoryQuery
from app.paging import MAX_LIMIT, decode_cursor, encode_cursor

_OWN = f"SELECT {COLUMNS} FROM messages WHERE user_id = $1 AND chat_id = $2"
_TURN = (
    "SELECT seq FROM messages WHERE user_id = $1 AND chat_id = $2 AND role = 'user' ORDER BY seq DESC LIMIT 1 OFFSET {}"
)


@dataclass(frozen=True, slots=True)
class History:
    """A statement for a page of messages; its first two arguments are the user and the chat's id.

    Its rows are the message's COLUMNS, which are NULL when the page is empty, and last the chat's version.

    Attributes:
        limit: how many of the rows belong to the page; one more says that there are more.
    """

    statement: str
    arguments: tuple[Any, ...]
    limit: int


def _page(messages: str, order: str) -> str:
    # A UUID would become an object in asyncpg and a text again in us: the database gives the text itself.
    columns = ", ".join("CAST(m.message_id AS TEXT)" if name == "message_id" else f"m.{name}" for name in FIELDS)
    return (
        f"SELECT {columns}, c.version FROM chats c LEFT JOIN ({messages}) AS m ON TRUE "
        f"WHERE c.user_id = $1 AND c.chat_id = $2 AND c.deleted_at IS NULL ORDER BY m.seq {order}"
    )


def history(user_id: str, chat: str, query: HistoryQuery) -> History:
    """The statement for what a query asks for. `chat` is how the caller names it. Raises InvalidCursor (400)."""
    if query.around_seq is not None:
        return _around(query.around_seq, query.limit)
    filters = (("role =", query.role), ("seq >", query.after_seq), ("seq <", query.before_seq))
    conditions = [(condition, value) for condition, value in filters if value is not None]
    if query.last is not None:
        return History(_page(_range(conditions, "DESC", query.last), "ASC"), _values(conditions), query.last)
    # The turns asked for are all meant, so a page of them is as long as pages get.
    limit = MAX_LIMIT if query.max_turns is not None and "limit" not in query.model_fields_set else query.limit
    start = ""
    if query.cursor is not None:
        conditions.append(("seq >" if query.order == "asc" else "seq <", _position(user_id, chat, query)))
    elif query.max_turns is not None:
        start = f" AND seq >= coalesce(({_TURN.format(query.max_turns - 1)}), 0)"
    statement = _page(_range(conditions, query.order, limit + 1, start), query.order)
    return History(statement, _values(conditions), limit)


def _range(conditions: Sequence[tuple[str, Any]], order: str, limit: int, more: str = "") -> str:
    filters = "".join(f" AND {condition} ${number}" for number, (condition, _) in enumerate(conditions, 3))
    return f"{_OWN}{filters}{more} ORDER BY seq {order} LIMIT {limit}"


def _values(conditions: Sequence[tuple[str, Any]]) -> tuple[Any, ...]:
    return tuple(value for _, value in conditions)


def _around(seq: int, limit: int) -> History:
    before = f"{_OWN} AND seq < $3 ORDER BY seq DESC LIMIT {limit // 2}"
    after = f"{_OWN} AND seq >= $3 ORDER BY seq LIMIT {limit - limit // 2}"
    both = f"SELECT * FROM ({before}) AS before UNION ALL SELECT * FROM ({after}) AS after"
    return History(_page(both, "ASC"), (seq,), limit)


def cursor_after(user_id: str, chat: str, query: HistoryQuery, seq: int) -> str | None:
    """The cursor for the page that begins after the message `seq`, where the query has pages."""
    if query.last is not None or query.around_seq is not None:
        return None
    return encode_cursor(_binding(user_id, chat, query), [seq])


def _binding(user_id: str, chat: str, query: HistoryQuery) -> list[Any]:
    return ["messages", user_id, chat, query.order, query.role, query.after_seq, query.before_seq, query.max_turns]


def _position(user_id: str, chat: str, query: HistoryQuery) -> int:
    position = decode_cursor(query.cursor or "", _binding(user_id, chat, query))
    if len(position) != 1 or type(position[0]) is not int or not 0 <= position[0] < 2**31:
        raise InvalidCursor
    return position[0]
