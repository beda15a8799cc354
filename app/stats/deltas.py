"""Counter deltas: what a user's changes add to the counters. Pure: rows of the feed in, rows of the counters out."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.db.timestamps import to_iso

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

    def add(self, position: int, at: Any, entries: Iterable[Any], counts: Iterable[Any]) -> None:
        """Adds a row of `changes`; rows come in their order."""
        self.position = position
        self.first_at = at if self.first_at is None else min(self.first_at, at)
        self.last_at = at if self.last_at is None else max(self.last_at, at)
        self.grown_chats.update(entry[1] for entry in entries if entry[0] == "appended")
        for kind, *values in counts:
            if kind == "messages":
                self._add_messages(*values)
            elif kind == "chats":
                self._add_chats(*values)
            elif kind == "platform":
                old, new, *totals = values
                _add(self._by_name("platform", old), (-number for number in totals))
                _add(self._by_name("platform", new), totals)
            elif kind == "shrunk":
                self.largest_shrunk = max(self.largest_shrunk, values[0])

    def _add_messages(self, platform: str | None, rows: Iterable[list[Any]]) -> None:
        for bucket, role, model, *counts in rows:
            totals = (0, 0, *counts)
            _add(self.totals, totals)
            _add(self._by_name("platform", platform), totals)
            _add(self._by_name("role", role), totals)
            _add(self._by_name("model", model), totals)
            _add(self._in_bucket(bucket), totals[1:])

    def _add_chats(self, platform: str | None, bucket: int | None, created: int, active: int, deleted: int) -> None:
        _add(self.totals, (active, deleted))
        _add(self._by_name("platform", platform), (active, deleted))
        if created and bucket is not None:
            self._in_bucket(bucket)[0] += created

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
