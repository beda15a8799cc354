"""Sums of counter deltas: what a user's changes add to the counters. Pure: rows of the feed in, of the counters out."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.db.timestamps import to_iso
from app.events.counter_deltas import ChatsDelta, MessagesDelta, PlatformDelta, ShrunkDelta, delta_from_json
from app.events.events import MessagesAppended, event_from_json

# The counters of `usage` and `usage_by`, in the order of their columns, and of the time buckets.
TOTALS = ("active_chats", "deleted_chats", "messages", "input_tokens", "output_tokens", "total_tokens")
BUCKET_TOTALS = ("chats", "messages", "input_tokens", "output_tokens", "total_tokens")


@dataclass(slots=True)
class CounterDeltas:
    """The sum of a run of one user's changes: those after `start_position` up to `position`.

    Attributes:
        totals: by TOTALS; `by` the same by kind and name, `buckets` by time bucket and BUCKET_TOTALS.
        grown_chats: the chats that got messages.
        largest_shrunk: how many messages the longest chat had that has fewer now.
        first_at, last_at: of the changes, as the driver returns timestamps.
    """

    start_position: int
    position: int
    totals: list[int] = field(default_factory=lambda: [0] * len(TOTALS))
    by: dict[tuple[str, str | None], list[int]] = field(default_factory=dict)
    buckets: dict[int, list[int]] = field(default_factory=dict)
    grown_chats: set[str] = field(default_factory=set)
    largest_shrunk: int = 0
    first_at: Any = None
    last_at: Any = None

    def add(self, position: int, at: Any, events: str, deltas: str | None) -> None:
        """Adds a row of `changes`, with its events and deltas as JSON texts; rows come in their order."""
        self.position = position
        self.first_at = at if self.first_at is None else min(self.first_at, at)
        self.last_at = at if self.last_at is None else max(self.last_at, at)
        for event in map(event_from_json, orjson.loads(events)):
            if isinstance(event, MessagesAppended):
                self.grown_chats.add(event.chat_id)
        for delta in map(delta_from_json, orjson.loads(deltas) if deltas else ()):
            match delta:
                case MessagesDelta():
                    self._add_messages(delta)
                case ChatsDelta():
                    self._add_chats(delta)
                case PlatformDelta():
                    _add(self._by_name("platform", delta.old), (-number for number in delta.totals))
                    _add(self._by_name("platform", delta.new), delta.totals)
                case ShrunkDelta():
                    self.largest_shrunk = max(self.largest_shrunk, delta.messages)

    def _add_messages(self, delta: MessagesDelta) -> None:
        for counts in delta.counts:
            numbers = (counts.messages, counts.input_tokens, counts.output_tokens, counts.total_tokens)
            totals = (0, 0, *(delta.times * number for number in numbers))
            _add(self.totals, totals)
            _add(self._by_name("platform", delta.platform), totals)
            _add(self._by_name("role", counts.role), totals)
            _add(self._by_name("model", counts.model), totals)
            _add(self._in_bucket(counts.bucket), totals[1:])

    def _add_chats(self, delta: ChatsDelta) -> None:
        _add(self.totals, (delta.active, delta.deleted))
        _add(self._by_name("platform", delta.platform), (delta.active, delta.deleted))
        if delta.created and delta.bucket is not None:
            self._in_bucket(delta.bucket)[0] += delta.created

    def _by_name(self, kind: str, name: str | None) -> list[int]:
        return self.by.setdefault((kind, name), [0] * len(TOTALS))

    def _in_bucket(self, bucket: int) -> list[int]:
        return self.buckets.setdefault(bucket, [0] * len(BUCKET_TOTALS))

    def usage_row(self, user_id: str, longest: int | None) -> list[Any]:
        """What is added to `usage`: user_id, position, TOTALS, longest, first_at, last_at."""
        return [user_id, self.position, *self.totals, longest, to_iso(self.first_at), to_iso(self.last_at)]

    def usage_by_rows(self, user_id: str) -> list[list[Any]]:
        """What is added to `usage_by`: user_id, kind, name, TOTALS."""
        rows = self.by.items()
        return [[user_id, kind, orjson.dumps(name).decode(), *totals] for (kind, name), totals in rows if any(totals)]

    def bucket_rows(self, user_id: str) -> list[list[Any]]:
        """What is added to the time buckets: user_id, time bucket, BUCKET_TOTALS."""
        return [[user_id, bucket, *totals] for bucket, totals in self.buckets.items() if any(totals)]


def _add(totals: list[int], numbers: Iterable[int]) -> None:
    for index, number in enumerate(numbers):
        totals[index] += number
