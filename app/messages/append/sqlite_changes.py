"""Changes of a group of appends on SQLite: what it recorded for each user, as events and counter deltas."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from app.db.timestamps import now, to_iso
from app.events.counter_deltas import ChatsDelta, CounterDelta, MessageCounts, MessagesDelta, bucket_of
from app.events.events import ChatCreated, Event, MessagesAppended
from app.messages.append.contract import Append, Appended
from app.messages.append.new_message import NewMessage, message_counts, to_json

# A group's changes are one JSON array of `[user_id, positions, events, deltas]`: two statements do for all users.
_ADVANCE_FEEDS = """
INSERT INTO feeds (user_id, position, pruned)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), 0 FROM json_each(?1) WHERE true
ON CONFLICT (user_id) DO UPDATE SET position = position + excluded.position
"""
_INSERT_CHANGES = """
INSERT INTO changes (user_id, position, at, events, deltas)
SELECT f.user_id, f.position, ?2, json_extract(c.value, '$[2]'), json_extract(c.value, '$[3]')
FROM json_each(?1) c JOIN feeds f ON f.user_id = json_extract(c.value, '$[0]')
"""


class Rows(Protocol):
    def fetchone(self) -> Any: ...

    def fetchall(self) -> Sequence[Any]: ...


class SqlConnection(Protocol):
    """What is used of a connection, which is the plain driver's or that of a session."""

    def execute(self, sql: str, parameters: Sequence[Any], /) -> Rows: ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Rows: ...


@dataclass(slots=True)
class UserChanges:
    """What a group changes for one user."""

    events: list[Event] = field(default_factory=list)
    created: list[CounterDelta] = field(default_factory=list)
    # How many appends add the same to the counters of a platform.
    counted: Counter[tuple[str | None, tuple[MessageCounts, ...]]] = field(default_factory=Counter)

    def add_created(self, chat_id: str, append: Append) -> None:
        self.events.append(ChatCreated(chat_id))
        self.created.append(ChatsDelta(None, bucket_of(append.at), 1, 1, 0))

    def add_appended(self, appended: Appended, platform: str | None, messages: Sequence[NewMessage]) -> None:
        self.counted[platform, tuple(message_counts(messages))] += 1
        first_seq = appended.first_seq
        last = self.events[-1] if self.events else None
        if (
            isinstance(last, MessagesAppended)
            and last.chat_id == appended.chat_id
            and last.first_seq + last.count == first_seq
        ):
            # What was appended to one chat is one event.
            self.events[-1] = replace(last, count=last.count + len(messages))
        else:
            self.events.append(MessagesAppended(appended.chat_id, first_seq, len(messages)))

    @property
    def deltas(self) -> list[CounterDelta]:
        """What it all adds to the counters."""
        messages = (MessagesDelta(platform, counts, times) for (platform, counts), times in self.counted.items())
        return [*self.created, *messages]


Changes = dict[str, UserChanges]


def record_changes(connection: SqlConnection, changes: Changes) -> None:
    """Records what the group changed, as `app.events.log.append_events` does."""
    rows = to_json(
        [
            [
                user_id,
                sum(event.position_count for event in own.events),
                [event.to_json() for event in own.events],
                [delta.to_json() for delta in own.deltas],
            ]
            for user_id, own in changes.items()
        ]
    )
    connection.execute(_ADVANCE_FEEDS, (rows,))
    connection.execute(_INSERT_CHANGES, (rows, to_iso(now())))
