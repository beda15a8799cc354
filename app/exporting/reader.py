"""Reads chats as records (see `app.archive_formats.records`), in order, a few at a time. Hot."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.archive_formats import records
from app.archive_formats.records import Record
from app.db.driver import Row
from app.db.timestamps import to_iso
from app.exporting.queries import CHATS, FEEDBACK, MESSAGES, REVISIONS, Table
from app.exporting.snapshot import Snapshot
from app.messages.branching.tree import Tree

_IN_PROGRESS, _INCOMPLETE = "in_progress", "incomplete"
_SIZE = CHATS.columns.index("message_count")
_TREE_VERSION, _SEGMENT = CHATS.columns.index("tree_version"), CHATS.columns.index("segment")
_OWNED = slice(2, None)
_CHUNKS = "SELECT t.text FROM chunks t WHERE t.user_id = $1 AND t.chat_id = $2 AND t.seq = $3 ORDER BY t.start"
_SEGMENTS = "SELECT segment, parent_segment, fork_seq FROM segments WHERE user_id = $1 AND chat_id = $2"
# The columns of messages: those that every message has, and those that few have.
_EXTRAS = MESSAGES.columns[8 : MESSAGES.width]
_BARE = (None,) * len(_EXTRAS)
_LEFT_OUT_IF_EMPTY = ("tags", "metadata", "is_pinned")

Value = Callable[[Any], Any]


@dataclass(frozen=True)
class Selection:
    """Which chats: those of `user_id`, or of all users, that fulfil the conditions on columns of `chats`."""

    user_id: str | None
    conditions: tuple[str, ...]
    arguments: tuple[Any, ...]

    @property
    def where(self) -> str:
        """The conditions as SQL."""
        return " AND ".join(self.conditions) or "true"


def read(snapshot: Snapshot, selection: Selection, *, lossless: bool) -> Iterator[Record]:
    """The records of the chats that are selected. For `lossless` see `app.archive_formats.ExportFormat`."""
    reader = _Reader(snapshot, selection, lossless)
    yield records.header()
    chats = messages = 0
    for chat, rows in snapshot.messages(MESSAGES, reader.chats(), _SIZE):
        chats += 1
        yield reader.chat(chat)
        for message in reader.messages(chat, rows):
            messages += 1
            yield message
        if lossless:
            yield from reader.revisions(chat)
            yield from reader.feedback(chat)
    yield records.end(chats, messages)


class _Reader:
    def __init__(self, snapshot: Snapshot, selection: Selection, lossless: bool) -> None:
        self._snapshot = snapshot
        self._selection = selection
        self._lossless = lossless
        self._value: Value = orjson.Fragment if lossless else orjson.loads
        self._moment: Value = records.writable if lossless else to_iso
        self._revisions = _Stream(self._of_chats(REVISIONS, "seq", "revision"))
        self._feedback = _Stream(self._of_chats(FEEDBACK, "seq", "caller"))

    def chats(self) -> Iterator[Row]:
        """The rows of the chats."""
        select = f"SELECT {self._snapshot.columns(CHATS)} FROM chats t WHERE {self._selection.where}"
        return self._snapshot.rows(f"{select} ORDER BY {self._order('t', 'chat_id')}", *self._selection.arguments)

    def chat(self, row: Row) -> Record:
        """The record of a chat."""
        if row[CHATS.width]:
            row = self._snapshot.whole(CHATS, row[:2])
        said = dict(zip(CHATS.columns, row, strict=False))
        chat: Record = {"record": "chat"}
        for name in records.CHAT:
            value = said[name]
            if value is None or (name == "user_id" and self._selection.user_id is not None):
                continue
            if name in _LEFT_OUT_IF_EMPTY and (not value or value in ("[]", "{}")):
                continue
            chat[name] = self._said(name, bool(value) if name == "is_pinned" else value)
        return chat

    def messages(self, chat: Row, rows: Iterable[Row]) -> Iterator[Record]:
        """The records of a chat's messages, from their rows."""
        if not self._lossless and chat[_TREE_VERSION]:
            rows = _of_ranges(rows, self._active_branch(chat))
        value, moment, width, bare = self._value, self._moment, MESSAGES.width, _BARE
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
                message["content"] = value(content)
            extras = row[8:width]
            if extras == bare:
                message["created_at"] = moment(created_at)
            else:
                self._add(chat, message, extras, created_at)
            yield message

    def revisions(self, chat: Row) -> Iterator[Record]:
        """The records of what was edited in a chat."""
        for row in self._revisions.of(chat):
            if row[REVISIONS.width]:
                row = self._snapshot.whole(REVISIONS, row[:4])
            yield self._plain("revision", REVISIONS, row)

    def feedback(self, chat: Row) -> Iterator[Record]:
        """The records of what callers think of a chat's messages."""
        for row in self._feedback.of(chat):
            yield self._plain("feedback", FEEDBACK, row)

    def _plain(self, kind: records.Kind, table: Table, row: Row) -> Record:
        said = zip(table.columns[_OWNED], row[2 : table.width], strict=True)
        return {"record": kind, **{name: self._said(name, value) for name, value in said if value is not None}}

    def _said(self, name: str, value: Any) -> Any:
        if name in records.JSON:
            return self._value(value)
        return self._moment(value) if name in records.MOMENTS else value

    def _add(self, chat: Row, message: Record, extras: Iterable[Any], created_at: Any) -> None:
        """Adds to a message what few have, and when it was made."""
        for name, value in zip(_EXTRAS, extras, strict=True):
            if name == "edited_at":
                message["created_at"] = self._moment(created_at)
            if value is not None:
                message[name] = self._said(name, value)
        if message.get("status") == _IN_PROGRESS:
            self._as_it_is_on_disk(chat, message)

    def _as_it_is_on_disk(self, chat: Row, message: Record) -> None:
        text = "".join(row[0] for row in self._snapshot.rows(_CHUNKS, chat[0], chat[1], message["seq"]))
        message["status"] = _INCOMPLETE
        silent = message.get("content") is None and not message.get("tool_calls") and message["type"] == "message"
        if text or silent:
            # As it would be if it was left so, see app.streaming.finalize.
            whole = {**message, "content": text}
            order = ("record", *records.MESSAGE)
            message.clear()
            message.update((name, whole[name]) for name in order if name in whole)

    def _active_branch(self, chat: Row) -> Mapping[int, tuple[int, int]]:
        """Of each line that the active branch goes along, after which seq and up to which."""
        forks = {line: (parent, fork) for line, parent, fork in self._snapshot.rows(_SEGMENTS, chat[0], chat[1])}
        tree = Tree(chat[_TREE_VERSION], chat[_SEGMENT], forks, {})
        return {one.segment: (one.after, one.upto) for one in tree.active_branch}

    def _of_chats(self, table: Table, *order: str) -> Iterator[Row]:
        where = f"(t.user_id, t.chat_id) IN (SELECT user_id, chat_id FROM chats WHERE {self._selection.where})"
        if self._selection.user_id is not None:
            where += " AND t.user_id = $1"
        select = f"SELECT {self._snapshot.columns(table)} FROM {table.name} t WHERE {where}"
        # Begun only when somebody asks for the first one.
        yield from self._snapshot.rows(
            f"{select} ORDER BY {self._order('t', 'chat_id', *order)}", *self._selection.arguments
        )

    def _order(self, table: str, *columns: str) -> str:
        users = [self._snapshot.by_user] if self._selection.user_id is None else []
        return ", ".join(f"{table}.{column}" for column in (*users, *columns))


class _Stream:
    """Rows that begin with user_id and chat_id, in the order of the chats."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._next: Row | None = None
        self._begun = False

    def of(self, chat: Row) -> Iterator[Row]:
        """Those of a chat: called for every chat, in order."""
        if not self._begun:
            self._begun, self._next = True, next(self._rows, None)
        while self._next is not None and self._next[1] == chat[1] and self._next[0] == chat[0]:
            yield self._next
            self._next = next(self._rows, None)


def _of_ranges(rows: Iterable[Row], ranges: Mapping[int, tuple[int, int]]) -> Iterator[Row]:
    nowhere = (0, 0)
    for row in rows:
        after, upto = ranges.get(row[7], nowhere)
        if after < row[1] <= upto:
            yield row
