"""Export reader: chats of a snapshot as a stream of records (see `app.archive_formats.records`). Hot."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.archive_formats import records
from app.archive_formats.records import Record
from app.db.driver import Row
from app.db.timestamps import to_iso
from app.exporting.queries import CHATS, MESSAGES, OWNED, Table
from app.exporting.snapshot import OpenSnapshot, Snapshot
from app.messages.branching.tree import Tree

_IN_PROGRESS, _INCOMPLETE = "in_progress", "incomplete"
_MESSAGE_COUNT = CHATS.columns.index("message_count")
_TREE_VERSION, _SEGMENT = CHATS.columns.index("tree_version"), CHATS.columns.index("segment")
# What comes after user_id and chat_id.
_FIELDS = slice(2, None)
_CHUNKS_SQL = "SELECT t.text FROM chunks t WHERE t.user_id = $1 AND t.chat_id = $2 AND t.seq = $3 ORDER BY t.start"
_SEGMENTS_SQL = "SELECT segment, parent_segment, fork_seq FROM segments WHERE user_id = $1 AND chat_id = $2"
# The columns that few messages have.
_EXTRAS = MESSAGES.columns[8 : MESSAGES.width]
_NO_EXTRAS = (None,) * len(_EXTRAS)
_OMITTED_IF_EMPTY = ("tags", "metadata", "is_pinned")

Convert = Callable[[Any], Any]


@dataclass(frozen=True)
class Selection:
    """The chats to export: those of `user_id` (None for all users) that meet SQL conditions on columns of `chats`.

    The conditions have `$1`, `$2` … for `arguments`; the one at `user_parameter` is the user, if there is one.
    `is_part`: it is part of an export of all users, whose chats say whose they are.
    """

    user_id: str | None
    conditions: tuple[str, ...]
    arguments: tuple[Any, ...]
    user_parameter: int = 1
    is_part: bool = False

    @property
    def where(self) -> str:
        """The conditions as SQL."""
        return " AND ".join(self.conditions) or "true"

    def of(self, user_id: str) -> "Selection":
        """What of it is one user's, as part of an export of all users."""
        number = len(self.arguments) + 1
        conditions = (*self.conditions, f"user_id = ${number}")
        return Selection(user_id, conditions, (*self.arguments, user_id), number, is_part=True)


def read(snapshot: Snapshot, selection: Selection, *, lossless: bool) -> Iterator[Record]:
    """The stream of records of the selected chats. For `lossless` see `app.archive_formats.ExportFormat`."""
    reader = _Reader(snapshot, selection, lossless)
    yield records.header()
    chats = messages = 0
    for chat, rows in snapshot.messages(MESSAGES, reader.chats(), _MESSAGE_COUNT):
        chats += 1
        yield reader.chat(chat)
        for message in reader.messages(chat, rows):
            messages += 1
            yield message
        if lossless:
            yield from reader.owned(chat)
    yield records.end(chats, messages)


def read_by_user(open_snapshot: OpenSnapshot, selection: Selection, *, lossless: bool) -> Iterator[Record]:
    """The same stream of the chats of all users, each user's as it was at a moment of its own.

    For a Citus cluster, where no snapshot has more than one machine.
    """
    with open_snapshot() as snapshot:
        users = [row[0] for row in snapshot.rows(f"SELECT user_id FROM feeds ORDER BY {snapshot.user_order}")]
    yield records.header()
    chats = messages = 0
    for user_id in users:
        with open_snapshot() as snapshot:
            for record in read(snapshot, selection.of(user_id), lossless=lossless):
                if record["record"] == records.END:
                    chats += record["chats"]
                    messages += record["messages"]
                elif record["record"] != records.HEADER:
                    yield record
    yield records.end(chats, messages)


class _Reader:
    def __init__(self, snapshot: Snapshot, selection: Selection, lossless: bool) -> None:
        self._snapshot = snapshot
        self._selection = selection
        self._lossless = lossless
        self._names_users = selection.user_id is None or selection.is_part
        self._to_json: Convert = orjson.Fragment if lossless else orjson.loads
        self._to_timestamp: Convert = records.json_timestamp if lossless else to_iso
        self._owned = {record: _OwnedRows(self._owned_rows(table)) for record, table in OWNED.items()}

    def chats(self) -> Iterator[Row]:
        """The rows of the selected chats, in order."""
        select = f"SELECT {self._snapshot.columns(CHATS)} FROM chats t WHERE {self._selection.where}"
        return self._snapshot.rows(f"{select} ORDER BY {self._order('t', 'chat_id')}", *self._selection.arguments)

    def chat(self, row: Row) -> Record:
        """The `chat` record of a row."""
        if row[CHATS.width]:
            row = self._snapshot.whole(CHATS, row[:2])
        columns = dict(zip(CHATS.columns, row, strict=False))
        chat: Record = {"record": "chat"}
        for name in records.CHAT_FIELDS:
            value = columns[name]
            if value is None or (name == "user_id" and not self._names_users):
                continue
            if name in _OMITTED_IF_EMPTY and (not value or value in ("[]", "{}")):
                continue
            chat[name] = self._field(name, bool(value) if name == "is_pinned" else value)
        return chat

    def messages(self, chat: Row, rows: Iterable[Row]) -> Iterator[Record]:
        """The `message` records of a chat, from its rows."""
        if not self._lossless and chat[_TREE_VERSION]:
            rows = _in_ranges(rows, self._active_branch(chat))
        to_json, to_timestamp, width = self._to_json, self._to_timestamp, MESSAGES.width
        for row in rows:
            if row[width]:
                row = self._snapshot.whole(MESSAGES, (chat[0], chat[1], row[1]))
            message_id, seq, parent_seq, role, kind, content, created_at, _ = row[:8]
            message: Record = {"record": "message", "message_id": message_id, "seq": seq}
            if parent_seq is not None:
                message["parent_seq"] = parent_seq
            message["role"] = role
            message["type"] = kind
            if content is not None:
                message["content"] = to_json(content)
            extras = row[8:width]
            if extras == _NO_EXTRAS:
                message["created_at"] = to_timestamp(created_at)
            else:
                self._add_extras(chat, message, extras, created_at)
            yield message

    def owned(self, chat: Row) -> Iterator[Record]:
        """The records of what else belongs to a chat."""
        for record, rows in self._owned.items():
            table = OWNED[record]
            for row in rows.of(chat):
                whole = self._snapshot.whole(table, row[: len(table.key)]) if row[table.width] else row
                yield self._record(record, table, whole)

    def _record(self, kind: str, table: Table, row: Row) -> Record:
        fields = zip(table.columns[_FIELDS], row[2 : table.width], strict=True)
        return {"record": kind, **{name: self._field(name, value) for name, value in fields if value is not None}}

    def _field(self, name: str, value: Any) -> Any:
        if name in records.JSON_FIELDS:
            return self._to_json(value)
        return self._to_timestamp(value) if name in records.TIMESTAMP_FIELDS else value

    def _add_extras(self, chat: Row, message: Record, extras: Iterable[Any], created_at: Any) -> None:
        """Adds to a message its creation time, and the fields that few messages have."""
        for name, value in zip(_EXTRAS, extras, strict=True):
            if name == "edited_at":
                message["created_at"] = self._to_timestamp(created_at)
            if value is not None:
                message[name] = self._field(name, value)
        if message.get("status") == _IN_PROGRESS:
            self._complete_from_chunks(chat, message)

    def _complete_from_chunks(self, chat: Row, message: Record) -> None:
        """Makes a message in progress what it would be if it was abandoned now, see `app.streaming.finalize`."""
        text = "".join(row[0] for row in self._snapshot.rows(_CHUNKS_SQL, chat[0], chat[1], message["seq"]))
        message["status"] = _INCOMPLETE
        is_empty = message.get("content") is None and not message.get("tool_calls") and message["type"] == "message"
        if text or is_empty:
            fields = {**message, "content": text}
            order = ("record", *records.MESSAGE_FIELDS)
            message.clear()
            message.update((name, fields[name]) for name in order if name in fields)

    def _active_branch(self, chat: Row) -> Mapping[int, tuple[int, int]]:
        """The segments of the active branch, each with the range of seqs (after, up to) that is in the branch."""
        rows = self._snapshot.rows(_SEGMENTS_SQL, chat[0], chat[1])
        forks = {segment: (parent, fork) for segment, parent, fork in rows}
        tree = Tree(chat[_TREE_VERSION], chat[_SEGMENT], forks, {})
        return {part.segment: (part.after, part.upto) for part in tree.active_branch}

    def _owned_rows(self, table: Table) -> Iterator[Row]:
        where = f"(t.user_id, t.chat_id) IN (SELECT user_id, chat_id FROM chats WHERE {self._selection.where})"
        if self._selection.user_id is not None:
            where += f" AND t.user_id = ${self._selection.user_parameter}"
        select = f"SELECT {self._snapshot.columns(table)} FROM {table.name} t WHERE {where}"
        statement = f"{select} ORDER BY {self._order('t', *table.key[1:])}"
        # A generator: the query is sent only when the first row is asked for.
        yield from self._snapshot.rows(statement, *self._selection.arguments)

    def _order(self, table: str, *columns: str) -> str:
        user = [self._snapshot.user_order] if self._selection.user_id is None else []
        return ", ".join(f"{table}.{column}" for column in (*user, *columns))


class _OwnedRows:
    """Rows that begin with user_id and chat_id, read along with the chats, in the same order."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._next: Row | None = None
        self._started = False

    def of(self, chat: Row) -> Iterator[Row]:
        """The rows of a chat. To be called for every chat, in order."""
        if not self._started:
            self._started, self._next = True, next(self._rows, None)
        while self._next is not None and self._next[1] == chat[1] and self._next[0] == chat[0]:
            yield self._next
            self._next = next(self._rows, None)


def _in_ranges(rows: Iterable[Row], ranges: Mapping[int, tuple[int, int]]) -> Iterator[Row]:
    no_range = (0, 0)
    for row in rows:
        after, upto = ranges.get(row[7], no_range)
        if after < row[1] <= upto:
            yield row
