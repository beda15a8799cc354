"""The SQL of a list of chats. Hot: it runs on the driver, as one range of one index for each state asked for.

The list by last activity has a second part for each: the chats of `moved_chats`, which the index has where they were.
These are few, and sorted on the way.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson
from starlette.requests import Request

from app.chats.schemas import ChatFilters, ChatQuery
from app.chats.serialize import COLUMNS, FIELDS
from app.db.driver import Row
from app.db.timestamps import to_iso
from app.http.errors import BadRequest, InvalidCursor
from app.http.paging import decode_cursor, encode_cursor, parse_cursor_timestamp
from app.http.references import is_uuid
from app.models.chat import ACTIVE, ARCHIVED, DELETED

_STATES = {
    "active": (ACTIVE,),
    "archived": (ARCHIVED,),
    "deleted": (DELETED,),
    "all": (ACTIVE, ARCHIVED, DELETED),
}
# The order of the list is that of its index where the database sees that they are one.
_SETTLED_COLUMNS = COLUMNS.replace("last_activity_at", "listed_at AS last_activity_at")

_METADATA_NAME = re.compile(r"[^\"\\\x00-\x1f\ud800-\udfff]{1,128}")

METADATA_PARAMETER: dict[str, Any] = {
    "name": "metadata.<name>",
    "in": "query",
    "schema": {"type": "string"},
    "description": "Only chats whose metadata has this value under this name. For several names, several.",
}


def metadata_filters(request: Request) -> dict[str, str]:
    """The `metadata.<name>=<value>` filters of a request. Raises BadRequest (400) for one that finds nothing."""
    filters: dict[str, str] = {}
    for parameter, value in request.query_params.multi_items():
        if parameter.startswith("metadata."):
            name = parameter.removeprefix("metadata.")
            if not _METADATA_NAME.fullmatch(name) or name in filters or "\0" in value:
                raise BadRequest("A metadata filter is metadata.<name>=<value>, each name once.")
            filters[name] = value
    return filters


class ListSql(Protocol):
    """What differs between databases in the SQL of a list."""

    def has_element(self, column: str, parameter: str) -> str:
        """SQL: the column's array of texts has the parameter's text."""

    def member(self, column: str, parameter: str) -> str:
        """SQL: the JSON text of the object's member that the parameter names."""

    def member_name(self, name: str) -> str:
        """What to pass as the parameter of `member`."""

    def select_moved(self, columns: str, conditions: str) -> str:
        """SQL: columns of the chats of the user `$1` that are in `moved_chats` and meet conditions, each looked up."""

    def merge(self, selects: Sequence[str], order: str) -> str:
        """SQL: the rows of several selects in one order, with its limit, reading no more of each than that takes."""


class FilterConditions:
    """The conditions of a list's filters on `chats`, but for its state, with `$1`, `$2` …, and their arguments.

    Without a user they are those for the chats of all users.
    """

    def __init__(self, user_id: str | None, query: ChatFilters, metadata: Mapping[str, str], sql: ListSql) -> None:
        self.arguments: list[Any] = []
        self.conditions = [] if user_id is None else [f"user_id = {self.parameter(user_id)}"]
        for column, operator, value in (
            ("platform", "=", query.platform),
            ("is_pinned", "=", query.pinned),
            ("created_at", ">", query.created_after),
            ("created_at", "<", query.created_before),
            ("last_activity_at", ">", query.active_after),
            ("last_activity_at", "<", query.active_before),
        ):
            if value is not None:
                self.conditions.append(f"{column} {operator} {self.parameter(value)}")
        if query.key_prefix is not None:
            self.conditions.append(f"key >= {self.parameter(query.key_prefix)}")
            if (end := _end_of_prefix(query.key_prefix)) is not None:
                self.conditions.append(f"key < {self.parameter(end)}")
        for tag in query.tag:
            self.conditions.append(sql.has_element("tags", self.parameter(tag)))
        for name, text in metadata.items():
            member = sql.member("metadata", self.parameter(sql.member_name(name)))
            # `5` finds the number 5 and the text "5": a query string cannot say which was meant.
            as_text = self.parameter(orjson.dumps(text).decode())
            self.conditions.append(f"{member} IN ({as_text}, {self.parameter(text)})")

    def parameter(self, value: Any) -> str:
        """Adds an argument, and returns how SQL names it."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"


def _end_of_prefix(prefix: str) -> str | None:
    """The lowest text after all that begin with a prefix, by code points; None where there is none."""
    begin = prefix.rstrip("\U0010ffff")
    if not begin:
        return None
    following = ord(begin[-1]) + 1
    # No text has a surrogate.
    return begin[:-1] + chr(0xE000 if following == 0xD800 else following)


class ChatListing:
    """A list of one user's chats: its filters and order, and the SQL for its pages."""

    def __init__(self, user_id: str, query: ChatQuery, metadata: Mapping[str, str], sql: ListSql) -> None:
        self._query = query
        self._sql = sql
        filters = FilterConditions(user_id, query, metadata, sql)
        self._arguments, self._conditions = filters.arguments, filters.conditions
        fields = {"order_by": query.order_by, "order": query.order}
        fields |= query.model_dump(mode="json", exclude={"limit", "cursor", "include_total"})
        self._binding = ["chats", user_id, fields, sorted(metadata.items())]

    def page(self) -> tuple[str, list[Any]]:
        """The statement for a page and its arguments: one row more than `limit`, if there is one.

        Raises InvalidCursor (400).
        """
        conditions = list(self._conditions)
        arguments = list(self._arguments)
        by, descending = self._query.order_by, self._query.order == "desc"
        if self._query.cursor is not None:
            arguments += self._decode(self._query.cursor)
            sign = "<" if descending else ">"
            conditions.append(f"({by}, chat_id) {sign} (${len(arguments) - 1}, ${len(arguments)})")
        # Written out, as the planner should know that a page is short.
        limit = f"LIMIT {self._query.limit + 1}"
        order = f"ORDER BY {by} {'DESC' if descending else 'ASC'}, chat_id {'DESC' if descending else 'ASC'}"
        selects = [
            select
            for state in _STATES[self._query.state]
            for select in self._selects(" AND ".join((state, *conditions)))
        ]
        return self._sql.merge(selects, f"{order} {limit}"), arguments

    def _selects(self, conditions: str) -> list[str]:
        """The chats of a state, each in one of them: a range of the index, and those that it has elsewhere."""
        if self._query.order_by != "last_activity_at":
            return [f"SELECT {COLUMNS} FROM chats WHERE {conditions}"]
        settled = conditions.replace("last_activity_at", "listed_at")
        return [
            f"SELECT {_SETTLED_COLUMNS} FROM chats WHERE listed_at >= last_activity_at AND {settled}",
            self._sql.select_moved(COLUMNS, conditions),
        ]

    def total(self) -> tuple[str, list[Any]]:
        """The statement that counts every chat of the list, and its arguments."""
        states = " OR ".join(_STATES[self._query.state])
        return f"SELECT count(*) FROM chats WHERE ({states}) AND {' AND '.join(self._conditions)}", self._arguments

    def cursor_after(self, row: Row) -> str:
        """The cursor for the page that begins after this row."""
        by = FIELDS.index(self._query.order_by)
        return encode_cursor(self._binding, [to_iso(row[by]), str(row[0])])

    def _decode(self, cursor: str) -> list[Any]:
        match decode_cursor(cursor, self._binding):
            case [str(text), str(chat_id)] if is_uuid(chat_id):
                return [parse_cursor_timestamp(text), chat_id]
        raise InvalidCursor
