"""The SQL of a page of messages. Hot: it runs on the driver, as one range of the primary key.

The page and the chat's version are read by one statement, so that they belong together. A chat of one line, as most
are, is read here whole; the branches of one that has several in `app.messages.branching.segments`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.db.driver import Row
from app.http.errors import InvalidCursor
from app.http.paging import MAX_LIMIT, decode_cursor, encode_cursor
from app.messages.schemas import HistoryQuery
from app.messages.serialize import FIELDS, PLACED, columns

_PARENT = len(FIELDS)
_OWN = "m.user_id = $1 AND m.chat_id = $2"
_ALONE = f"SELECT {', '.join('m.' + name for name in FIELDS)} FROM messages m WHERE {_OWN}"
_PLACED = f"{PLACED} WHERE {_OWN}"
_TURN = (
    "SELECT seq FROM messages WHERE user_id = $1 AND chat_id = $2 AND role = 'user' ORDER BY seq DESC LIMIT 1 OFFSET {}"
)

# A message, as a row that begins with FIELDS, and the id of the one it follows.
Placed = tuple[Row, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """Which messages of a branch or of a tree are wanted: those between two seqs, of a role if one is named.

    `also` is a condition on `m` of our own.
    """

    after: int | None
    before: int | None
    role: str | None
    order: str
    limit: int
    also: str | None = None

    def conditions(self, first: int) -> tuple[str, tuple[Any, ...]]:
        """The span as SQL on `m`, with parameters from `$first` on, and their values."""
        filters = (("m.role =", self.role), ("m.seq >", self.after), ("m.seq <", self.before))
        given = [(condition, value) for condition, value in filters if value is not None]
        sql = "".join(f" AND {condition} ${number}" for number, (condition, _) in enumerate(given, first))
        if self.also is not None:
            sql += f" AND {self.also}"
        return sql, tuple(value for _, value in given)


def span(user_id: str, chat: str, query: HistoryQuery) -> Span:
    """What a query without a window asks for. `chat` is how the caller names it. Raises InvalidCursor (400)."""
    # The turns asked for are all meant, so a page of them is as long as pages get.
    limit = MAX_LIMIT if query.max_turns is not None and "limit" not in query.model_fields_set else query.limit
    after, before = query.after_seq, query.before_seq
    if query.cursor is not None:
        position = _position(user_id, chat, query)
        if query.order == "asc":
            after = max(position, after or 0)
        else:
            before = min(position, before or position)
    return Span(after, before, query.role, query.order, limit)


@dataclass(frozen=True, slots=True)
class History:
    """A statement for a page of messages; its first two arguments are the user and the chat's id.

    Its rows are the message's FIELDS, which are NULL when the page is empty, the id of the one it follows if
    `has_parents`, and last the chat's version and, if `of_tree`, its tree. Where it has no parents, each message of the
    page follows the one next to it: the message before the page is read as well.

    Attributes:
        limit: how many of the rows belong to the page; one more says that there are more.
        floor: a row up to this seq is not of the page.
    """

    statement: str
    arguments: tuple[Any, ...]
    limit: int
    has_parents: bool = False
    of_tree: bool = False
    descending: bool = False
    is_tail: bool = False
    floor: int | None = None

    def version(self, rows: Sequence[Row]) -> tuple[int, int]:
        """The version and the tree that the chat had."""
        return rows[0][-2:] if self.of_tree else (rows[0][-1], 0)

    def page(self, rows: Sequence[Row]) -> tuple[Sequence[Placed], bool]:
        """The messages of the page, and whether there are more."""
        if rows and rows[0][0] is None:
            return [], False
        if self.has_parents:
            return [(row, row[_PARENT]) for row in rows[: self.limit]], len(rows) > self.limit
        ids = [row[0] for row in rows]
        if self.descending:
            return list(zip(rows[: self.limit], [*ids[1:], None], strict=False)), len(rows) > self.limit
        placed = list(zip(rows, [None, *ids], strict=False))
        if self.is_tail:
            return placed[-self.limit :], False
        if self.floor is not None and rows[0][1] <= self.floor:
            del placed[0]
        return placed[: self.limit], len(placed) > self.limit


def history(user_id: str, chat: str, query: HistoryQuery) -> History:
    """The statement for what a query asks for, in a chat of one line or, with `tree`, in all of a chat.

    `chat` is how the caller names it. Raises InvalidCursor (400).
    """
    if query.around_seq is not None:
        return _around(query.around_seq, query.limit, query.tree)
    if query.last is not None:
        tail = Span(query.after_seq, query.before_seq, query.role, "DESC", query.last)
        if query.role is not None or query.tree:
            return _simple(tail, "ASC", query.tree)
        sql, values = tail.conditions(3)
        statement = _page(f"{_ALONE}{sql} ORDER BY m.seq DESC LIMIT {query.last + 1}", "ASC", query.tree)
        return History(statement, values, query.last, is_tail=True)
    wanted = span(user_id, chat, query)
    sql, values = wanted.conditions(3)
    beginning = query.max_turns is not None and query.cursor is None
    if query.tree or query.role is not None or beginning or (query.order == "desc" and wanted.after is not None):
        start = f" AND m.seq >= coalesce(({_TURN.format((query.max_turns or 1) - 1)}), 0)" if beginning else ""
        return _simple(wanted, query.order, query.tree, start)
    following = f"{_ALONE}{sql} ORDER BY m.seq {query.order} LIMIT {wanted.limit + 1}"
    if query.order == "desc" or wanted.after is None:
        return History(_page(following, query.order), values, wanted.limit, descending=query.order == "desc")
    before = f"{_ALONE} AND m.seq <= $3 ORDER BY m.seq DESC LIMIT 1"
    return History(_page(_both(before, following), "ASC"), values, wanted.limit, floor=wanted.after)


def _simple(wanted: Span, order: str, tree: bool, start: str = "") -> History:
    sql, values = wanted.conditions(3)
    more = 0 if order != wanted.order else 1
    statement = f"{_PLACED}{sql}{start} ORDER BY m.seq {wanted.order} LIMIT {wanted.limit + more}"
    statement = _page(statement, order, tree, has_parents=True)
    return History(statement, values, wanted.limit, has_parents=True, of_tree=tree)


def _around(seq: int, limit: int, tree: bool) -> History:
    before = f"{_PLACED} AND m.seq < $3 ORDER BY m.seq DESC LIMIT {limit // 2}"
    after = f"{_PLACED} AND m.seq >= $3 ORDER BY m.seq LIMIT {limit - limit // 2}"
    statement = _page(_both(before, after), "ASC", tree, has_parents=True)
    return History(statement, (seq,), limit, has_parents=True, of_tree=tree)


def _both(before: str, after: str) -> str:
    return f"SELECT * FROM ({before}) AS before UNION ALL SELECT * FROM ({after}) AS after"


def _page(messages: str, order: str, tree: bool = False, *, has_parents: bool = False) -> str:
    parent = "r.parent_id, " if has_parents else ""
    version, one_line = ("c.version, c.tree_version", "") if tree else ("c.version", " AND c.tree_version = 0")
    return (
        f"SELECT {columns('r')}, {parent}{version} FROM chats c LEFT JOIN ({messages}) AS r ON TRUE "
        f"WHERE c.user_id = $1 AND c.chat_id = $2 AND c.deleted_at IS NULL{one_line} ORDER BY r.seq {order}"
    )


def cursor_after(user_id: str, chat: str, query: HistoryQuery, seq: int) -> str | None:
    """The cursor for the page that begins after the message `seq`, where the query has pages."""
    if query.last is not None or query.around_seq is not None:
        return None
    return encode_cursor(_binding(user_id, chat, query), [seq])


def _binding(user_id: str, chat: str, query: HistoryQuery) -> list[Any]:
    filters = [query.order, query.role, query.after_seq, query.before_seq, query.max_turns, query.head, query.tree]
    return ["messages", user_id, chat, *filters]


def _position(user_id: str, chat: str, query: HistoryQuery) -> int:
    position = decode_cursor(query.cursor or "", _binding(user_id, chat, query))
    if len(position) != 1 or type(position[0]) is not int or not 0 <= position[0] < 2**31:
        raise InvalidCursor
    return position[0]
