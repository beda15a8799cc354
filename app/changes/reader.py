"""Reading the feed of a user's changes: rows of `changes`, taken apart, with the messages and chats as they are now.

What is written is in `app.events`. A row may stand for several changes, each with a position of its own; a cursor is a
position, and may point into the middle of a row.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from app.changes import postgres, sqlite
from app.chats.serialize import FIELDS, chat_json
from app.db.database import Database
from app.db.driver import Row
from app.db.timestamps import to_iso
from app.events.log import length
from app.http.errors import Gone, InvalidCursor, NotFound
from app.http.paging import decode_cursor, encode_cursor
from app.http.references import ChatRef
from app.messages.serialize import dumps, message_fields

_ROWS = """
SELECT f.position, f.pruned, c.position, c.at, c.entries FROM feeds f LEFT JOIN (
    SELECT position, at, entries FROM changes WHERE user_id = $1 AND position > $2 ORDER BY position LIMIT $3
) AS c ON TRUE
WHERE f.user_id = $1 ORDER BY c.position
"""
_POSITION = "SELECT position FROM feeds WHERE user_id = $1"
_CHAT = (
    "SELECT chat_id FROM chats WHERE user_id = $1 AND {} = $2 ORDER BY deleted_at IS NOT NULL, deleted_at DESC LIMIT 1"
)
# Rows looked through at once for the changes of one chat.
SCANNED = 1000
# Messages read at once, and when to stop reading more: one alone may have ten million bytes.
MESSAGES_AT_ONCE = 25
ENOUGH_BYTES = 1024 * 1024

_TYPES = {
    "appended": "message.appended",
    "edited": "message.edited",
    "deleted": "message.deleted",
    "cleared": "messages.cleared",
    "head": "head.moved",
}


@dataclass(frozen=True)
class Change:
    """A change, ready to be sent to anybody who may see it.

    Attributes:
        json: what it is, as JSON.
        removes: whether something went for good that earlier changes may still show.
    """

    position: int
    cursor: str
    type: str
    chat_id: str
    json: bytes
    removes: bool

    @cached_property
    def event(self) -> bytes:
        """It as a Server-Sent Event."""
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (self.cursor.encode(), self.type.encode(), self.json)

    @cached_property
    def text(self) -> str:
        """It as a text for a WebSocket."""
        return self.json.decode()


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes next to each other in the feed, the position after which to go on, and whether there are more."""

    items: Sequence[Change]
    position: int
    has_more: bool


@dataclass(slots=True)
class _Found:
    position: int
    at: Any
    entry: list[Any]

    @property
    def message(self) -> tuple[str, int] | None:
        """The message to be shown with it, if there is to be one."""
        return (self.entry[1], self.entry[2]) if self.entry[0] in ("appended", "edited") else None


class ChangeReader:
    """The feed of one user."""

    def __init__(self, db: Database, user_id: str) -> None:
        self._db = db
        self.user_id = user_id
        self._sql = sqlite if db.kind == "sqlite" else postgres

    def cursor(self, position: int) -> str:
        """The cursor that says: everything up to here was seen."""
        return encode_cursor(["changes", self.user_id], [position])

    async def start(self, since: str | None) -> int | None:
        """The position that a client names by a cursor, `now` or `start`: None for that. Raises InvalidCursor (400)."""
        if since is None or since == "start":
            return None
        if since == "now":
            row = await self._db.driver.fetch_one(_POSITION, self.user_id)
            return int(row[0]) if row is not None else 0
        position = decode_cursor(since, ["changes", self.user_id])
        if len(position) != 1 or type(position[0]) is not int or not 0 <= position[0] < 2**63:
            raise InvalidCursor
        return position[0]

    async def chat(self, ref: ChatRef) -> str:
        """The id of a chat, wherever it is: one in the trash has changes too. Raises NotFound (404)."""
        column, value = ref.column
        row = await self._db.driver.fetch_one(_CHAT.format(column), self.user_id, value)
        if row is None:
            raise NotFound
        return str(row[0])

    async def after(self, position: int | None, limit: int, chat_id: str | None = None) -> Changes:
        """At most `limit` changes after a position, those of one chat only if one is named.

        Raises Gone (410) where the changes right after the position are not kept any more, or never were.
        """
        rows = await self._db.driver.fetch(_ROWS, self.user_id, position or 0, SCANNED if chat_id else limit)
        last, pruned = (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)
        if position is None:
            position = pruned
        if not pruned <= position <= last:
            raise Gone
        found = _entries(row for row in rows if row[2] is not None)
        reached = position
        wanted: list[_Found] = []
        for one in found:
            if one.position <= position:
                continue
            if chat_id is None or one.entry[1] == chat_id:
                if len(wanted) == limit:
                    break
                wanted.append(one)
            reached = one.position
        items = await self._shown(wanted)
        if len(items) < len(wanted):
            reached = items[-1].position
        return Changes(items, reached, reached < last)

    async def _shown(self, found: Sequence[_Found]) -> list[Change]:
        """The changes as they are sent; fewer of them where that is enough to send."""
        chats = await self._chats({one.entry[1] for one in found if one.entry[0].startswith("chat.")})
        items: list[Change] = []
        size = 0
        place = 0
        while place < len(found) and size < ENOUGH_BYTES:
            step = _step(found, place)
            messages = await self._messages({one.message for one in step if one.message is not None})
            for one in step:
                items.append(self._change(one, chats, messages))
                size += len(items[-1].json)
            place += len(step)
        return items

    async def _messages(self, wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], dict[str, Any]]:
        if not wanted:
            return {}
        rows = await self._db.driver.fetch(self._sql.MESSAGES, self.user_id, orjson.dumps(list(wanted)).decode())
        return {(str(row[-1]), row[1]): message_fields(row, str(row[-1]), row[-2]) for row in rows}

    async def _chats(self, wanted: Collection[str]) -> dict[str, bytes]:
        if not wanted:
            return {}
        rows: Sequence[Row] = await self._db.driver.fetch(
            self._sql.CHATS, self.user_id, orjson.dumps(list(wanted)).decode()
        )
        place = FIELDS.index("chat_id")
        return {str(row[place]): chat_json(row) for row in rows}

    def _change(
        self, found: _Found, chats: dict[str, bytes], messages: dict[tuple[str, int], dict[str, Any]]
    ) -> Change:
        kind, chat_id, *names = found.entry
        cursor, type_ = self.cursor(found.position), _TYPES.get(kind, kind)
        said = {"cursor": cursor, "type": type_, "chat_id": chat_id, "at": to_iso(found.at)}
        if kind == "cleared":
            said["last_seq"] = names[0]
        elif kind == "head":
            said["head_seq"], said["head_id"] = names
        elif found.message is not None:
            message = messages.get(found.message)
            said["seq"] = found.entry[2]
            if message is not None:
                said |= {"message_id": message["message_id"], "message": message}
            elif kind == "edited":
                said["message_id"] = names[1]
        elif kind == "deleted":
            said["seq"], said["message_id"] = names
        elif chat_id in chats:
            said["chat"] = orjson.Fragment(chats[chat_id])
        removes = kind in ("deleted", "cleared", "chat.erased")
        return Change(found.position, cursor, type_, chat_id, dumps(said), removes)


async def with_news(db: Database, read: dict[str, int]) -> list[str]:
    """Which of these users have changes after the position that was read."""
    sql = sqlite if db.kind == "sqlite" else postgres
    rows = await db.driver.fetch(sql.POSITIONS, orjson.dumps(list(read)).decode())
    return [user_id for user_id, position in rows if position > read[user_id]]


def _entries(rows: Iterable[Row]) -> Iterable[_Found]:
    """What rows say, one by one: an entry for each message that was appended."""
    for _, _, last, at, text in rows:
        entries = orjson.loads(text)
        position = last - sum(map(length, entries))
        for entry in entries:
            if entry[0] == "appended":
                kind, chat_id, first, count = entry
                for seq in range(first, first + count):
                    position += 1
                    yield _Found(position, at, [kind, chat_id, seq])
            else:
                position += 1
                yield _Found(position, at, entry)


def _step(found: Sequence[_Found], place: int) -> Sequence[_Found]:
    """The next changes, with a bounded number of messages to be read for them."""
    end, messages = place, 0
    while end < len(found) and messages < MESSAGES_AT_ONCE:
        messages += found[end].message is not None
        end += 1
    return found[place:end]
