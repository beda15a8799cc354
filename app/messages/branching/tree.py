"""A chat as a tree of messages: its segments, and the ranges of them that a branch is read by. Pure.

A segment is a run of messages each of which follows the one before it; it leaves another segment at a fork. A branch is
the path from a root to a message: a range of each segment on its way. Seqs rise along it, so its ranges do not overlap.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from app.models.message import MAX_SEQ


@dataclass(frozen=True, slots=True)
class SegmentRange:
    """The messages of a segment with seqs after `after` and up to `upto`."""

    segment: int
    after: int
    upto: int


@dataclass(frozen=True)
class Tree:
    """The structure of a chat's tree, which holds as long as `chats.tree_version` is `version`.

    Appending to a segment leaves it as it is.

    Attributes:
        active: the segment that the active branch ends with. The head is the last message there is on its way.
        forks: for each segment but the first, the one it leaves (None if it begins at a root) and after which seq.
        siblings: for each message that has siblings, the ids of them all in order, by its seq.
        fork_points: the seqs of the messages that several others follow, in order, by their segment.
        fork_parents: the seqs of the messages that the first one of a segment follows.
    """

    version: int
    active: int
    forks: Mapping[int, tuple[int | None, int]]
    siblings: Mapping[int, Sequence[str]]
    fork_points: Mapping[int, Sequence[int]] = field(default_factory=dict)
    fork_parents: frozenset[int] = frozenset()

    @cached_property
    def active_branch(self) -> tuple[SegmentRange, ...]:
        """The ranges of the active branch, from its root on."""
        return self._path(self.active, MAX_SEQ)

    def branch(self, segment: int, seq: int = MAX_SEQ) -> tuple[SegmentRange, ...]:
        """The ranges of the branch that ends at the message `seq` of a segment, from its root on."""
        return self.active_branch if segment == self.active and seq == MAX_SEQ else self._path(segment, seq)

    def last_fork_point(self, branch: Sequence[SegmentRange], before: int) -> int | None:
        """The last message of a branch that several others follow, before the message `before`."""
        for segment_range in reversed(branch):
            fork_points = self.fork_points.get(segment_range.segment, ())
            index = bisect_right(fork_points, min(segment_range.upto, before - 1))
            if index:
                return fork_points[index - 1]
        return None

    def _path(self, last_segment: int, last_seq: int) -> tuple[SegmentRange, ...]:
        ranges: list[SegmentRange] = []
        segment: int | None = last_segment
        upto = last_seq
        while segment is not None:
            parent, fork_seq = self.forks.get(segment, (None, 0))
            ranges.append(SegmentRange(segment, fork_seq, upto))
            segment, upto = parent, fork_seq
        return tuple(reversed(ranges))


LINEAR = Tree(0, 0, {}, {})
"""The tree of a chat that never had more than one segment."""


def between(ranges: Sequence[SegmentRange], after: int, before: int) -> Sequence[SegmentRange]:
    """Those of a branch's ranges in which there can be messages with a seq after one and before another."""
    first = bisect_right(ranges, after, key=lambda segment_range: segment_range.upto)
    last = bisect_left(ranges, before - 1, key=lambda segment_range: segment_range.after)
    return ranges[first:last]


def cut(ranges: Sequence[SegmentRange], after: int, upto: int) -> list[SegmentRange]:
    """The part of a branch with seqs after one and up to another."""
    part = list(between(ranges, after, upto + 1))
    if part and part[0].after < after:
        part[0] = SegmentRange(part[0].segment, after, part[0].upto)
    if part and part[-1].upto > upto:
        part[-1] = SegmentRange(part[-1].segment, part[-1].after, upto)
    return part


def last_before(ranges: Sequence[SegmentRange], upto: int) -> SegmentRange | None:
    """The last range of the part of a branch with seqs up to one."""
    index = bisect_left(ranges, upto, key=lambda segment_range: segment_range.after)
    if index == 0:
        return None
    last = ranges[index - 1]
    return SegmentRange(last.segment, last.after, min(last.upto, upto))


def common_upto(a: Sequence[SegmentRange], b: Sequence[SegmentRange]) -> int:
    """Up to which seq two branches are the same; 0 where they have nothing in common."""
    upto = 0
    for of_a, of_b in zip(a, b, strict=False):
        if of_a.segment != of_b.segment:
            break
        upto = min(of_a.upto, of_b.upto)
        if of_a.upto != of_b.upto:
            break
    return upto
