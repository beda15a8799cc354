"""Which segment of its chat each message is in, found while messages come in by seq. Pure; see `app.models.Segment`."""

from array import array
from bisect import bisect_right
from dataclasses import dataclass

_NONE = -1


@dataclass(frozen=True, slots=True)
class Fork:
    """A line that is not the first one: it leaves `parent` (None for one that begins at a root) after `fork_seq`."""

    segment: int
    parent: int | None
    fork_seq: int


class Lines:
    """The lines of a chat. Keeps some bytes for each message and line, so that a million of them do no harm."""

    def __init__(self) -> None:
        self._seqs = array("i")
        # The lines by runs of messages next to each other: where a run begins, and on which line it is.
        self._starts = array("i")
        self._lines = array("i")
        # By line: its last message, where it leaves which one.
        self._tips = array("i", [0])
        self._parents = array("i", [_NONE])
        self._forks = array("i", [0])

    @property
    def count(self) -> int:
        """How many lines there are beside the first one: `chats.last_segment`."""
        return len(self._tips) - 1

    @property
    def first_seq(self) -> int | None:
        """The seq of the first message; None where there is none."""
        return self._seqs[0] if self._seqs else None

    @property
    def last_seq(self) -> int:
        """The seq of the last message; 0 where there is none."""
        return self._seqs[-1] if self._seqs else 0

    def has(self, seq: int) -> bool:
        """Whether there is such a message."""
        place = bisect_right(self._seqs, seq)
        return place > 0 and self._seqs[place - 1] == seq

    def add(self, seq: int, parent: int | None) -> int:
        """The line of the next message, which follows `parent` (None for a root). Both are known to be there.

        It goes on with the line of what it follows where that is the last of it, but for the first line once there are
        others: that one's messages stay together.
        """
        seqs = self._seqs
        if len(self._tips) == 1 and seqs and parent == seqs[-1]:
            # Most chats are one line.
            seqs.append(seq)
            self._tips[0] = seq
            return 0
        line = self._after(parent)
        seqs.append(seq)
        if not self._lines or self._lines[-1] != line:
            self._starts.append(seq)
            self._lines.append(line)
        self._tips[line] = seq
        return line

    def head(self, seq: int | None) -> int:
        """The line on which a chat goes on whose head is this message, or none: one of its own where it must be."""
        if seq is None:
            return self._begin(None, 0) if self._seqs else 0
        return self._after(seq)

    def forks(self, after: int = 0) -> list[Fork]:
        """The lines that were begun, but for those up to number `after`."""
        return [
            Fork(line, None if self._parents[line] == _NONE else self._parents[line], self._forks[line])
            for line in range(after + 1, len(self._tips))
        ]

    def _after(self, parent: int | None) -> int:
        if parent is None:
            return self._begin(None, 0) if self._seqs else 0
        line = self._lines[bisect_right(self._starts, parent) - 1]
        if self._tips[line] == parent and (line or not self.count):
            return line
        return self._begin(line, parent)

    def _begin(self, parent: int | None, fork: int) -> int:
        self._tips.append(0)
        self._parents.append(_NONE if parent is None else parent)
        self._forks.append(fork)
        return len(self._tips) - 1
