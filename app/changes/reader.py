"""Reader of the feed of changes: decodes the rows of `changes`, with the messages and chats as they are now.

`app.events.log` writes the rows. One row may stand for several changes, each with its own position. A cursor holds a
position, and may point into the middle of a row.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import orjson

from app.changes import postgres, sqlite
from app.chats.serialize import FIELDS, chat_json
from app.db.database import Database
from app.db.driver import Row
from app.db.timestamps import to_iso
from app.events.events import (
    ChatEvent,
    Event,
    HeadMoved,
    MessageDeleted,
    MessageEdited,
    MessagesAppended,
    MessagesCleared,
    event_from_json,
)
from app.events.sse import encode_event
from app.http.errors import Gone, NotFound
from app.http.paging import decode_integer_cursor, encode_cursor
from app.http.references import ChatRef
from app.messages.serialize import dumps, message_fields

_ROWS = """
SELECT f.position, f.pruned, c.position, c.at, c.events FROM feeds f LEFT JOIN (
    SELECT position, at, events FROM changes WHERE user_id = $1 AND position > $2 ORDER BY position LIMIT $3
) AS c ON TRUE
WHERE f.user_id = $1 ORDER BY c.position
"""
_LAST_POSITION = "SELECT position FROM feeds WHERE user_id = $1"
_CHAT_ID = (
    "SELECT chat_id FROM chats WHERE user_id = $1 AND {} = $2 ORDER BY deleted_at IS NOT NULL, deleted_at DESC LIMIT 1"
)
# Rows that one query scans for the changes of one chat.
ROWS_SCANNED = 1000
# Messages read together, and when to stop reading more: a single one may have ten million bytes.
MESSAGES_PER_QUERY = 25
PAGE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Change:
    """A change, encoded for all who may see it.

    Attributes:
        json: the change as JSON.
        removes: whether something was removed that earlier changes may still show.
    """

    position: int
    cursor: str
    type: str
    chat_id: str
    json: bytes
    removes: bool

    @cached_property
    def event(self) -> bytes:
        """The change as a Server-Sent Event."""
        return encode_event(self.cursor.encode(), self.type.encode(), self.json)

    @cached_property
    def text(self) -> str:
        """The change as the text of a WebSocket message."""
        return self.json.decode()


class ChangeSlice(NamedTuple):
    """Consecutive changes, the position to go on from, and whether there are more."""

    items: Sequence[Change]
    position: int
    has_more: bool


class _PositionedEvent(NamedTuple):
    """An event of one position: that of an append names one message."""

    position: int
    at: Any
    event: Event

    @property
    def message_key(self) -> tuple[str, int] | None:
        """The chat's id and the seq of the message to show with it, if there is one."""
        match self.event:
            case MessagesAppended(chat_id, seq, _) | MessageEdited(chat_id, seq, _):
                return chat_id, seq
        return None


class ChangeReader:
    """Reads the feed of one user."""

    def __init__(self, db: Database, user_id: str) -> None:
        self._db = db
        self.user_id = user_id
        self._sql = sqlite if db.kind == "sqlite" else postgres

    def cursor(self, position: int) -> str:
        """The cursor of a client that has seen everything up to a position."""
        return encode_cursor(["changes", self.user_id], [position])

    async def position(self, since: str | None) -> int | None:
        """The position of a cursor or of `now`; None for `start`, or without `since`. Raises InvalidCursor (400)."""
        if since is None or since == "start":
            return None
        if since == "now":
            row = await self._db.driver.fetch_one(_LAST_POSITION, self.user_id)
            return int(row[0]) if row is not None else 0
        return decode_integer_cursor(since, ["changes", self.user_id], 0, 2**63 - 1)

    async def chat_id(self, ref: ChatRef) -> str:
        """The id of a chat, also of one in the trash, which has changes too. Raises NotFound (404)."""
        column, value = ref.column
        row = await self._db.driver.fetch_one(_CHAT_ID.format(column), self.user_id, value)
        if row is None:
            raise NotFound
        return str(row[0])

    async def read(self, position: int | None, limit: int, chat_id: str | None = None) -> ChangeSlice:
        """At most `limit` changes after a position (None: from the first that is kept), of one chat only if named.

        Raises Gone (410) where the changes right after the position were pruned, or never existed.
        """
        rows = await self._db.driver.fetch(_ROWS, self.user_id, position or 0, ROWS_SCANNED if chat_id else limit)
        last, pruned = (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)
        if position is None:
            position = pruned
        if not pruned <= position <= last:
            raise Gone
        end = position
        selected: list[_PositionedEvent] = []
        for positioned in _decode(row for row in rows if row[2] is not None):
            if positioned.position <= position:
                continue
            if chat_id is None or positioned.event.chat_id == chat_id:
                if len(selected) == limit:
                    break
                selected.append(positioned)
            end = positioned.position
        changes = await self._load(selected)
        if len(changes) < len(selected):
            end = changes[-1].position
        return ChangeSlice(changes, end, end < last)

    async def _load(self, events: Sequence[_PositionedEvent]) -> list[Change]:
        """The changes with what they show; fewer than events where those fill a page."""
        chats = await self._load_chats({each.event.chat_id for each in events if isinstance(each.event, ChatEvent)})
        changes: list[Change] = []
        size = 0
        while len(changes) < len(events) and size < PAGE_BYTES:
            batch = _next_batch(events, len(changes))
            messages = await self._load_messages({each.message_key for each in batch if each.message_key})
            for positioned in batch:
                changes.append(self._change(positioned, chats, messages))
                size += len(changes[-1].json)
        return changes

    async def _load_messages(self, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], dict[str, Any]]:
        if not keys:
            return {}
        rows = await self._db.driver.fetch(self._sql.MESSAGES, self.user_id, orjson.dumps(list(keys)).decode())
        return {(str(row[-1]), row[1]): message_fields(row, str(row[-1]), row[-2]) for row in rows}

    async def _load_chats(self, chat_ids: Collection[str]) -> dict[str, bytes]:
        if not chat_ids:
            return {}
        ids, index = orjson.dumps(list(chat_ids)).decode(), FIELDS.index("chat_id")
        rows: Sequence[Row] = await self._db.driver.fetch(self._sql.CHATS, self.user_id, ids)
        return {str(row[index]): chat_json(row) for row in rows}

    def _change(
        self, positioned: _PositionedEvent, chats: dict[str, bytes], messages: dict[tuple[str, int], dict[str, Any]]
    ) -> Change:
        event, cursor = positioned.event, self.cursor(positioned.position)
        fields = {"cursor": cursor, "type": event.type, "chat_id": event.chat_id, "at": to_iso(positioned.at)}
        match event:
            case MessagesCleared():
                fields["last_seq"] = event.last_seq
            case HeadMoved():
                fields |= {"head_seq": event.head_seq, "head_id": event.head_id}
            case MessagesAppended(_, seq, _):
                fields["seq"] = seq
            case MessageEdited() | MessageDeleted():
                fields |= {"seq": event.seq, "message_id": event.message_id}
            case _ if event.chat_id in chats:
                fields["chat"] = orjson.Fragment(chats[event.chat_id])
        if positioned.message_key is not None and (message := messages.get(positioned.message_key)) is not None:
            fields |= {"message_id": message["message_id"], "message": message}
        return Change(positioned.position, cursor, event.type, event.chat_id, dumps(fields), event.removes)


async def users_with_new_changes(db: Database, positions: dict[str, int]) -> list[str]:
    """Which of some users have changes after their position in `positions`."""
    sql = sqlite if db.kind == "sqlite" else postgres
    rows = await db.driver.fetch(sql.POSITIONS, sql.encode_users(positions))
    return [user_id for user_id, position in rows if position > positions[user_id]]


def _decode(rows: Iterable[Row]) -> Iterable[_PositionedEvent]:
    """The events of rows, each with its position: an append of several messages becomes one event for each."""
    for _, _, last, at, text in rows:
        events = [event_from_json(array) for array in orjson.loads(text)]
        position = last - sum(event.position_count for event in events)
        for event in events:
            for single in event.singles() if isinstance(event, MessagesAppended) else (event,):
                position += 1
                yield _PositionedEvent(position, at, single)


def _next_batch(events: Sequence[_PositionedEvent], start: int) -> Sequence[_PositionedEvent]:
    """The events from `start` on, as far as one query reads their messages."""
    end, messages = start, 0
    while end < len(events) and messages < MESSAGES_PER_QUERY:
        messages += events[end].message_key is not None
        end += 1
    return events[start:end]
