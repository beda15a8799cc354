"""Segments of an imported chat: which one each message is in, found while messages come in by seq. Pure.

See `app.models.Segment`.
"""

from array import array
from bisect import bisect_right
from typing import NamedTuple

_NONE = -1


class Fork(NamedTuple):
    """A segment but the first: it leaves the segment `parent` (None where it begins at a root) after `fork_seq`."""

    segment: int
    parent: int | None
    fork_seq: int


class Segments:
    """The segments of a chat. Keeps a few bytes for each message and segment, so that a million of them fit."""

    def __init__(self) -> None:
        self._seqs = array("i")
        # Runs of messages next to each other in one segment: the seq where each begins, and its segment.
        self._run_starts = array("i")
        self._run_segments = array("i")
        # By segment: its last message, the segment that it leaves, and after which seq.
        self._last_seqs = array("i", [0])
        self._parents = array("i", [_NONE])
        self._fork_seqs = array("i", [0])

    @property
    def count(self) -> int:
        """How many segments there are beside the first one: `chats.last_segment`."""
        return len(self._last_seqs) - 1

    @property
    def last_seq(self) -> int:
        """The seq of the last message; 0 where there is none."""
        return self._seqs[-1] if self._seqs else 0

    def has(self, seq: int) -> bool:
        """Whether there is such a message."""
        index = bisect_right(self._seqs, seq)
        return index > 0 and self._seqs[index - 1] == seq

    def add(self, seq: int, parent: int | None) -> int:
        """The segment of the next message, which follows `parent` (None for a root); the parent was added before.

        It is the parent's segment where the parent is the last message of that, else a new one. The first segment is
        not gone on with once there are others: its messages stay next to each other.
        """
        seqs = self._seqs
        if len(self._last_seqs) == 1 and seqs and parent == seqs[-1]:
            # Most chats have one segment.
            seqs.append(seq)
            self._last_seqs[0] = seq
            return 0
        segment = self._following(parent)
        seqs.append(seq)
        if not self._run_segments or self._run_segments[-1] != segment:
            self._run_starts.append(seq)
            self._run_segments.append(segment)
        self._last_seqs[segment] = seq
        return segment

    def head(self, seq: int | None) -> int:
        """The segment on which a chat with this head (None for no message) goes on; a new one if need be."""
        if seq is None:
            return self._start(None, 0) if self._seqs else 0
        return self._following(seq)

    def forks(self, after: int = 0) -> list[Fork]:
        """The segments that are numbered higher than `after`, as forks."""
        parents = self._parents
        return [
            Fork(segment, None if parents[segment] == _NONE else parents[segment], self._fork_seqs[segment])
            for segment in range(after + 1, len(self._last_seqs))
        ]

    def _following(self, parent: int | None) -> int:
        if parent is None:
            return self._start(None, 0) if self._seqs else 0
        segment = self._run_segments[bisect_right(self._run_starts, parent) - 1]
        if self._last_seqs[segment] == parent and (segment or not self.count):
            return segment
        return self._start(segment, parent)

    def _start(self, parent: int | None, fork: int) -> int:
        self._last_seqs.append(0)
        self._parents.append(_NONE if parent is None else parent)
        self._fork_seqs.append(fork)
        return len(self._last_seqs) - 1
