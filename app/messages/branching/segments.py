"""Reading along a branch: a range of each of its lines.

Most branches were written in one go, with little else in between: they are read as a line is, as one range of the
primary key, a window of the chat. Where that has too little of them, they are read by the index of their lines.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any

from app.db.driver import Reader, Row
from app.http.errors import NotFound
from app.messages.branching.tree import END, Range, cut, last_before
from app.messages.history import Placed, Span
from app.messages.serialize import FIELDS, columns

# How many seqs a window has for each message that is wanted, and at most.
_ROOM, _WIDEST = 4, 1000
# With how many ranges a statement is made: few statements, so that they stay prepared.
_SIZES = (2, 8, 32, 64)
_MOST = _SIZES[-1]
_FEW = 8
_OWN = "m.user_id = $1 AND m.chat_id = $2"
_CHAT = "FROM chats c WHERE c.user_id = $1 AND c.chat_id = $2 AND c.deleted_at IS NULL"
_NULLS = ", ".join(f"NULL AS {name}" for name in FIELDS[1:])
# Where a row has what comes after FIELDS; before these is by what it is ordered.
_PARENT, _VERSION, _TREE, _LAST_SEQ = -5, -3, -2, -1


@dataclass(frozen=True, slots=True)
class _Shape:
    """What statements of a read have in common.

    `before` says whether the line before the page is another than the first; it is None where none is looked at.
    """

    before: bool | None
    has_role: bool
    also: str | None
    order: str
    in_session: bool


class BranchReader:
    """Reads along branches of a chat, by several statements; notes of which versions and trees of it they were.

    Attributes:
        versions: those of the chat, when something was read.
        numbers: those of its tree. Where there are several, what was read may not belong together.
    """

    def __init__(self, reader: Reader, user_id: str, chat_id: str, *, in_session: bool = False) -> None:
        self.chat_id = chat_id
        self.versions: set[int] = set()
        self.numbers: set[int] = set()
        self._reader = reader
        self._own = (user_id, chat_id)
        self._in_session = in_session

    def saw(self, version: int, number: int) -> None:
        """Notes of which version and tree of the chat something was read."""
        self.versions.add(version)
        self.numbers.add(number)

    async def read(self, ranges: Sequence[Range], wanted: Span) -> list[Placed]:
        """The messages of a branch that a span wants, in its order, at most `wanted.limit` of them.

        Each has the id of the one it follows. Raises NotFound where there is no such chat.
        """
        after, ascending = wanted.after or 0, wanted.order == "asc"
        left = cut(ranges, after, END if wanted.before is None else wanted.before - 1)
        before = last_before(ranges, after) if ascending else None
        found: list[Row] = []
        ids: dict[Any, Any] = {None: None}
        size = 0
        while True:
            limit = wanted.limit - len(found)
            line = None if before is None else before.segment > 0
            shape = _Shape(line, wanted.role is not None, wanted.also, wanted.order, self._in_session)
            values: list[Any] = [*([] if wanted.role is None else [wanted.role]), *_places([before] if before else [])]
            if size == 0 and left:
                rows, left = await self._in_window(shape, values, left, limit)
                size = _FEW
            else:
                some, left = (left[:size], left[size:]) if ascending else (left[-size:], left[:-size])
                statement = _by_lines(shape, tuple(one.segment > 0 for one in some))
                rows = await self._fetch(statement, limit, [*values, *_places(some)])
                size = _MOST
            of_chat = rows[0]
            if before and of_chat[0] is not None:
                ids[of_chat[_PARENT]] = of_chat[0]
            before = None
            found += rows[1:]
            if len(found) >= wanted.limit or not left:
                return await self._placed(found, ids)

    async def _in_window(
        self, shape: _Shape, values: Sequence[Any], left: Sequence[Range], limit: int
    ) -> tuple[Sequence[Row], list[Range]]:
        """The rows of a window at the beginning of what is left of a branch, and what is left then."""
        width = min(_ROOM * limit, _WIDEST)
        if shape.order == "asc":
            low = left[0].after
            some = [one for one in left[:_MOST] if one.after < low + width]
            high = min(low + width, some[-1].upto)
        else:
            high = left[-1].upto
            # The end of a line is not known, but that it is not far after its beginning, if the window has any of it.
            bottom = (left[-1].after if high == END else high) - width
            some = [one for one in left[-_MOST:] if one.upto > bottom]
            low = max(some[0].after, bottom if high < END else 0)
        padded = [*some, *some[-1:] * (next(size for size in _SIZES if size >= len(some)) - len(some))]
        to_the_end = [width] if shape.order == "desc" and high == END else []
        lines = [value for one in padded for value in (one.segment, one.upto)]
        statement = _by_window(shape, len(padded), bool(to_the_end))
        rows = await self._fetch(statement, limit, [*values, low, high, *to_the_end, *lines])
        if shape.order == "asc":
            return rows, cut(left, high, END) if high < rows[0][_LAST_SEQ] else []
        return rows, cut(left, 0, max(low, rows[0][_LAST_SEQ] - width) if to_the_end else low)

    async def _fetch(self, statement: str, limit: int, values: Sequence[Any]) -> Sequence[Row]:
        rows = await self._reader.fetch(statement, *self._own, limit + 1, *values)
        if not rows or rows[0][_VERSION] is None:
            # Messages without their chat: it is in the trash by now.
            raise NotFound
        self.saw(rows[0][_VERSION], rows[0][_TREE])
        return rows

    async def _placed(self, rows: Sequence[Row], ids: dict[Any, Any]) -> list[Placed]:
        """Rows with the ids of those they follow: most follow the one next to them."""
        for row in rows:
            ids[row[1]] = row[0]
        missing = sorted({row[_PARENT] for row in rows} - ids.keys())
        for start in range(0, len(missing), _MOST):
            some = missing[start : start + _MOST]
            for seq, message_id, version, number in await self._reader.fetch(_ids_of(len(some)), *self._own, *some):
                self.saw(version, number)
                ids[seq] = message_id
        return [(row, ids.get(row[_PARENT])) for row in rows]

    async def length(self, ranges: Sequence[Range]) -> int:
        """How many messages there are in ranges of lines."""
        found = 0
        for start in range(0, len(ranges), _MOST):
            some = ranges[start : start + _MOST]
            number = count(3)
            counts = " UNION ALL ".join(
                f"SELECT count(*) AS n FROM messages m WHERE {_within(one.segment > 0, number)}" for one in some
            )
            row = await self._reader.fetch_one(f"SELECT sum(n) FROM ({counts}) AS counts", *self._own, *_places(some))
            found += int(row[0]) if row else 0
        return found


def _places(ranges: Sequence[Range]) -> list[int]:
    return [value for one in ranges for value in (one.segment, one.after, one.upto)]


@lru_cache(maxsize=256)
def _by_lines(shape: _Shape, lines: tuple[bool, ...]) -> str:
    """Ranges of lines, for each whether it is another line than the first, which has no index of its own.

    They stand side by side, each in its order, so that the database merges them and reads no more than is wanted.
    """
    number = count(5 if shape.has_role else 4)
    return _statement(shape, number, lambda: [_within(other, number) for other in lines])


@lru_cache(maxsize=256)
def _by_window(shape: _Shape, ranges: int, to_the_end: bool) -> str:
    """A window of a chat, and what of it belongs to so many ranges. `to_the_end`: it begins so far before the last seq.

    By CASE, since no index shall be used for the ranges.
    """
    number = count(5 if shape.has_role else 4)

    def window() -> list[str]:
        bounds = f"m.seq > ${next(number)} AND m.seq <= ${next(number)}"
        if to_the_end:
            bounds += f" AND m.seq > (SELECT c.last_seq {_CHAT}) - ${next(number)}"
        cases = " ".join(f"WHEN ${next(number)} THEN m.seq <= ${next(number)}" for _ in range(ranges))
        return [f"{_OWN} AND {bounds} AND CASE m.segment {cases} ELSE FALSE END"]

    return _statement(shape, number, window)


def _statement(shape: _Shape, number: "count[int]", conditions: Callable[[], list[str]]) -> str:
    """The messages under some conditions on `m`, together in their order.

    The columns are FIELDS, the seq of the message it follows, by what they are ordered, and the chat's version, tree
    and last seq. Those of the chat are in the first row, with nothing else but the id and the seq of the last message
    of the range before, if that is looked at.
    """
    filters = (" AND m.role = $4" if shape.has_role else "") + (f" AND {shape.also}" if shape.also else "")
    before_id, before_seq = "NULL", "NULL"
    if shape.before is not None:
        last = f"FROM messages m WHERE {_within(shape.before, number)} ORDER BY m.seq DESC LIMIT 1"
        before_id, before_seq = f"(SELECT CAST(m.message_id AS TEXT) {last})", f"(SELECT m.seq {last})"
    first = -1 if shape.order == "asc" else END
    before = f"{before_id} AS message_id, {_NULLS}, {before_seq} AS parent_seq, {first} AS place"
    parts = [f"SELECT {before}, c.version, c.tree_version, c.last_seq {_CHAT}"]
    # Each for itself, so that the database stops where the page ends.
    fields = f"{columns('m', in_session=shape.in_session)}, m.parent_seq, m.seq AS place"
    for place, condition in enumerate(conditions()):
        page = f"SELECT {fields} FROM messages m WHERE {condition}{filters} ORDER BY m.seq {shape.order} LIMIT $3"
        parts.append(f"SELECT p{place}.*, NULL, NULL, NULL FROM ({page}) AS p{place}")
    return f"{' UNION ALL '.join(parts)} ORDER BY place {shape.order} LIMIT $3"


def _within(other: bool, number: "count[int]") -> str:
    line = f"m.segment = ${next(number)}" + (" AND m.segment > 0" if other else "")
    return f"{_OWN} AND {line} AND m.seq > ${next(number)} AND m.seq <= ${next(number)}"


@lru_cache(maxsize=_MOST)
def _ids_of(seqs: int) -> str:
    names = ", ".join(f"${number}" for number in range(3, 3 + seqs))
    return (
        "SELECT m.seq, CAST(m.message_id AS TEXT), c.version, c.tree_version FROM chats c "
        f"JOIN messages m ON m.user_id = c.user_id AND m.chat_id = c.chat_id AND m.seq IN ({names}) "
        "WHERE c.user_id = $1 AND c.chat_id = $2"
    )
