"""Branch reader: reads along a branch, a range of each of its segments.

Most branches were written in one go, with little else in between: they are read as a chat of one segment is, as one
range of the primary key, a window of the chat. Where that has too little of them, they are read by the index of their
segments.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any

from app.db.driver import Reader, Row
from app.http.errors import NotFound
from app.messages.branching.tree import SegmentRange, cut, last_before
from app.messages.linear_history import PageSpec, RowWithParent
from app.messages.serialize import FIELDS, columns
from app.models.message import MAX_SEQ

# How many seqs a window has for each message that is asked for, and at most.
_WINDOW_FACTOR, _MAX_WINDOW = 4, 1000
# With how many ranges a statement is made: few statements, so that they stay prepared.
_RANGES_PER_STATEMENT = (2, 8, 32, 64)
_MAX_RANGES = _RANGES_PER_STATEMENT[-1]
_FIRST_RANGES = 8
_IN_CHAT = "m.user_id = $1 AND m.chat_id = $2"
_CHAT = "FROM chats c WHERE c.user_id = $1 AND c.chat_id = $2 AND c.deleted_at IS NULL"
_NULLS = ", ".join(f"NULL AS {name}" for name in FIELDS[1:])
# The columns after FIELDS, from the end; before these comes the one that rows are ordered by.
_PARENT_SEQ, _VERSION, _TREE_VERSION, _LAST_SEQ = -5, -3, -2, -1


@dataclass(frozen=True, slots=True)
class _StatementShape:
    """What the statements of one read have in common.

    `before` says whether the range before the page is of another segment than the first; None where none is looked at.
    """

    before: bool | None
    has_role: bool
    condition: str | None
    order: str
    in_session: bool


class BranchReader:
    """Reads along branches of a chat, by several statements; notes which versions of the chat and its tree they saw.

    Attributes:
        versions: those of the chat.
        tree_versions: those of its tree. Where there are several, what was read may not belong together.
    """

    def __init__(self, reader: Reader, user_id: str, chat_id: str, *, in_session: bool = False) -> None:
        self.chat_id = chat_id
        self.versions: set[int] = set()
        self.tree_versions: set[int] = set()
        self._reader = reader
        self._key = (user_id, chat_id)
        self._in_session = in_session

    def note_versions(self, version: int, tree_version: int) -> None:
        """Notes at which version of the chat and its tree something was read."""
        self.versions.add(version)
        self.tree_versions.add(tree_version)

    async def read(self, branch: Sequence[SegmentRange], spec: PageSpec) -> list[RowWithParent]:
        """The messages of a branch that a page asks for, in its order, at most `spec.limit` of them.

        Each has the id of the one it follows. Raises NotFound where there is no such chat.
        """
        after, ascending = spec.after or 0, spec.order == "asc"
        remaining = cut(branch, after, MAX_SEQ if spec.before is None else spec.before - 1)
        before = last_before(branch, after) if ascending else None
        rows: list[Row] = []
        ids: dict[Any, Any] = {None: None}
        size = 0
        while True:
            limit = spec.limit - len(rows)
            shape = _StatementShape(
                None if before is None else before.segment > 0,
                spec.role is not None,
                spec.condition,
                spec.order,
                self._in_session,
            )
            values: list[Any] = [*([] if spec.role is None else [spec.role]), *_values_of([before] if before else [])]
            if size == 0 and remaining:
                batch, remaining = await self._read_window(shape, values, remaining, limit)
                size = _FIRST_RANGES
            else:
                ranges, remaining = (
                    (remaining[:size], remaining[size:]) if ascending else (remaining[-size:], remaining[:-size])
                )
                statement = _segments_statement(shape, tuple(part.segment > 0 for part in ranges))
                batch = await self._fetch(statement, limit, [*values, *_values_of(ranges)])
                size = _MAX_RANGES
            chat_row = batch[0]
            if before and chat_row[0] is not None:
                ids[chat_row[_PARENT_SEQ]] = chat_row[0]
            before = None
            rows += batch[1:]
            if len(rows) >= spec.limit or not remaining:
                return await self._with_parents(rows, ids)

    async def _read_window(
        self, shape: _StatementShape, values: Sequence[Any], remaining: Sequence[SegmentRange], limit: int
    ) -> tuple[Sequence[Row], list[SegmentRange]]:
        """The rows of a window at the beginning of what remains of a branch, and what remains then."""
        width = min(_WINDOW_FACTOR * limit, _MAX_WINDOW)
        if shape.order == "asc":
            low = remaining[0].after
            ranges = [part for part in remaining[:_MAX_RANGES] if part.after < low + width]
            high = min(low + width, ranges[-1].upto)
        else:
            high = remaining[-1].upto
            # Where a segment ends is not known, but that it is not far after its beginning if the window has any of it.
            bottom = (remaining[-1].after if high == MAX_SEQ else high) - width
            ranges = [part for part in remaining[-_MAX_RANGES:] if part.upto > bottom]
            low = max(ranges[0].after, bottom if high < MAX_SEQ else 0)
        size = next(size for size in _RANGES_PER_STATEMENT if size >= len(ranges))
        padded = [*ranges, *ranges[-1:] * (size - len(ranges))]
        to_the_end = [width] if shape.order == "desc" and high == MAX_SEQ else []
        statement = _window_statement(shape, len(padded), bool(to_the_end))
        cases = [value for part in padded for value in (part.segment, part.upto)]
        rows = await self._fetch(statement, limit, [*values, low, high, *to_the_end, *cases])
        if shape.order == "asc":
            return rows, cut(remaining, high, MAX_SEQ) if high < rows[0][_LAST_SEQ] else []
        return rows, cut(remaining, 0, max(low, rows[0][_LAST_SEQ] - width) if to_the_end else low)

    async def _fetch(self, statement: str, limit: int, values: Sequence[Any]) -> Sequence[Row]:
        rows = await self._reader.fetch(statement, *self._key, limit + 1, *values)
        if not rows or rows[0][_VERSION] is None:
            # Messages without their chat: it is in the trash by now.
            raise NotFound
        self.note_versions(rows[0][_VERSION], rows[0][_TREE_VERSION])
        return rows

    async def _with_parents(self, rows: Sequence[Row], ids: dict[Any, Any]) -> list[RowWithParent]:
        """Rows with the ids of those they follow: most follow the one next to them."""
        for row in rows:
            ids[row[1]] = row[0]
        missing = sorted({row[_PARENT_SEQ] for row in rows} - ids.keys())
        for start in range(0, len(missing), _MAX_RANGES):
            seqs = missing[start : start + _MAX_RANGES]
            parents = await self._reader.fetch(_ids_statement(len(seqs)), *self._key, *seqs)
            for seq, message_id, version, tree_version in parents:
                self.note_versions(version, tree_version)
                ids[seq] = message_id
        return [(row, ids.get(row[_PARENT_SEQ])) for row in rows]

    async def count(self, branch: Sequence[SegmentRange]) -> int:
        """How many messages there are in ranges of segments."""
        total = 0
        for start in range(0, len(branch), _MAX_RANGES):
            ranges = branch[start : start + _MAX_RANGES]
            number = count(3)
            counts = " UNION ALL ".join(
                f"SELECT count(*) AS n FROM messages m WHERE {_in_range(part.segment > 0, number)}" for part in ranges
            )
            statement = f"SELECT sum(n) FROM ({counts}) AS counts"
            row = await self._reader.fetch_one(statement, *self._key, *_values_of(ranges))
            total += int(row[0]) if row else 0
        return total


def _values_of(ranges: Sequence[SegmentRange]) -> list[int]:
    return [value for part in ranges for value in (part.segment, part.after, part.upto)]


@lru_cache(maxsize=256)
def _segments_statement(shape: _StatementShape, segments: tuple[bool, ...]) -> str:
    """A statement for ranges of segments; for each of them, whether it is not the first, which has no index of its own.

    They stand side by side, each in its order, so that the database merges them and reads no more than is asked for.
    """
    number = count(5 if shape.has_role else 4)
    return _statement(shape, number, lambda: [_in_range(is_indexed, number) for is_indexed in segments])


@lru_cache(maxsize=256)
def _window_statement(shape: _StatementShape, ranges: int, to_the_end: bool) -> str:
    """A statement for a window of a chat, and what of it belongs to so many ranges.

    `to_the_end`: the window begins so far before the last seq. By CASE, since no index shall be used for the ranges.
    """
    number = count(5 if shape.has_role else 4)

    def window() -> list[str]:
        bounds = f"m.seq > ${next(number)} AND m.seq <= ${next(number)}"
        if to_the_end:
            bounds += f" AND m.seq > (SELECT c.last_seq {_CHAT}) - ${next(number)}"
        cases = " ".join(f"WHEN ${next(number)} THEN m.seq <= ${next(number)}" for _ in range(ranges))
        return [f"{_IN_CHAT} AND {bounds} AND CASE m.segment {cases} ELSE FALSE END"]

    return _statement(shape, number, window)


def _statement(shape: _StatementShape, number: "count[int]", conditions: Callable[[], list[str]]) -> str:
    """The messages under some conditions on `m`, together in their order.

    The columns are FIELDS, the seq of the message it follows, the one that rows are ordered by, and the chat's version,
    tree version and last seq. Those of the chat are in the first row, with nothing else but the id and the seq of the
    last message of the range before, if that is looked at.
    """
    filters = (" AND m.role = $4" if shape.has_role else "") + (f" AND {shape.condition}" if shape.condition else "")
    before_id, before_seq = "NULL", "NULL"
    if shape.before is not None:
        last = f"FROM messages m WHERE {_in_range(shape.before, number)} ORDER BY m.seq DESC LIMIT 1"
        before_id, before_seq = f"(SELECT CAST(m.message_id AS TEXT) {last})", f"(SELECT m.seq {last})"
    first = -1 if shape.order == "asc" else MAX_SEQ
    before = f"{before_id} AS message_id, {_NULLS}, {before_seq} AS parent_seq, {first} AS position"
    parts = [f"SELECT {before}, c.version, c.tree_version, c.last_seq {_CHAT}"]
    # Each for itself, so that the database stops where the page ends.
    fields = f"{columns('m', in_session=shape.in_session)}, m.parent_seq, m.seq AS position"
    for index, condition in enumerate(conditions()):
        page = f"SELECT {fields} FROM messages m WHERE {condition}{filters} ORDER BY m.seq {shape.order} LIMIT $3"
        parts.append(f"SELECT p{index}.*, NULL, NULL, NULL FROM ({page}) AS p{index}")
    return f"{' UNION ALL '.join(parts)} ORDER BY position {shape.order} LIMIT $3"


def _in_range(is_indexed: bool, number: "count[int]") -> str:
    segment = f"m.segment = ${next(number)}" + (" AND m.segment > 0" if is_indexed else "")
    return f"{_IN_CHAT} AND {segment} AND m.seq > ${next(number)} AND m.seq <= ${next(number)}"


@lru_cache(maxsize=_MAX_RANGES)
def _ids_statement(seqs: int) -> str:
    names = ", ".join(f"${number}" for number in range(3, 3 + seqs))
    return (
        "SELECT m.seq, CAST(m.message_id AS TEXT), c.version, c.tree_version FROM chats c "
        f"JOIN messages m ON m.user_id = $1 AND m.chat_id = c.chat_id AND m.seq IN ({names}) "
        "WHERE c.user_id = $1 AND c.chat_id = $2"
    )
