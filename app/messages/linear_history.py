"""The SQL of a page of messages, as one range of the primary key. Hot: it runs on the driver.

The page and the chat's version are read by one statement, so that they belong together. It reads chats of one segment,
as most are, and the tree of any chat; branches of several segments are read by `app.messages.branching.branch_reader`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.db.driver import Row
from app.http.paging import MAX_LIMIT, decode_integer_cursor, encode_cursor
from app.messages.schemas import HistoryQuery
from app.messages.serialize import FIELDS, SELECT_WITH_PARENT, columns
from app.models.message import MAX_SEQ

_PARENT_ID = len(FIELDS)
_IN_CHAT = "m.user_id = $1 AND m.chat_id = $2"
_WITHOUT_PARENT = f"SELECT {', '.join('m.' + name for name in FIELDS)} FROM messages m WHERE {_IN_CHAT}"
_WITH_PARENT = f"{SELECT_WITH_PARENT} WHERE {_IN_CHAT}"
_TURN = (
    "SELECT seq FROM messages WHERE user_id = $1 AND chat_id = $2 AND role = 'user' ORDER BY seq DESC LIMIT 1 OFFSET {}"
)

# A message, as a row that begins with FIELDS, and the id of the one it follows.
RowWithParent = tuple[Row, Any]


@dataclass(frozen=True, slots=True)
class PageSpec:
    """Which messages of a branch or of a tree make a page: those between two seqs, of a role if one is named.

    `condition` is one more condition in SQL on `m`, never text of a client.
    """

    after: int | None
    before: int | None
    role: str | None
    order: str
    limit: int
    condition: str | None = None

    def where(self, first: int) -> tuple[str, tuple[Any, ...]]:
        """The conditions as SQL on `m`, with parameters from `$first` on, and their values."""
        filters = (("m.role =", self.role), ("m.seq >", self.after), ("m.seq <", self.before))
        used = [(condition, value) for condition, value in filters if value is not None]
        sql = "".join(f" AND {condition} ${number}" for number, (condition, _) in enumerate(used, first))
        if self.condition is not None:
            sql += f" AND {self.condition}"
        return sql, tuple(value for _, value in used)


def page_spec(user_id: str, chat: str, query: HistoryQuery) -> PageSpec:
    """What a query without a window asks for. `chat` is how the caller names it. Raises InvalidCursor (400)."""
    # The turns asked for are all meant, so a page of them is as long as pages get.
    limit = MAX_LIMIT if query.max_turns is not None and "limit" not in query.model_fields_set else query.limit
    after, before = query.after_seq, query.before_seq
    if query.cursor is not None:
        position = decode_integer_cursor(query.cursor, _binding(user_id, chat, query), 0, MAX_SEQ)
        if query.order == "asc":
            after = max(position, after or 0)
        else:
            before = min(position, before or position)
    return PageSpec(after, before, query.role, query.order, limit)


@dataclass(frozen=True, slots=True)
class PageStatement:
    """A statement for a page of messages; its first two arguments are the user and the chat's id.

    Its rows are the message's FIELDS, which are NULL when the page is empty, the id of the one it follows if
    `has_parents`, and last the chat's version and, if `of_tree`, its tree's. Where it has no parents, each message of
    the page follows the one next to it: the message before the page is read as well.

    Attributes:
        limit: how many of the rows belong to the page; one more says that there are more.
        floor: a row up to this seq is not of the page.
    """

    sql: str
    arguments: tuple[Any, ...]
    limit: int
    has_parents: bool = False
    of_tree: bool = False
    descending: bool = False
    is_tail: bool = False
    floor: int | None = None

    def versions(self, rows: Sequence[Row]) -> tuple[int, int]:
        """The version that the chat had, and its tree's."""
        return rows[0][-2:] if self.of_tree else (rows[0][-1], 0)

    def page(self, rows: Sequence[Row]) -> tuple[Sequence[RowWithParent], bool]:
        """The messages of the page, and whether there are more."""
        if rows and rows[0][0] is None:
            return [], False
        if self.has_parents:
            return [(row, row[_PARENT_ID]) for row in rows[: self.limit]], len(rows) > self.limit
        ids = [row[0] for row in rows]
        if self.descending:
            return list(zip(rows[: self.limit], [*ids[1:], None], strict=False)), len(rows) > self.limit
        messages = list(zip(rows, [None, *ids], strict=False))
        if self.is_tail:
            return messages[-self.limit :], False
        if self.floor is not None and rows[0][1] <= self.floor:
            del messages[0]
        return messages[: self.limit], len(messages) > self.limit


def page_statement(user_id: str, chat: str, query: HistoryQuery) -> PageStatement:
    """The statement for what a query asks for, in a chat of one segment or, with `tree`, in all of a chat.

    `chat` is how the caller names it. Raises InvalidCursor (400).
    """
    if query.around_seq is not None:
        return _around(query.around_seq, query.limit, query.tree)
    if query.last is not None:
        tail = PageSpec(query.after_seq, query.before_seq, query.role, "DESC", query.last)
        if query.role is not None or query.tree:
            return _with_parents(tail, "ASC", query.tree)
        sql, values = tail.where(3)
        sql = _with_version(f"{_WITHOUT_PARENT}{sql} ORDER BY m.seq DESC LIMIT {query.last + 1}", "ASC", query.tree)
        return PageStatement(sql, values, query.last, is_tail=True)
    spec = page_spec(user_id, chat, query)
    sql, values = spec.where(3)
    first_turns = query.max_turns is not None and query.cursor is None
    if query.tree or query.role is not None or first_turns or (query.order == "desc" and spec.after is not None):
        start = f" AND m.seq >= coalesce(({_TURN.format((query.max_turns or 1) - 1)}), 0)" if first_turns else ""
        return _with_parents(spec, query.order, query.tree, start)
    following = f"{_WITHOUT_PARENT}{sql} ORDER BY m.seq {query.order} LIMIT {spec.limit + 1}"
    if query.order == "desc" or spec.after is None:
        sql = _with_version(following, query.order)
        return PageStatement(sql, values, spec.limit, descending=query.order == "desc")
    before = f"{_WITHOUT_PARENT} AND m.seq <= $3 ORDER BY m.seq DESC LIMIT 1"
    return PageStatement(_with_version(_union(before, following), "ASC"), values, spec.limit, floor=spec.after)


def _with_parents(spec: PageSpec, order: str, tree: bool, start: str = "") -> PageStatement:
    sql, values = spec.where(3)
    one_more = 0 if order != spec.order else 1
    sql = f"{_WITH_PARENT}{sql}{start} ORDER BY m.seq {spec.order} LIMIT {spec.limit + one_more}"
    sql = _with_version(sql, order, tree, has_parents=True)
    return PageStatement(sql, values, spec.limit, has_parents=True, of_tree=tree)


def _around(seq: int, limit: int, tree: bool) -> PageStatement:
    before = f"{_WITH_PARENT} AND m.seq < $3 ORDER BY m.seq DESC LIMIT {limit // 2}"
    after = f"{_WITH_PARENT} AND m.seq >= $3 ORDER BY m.seq LIMIT {limit - limit // 2}"
    sql = _with_version(_union(before, after), "ASC", tree, has_parents=True)
    return PageStatement(sql, (seq,), limit, has_parents=True, of_tree=tree)


def _union(before: str, after: str) -> str:
    return f"SELECT * FROM ({before}) AS before UNION ALL SELECT * FROM ({after}) AS after"


def _with_version(messages: str, order: str, tree: bool = False, *, has_parents: bool = False) -> str:
    parent = "r.parent_id, " if has_parents else ""
    version, is_linear = ("c.version, c.tree_version", "") if tree else ("c.version", " AND c.tree_version = 0")
    return (
        f"SELECT {columns('r')}, {parent}{version} FROM chats c LEFT JOIN ({messages}) AS r ON TRUE "
        f"WHERE c.user_id = $1 AND c.chat_id = $2 AND c.deleted_at IS NULL{is_linear} ORDER BY r.seq {order}"
    )


def cursor_after(user_id: str, chat: str, query: HistoryQuery, seq: int) -> str | None:
    """The cursor for the page that begins after the message `seq`, where the query has pages."""
    if query.last is not None or query.around_seq is not None:
        return None
    return encode_cursor(_binding(user_id, chat, query), [seq])


def _binding(user_id: str, chat: str, query: HistoryQuery) -> list[Any]:
    filters = [query.order, query.role, query.after_seq, query.before_seq, query.max_turns, query.head, query.tree]
    return ["messages", user_id, chat, *filters]
