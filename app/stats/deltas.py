"""What a user's changes add to his counters, summed. Pure: rows of the feed come in, rows of the counters come out."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.db.timestamps import to_iso

# The counters of `usage` and `usage_by`, in the order of their columns, and of `usage_slots`.
TOTALS = ("active_chats", "deleted_chats", "messages", "input_tokens", "output_tokens", "total_tokens")
SLOT_TOTALS = ("chats", "messages", "input_tokens", "output_tokens", "total_tokens")


@dataclass(slots=True)
class Sums:
    """What a run of one user's changes adds up to.

    Attributes:
        began, position: it is of the changes after `began` up to `position`.
        totals: by TOTALS; `by` the same by kind and name, `slots` by SLOT_TOTALS.
        grown: the chats that messages were added to.
        shrunk: how many messages the longest chat had that has fewer now.
        first_at, last_at: of the changes, as the driver gives moments.
    """

    began: int
    position: int
    totals: list[int] = field(default_factory=lambda: [0] * len(TOTALS))
    by: dict[tuple[str, str | None], list[int]] = field(default_factory=dict)
    slots: dict[int, list[int]] = field(default_factory=dict)
    grown: set[str] = field(default_factory=set)
    shrunk: int = 0
    first_at: Any = None
    last_at: Any = None

    def add(self, position: int, at: Any, entries: Iterable[Any], counts: Iterable[Any]) -> None:
        """Adds a row of `changes`; the rows come in their order."""
        self.position = position
        self.first_at = at if self.first_at is None else min(self.first_at, at)
        self.last_at = at if self.last_at is None else max(self.last_at, at)
        self.grown.update(entry[1] for entry in entries if entry[0] == "appended")
        for kind, *count in counts:
            if kind == "messages":
                self._add_messages(*count)
            elif kind == "chats":
                self._add_chats(*count)
            elif kind == "platform":
                old, new, *had = count
                _add(self._of("platform", old), (-number for number in had))
                _add(self._of("platform", new), had)
            elif kind == "shrunk":
                self.shrunk = max(self.shrunk, count[0])

    def _add_messages(self, platform: str | None, rows: Iterable[list[Any]]) -> None:
        for slot, role, model, *added in rows:
            more = (0, 0, *added)
            _add(self.totals, more)
            _add(self._of("platform", platform), more)
            _add(self._of("role", role), more)
            _add(self._of("model", model), more)
            _add(self._at(slot), more[1:])

    def _add_chats(self, platform: str | None, slot: int | None, created: int, active: int, deleted: int) -> None:
        _add(self.totals, (active, deleted))
        _add(self._of("platform", platform), (active, deleted))
        if created and slot is not None:
            self._at(slot)[0] += created

    def _of(self, kind: str, name: str | None) -> list[int]:
        return self.by.setdefault((kind, name), [0] * len(TOTALS))

    def _at(self, slot: int) -> list[int]:
        return self.slots.setdefault(slot, [0] * len(SLOT_TOTALS))

    def row(self, user_id: str, longest: int | None) -> list[Any]:
        """The row of `usage`, but for what is there already: user_id, position, TOTALS, longest, first_at, last_at."""
        return [user_id, self.position, *self.totals, longest, to_iso(self.first_at), to_iso(self.last_at)]

    def rows_by(self, user_id: str) -> list[list[Any]]:
        """The rows of `usage_by`: user_id, kind, name, TOTALS."""
        rows = self.by.items()
        return [[user_id, kind, orjson.dumps(name).decode(), *sums] for (kind, name), sums in rows if any(sums)]

    def rows_of_slots(self, user_id: str) -> list[list[Any]]:
        """The rows of `usage_slots`: user_id, slot, SLOT_TOTALS."""
        return [[user_id, slot, *sums] for slot, sums in self.slots.items() if any(sums)]


def _add(sums: list[int], more: Iterable[int]) -> None:
    for place, number in enumerate(more):
        sums[place] += number
