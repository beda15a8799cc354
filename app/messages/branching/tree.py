"""The tree of a chat's messages: which lines there are, and by which ranges of them a branch is read. Pure.

A line is a run of messages each of which follows the one before it; it leaves another line at a fork. A branch is the
path from a root to a message: a range of each line on its way. Seqs rise along it, so its ranges do not overlap.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

END = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Range:
    """The messages of the line `branch` with seqs after `after` and up to `upto`."""

    segment: int
    after: int
    upto: int


@dataclass(frozen=True)
class Tree:
    """What is known of a chat's tree as long as `chats.tree` is `number`: appending to a line leaves it as it is.

    Attributes:
        active: the line that the active branch ends with. The head is the last message there is on the way.
        forks: for each line but the first, the line it leaves (None for one that begins at a root) and after which seq.
        siblings: for each message that has siblings, the ids of them all in order, by its seq.
        crossings: the seqs of the messages that several others follow, in order, by the line they stand in.
        followed: the seqs of the messages that the first one of a line follows.
    """

    number: int
    active: int
    forks: Mapping[int, tuple[int | None, int]]
    siblings: Mapping[int, Sequence[str]]
    crossings: Mapping[int, Sequence[int]] = field(default_factory=dict)
    followed: frozenset[int] = frozenset()

    @cached_property
    def active_branch(self) -> tuple[Range, ...]:
        """The ranges of the active branch, from its root on."""
        return self._walk(self.active, END)

    def branch(self, line: int, seq: int = END) -> tuple[Range, ...]:
        """The ranges of the branch that ends at the message `seq` of a line, from its root on."""
        return self.active_branch if line == self.active and seq == END else self._walk(line, seq)

    def last_crossing(self, ranges: Sequence[Range], before: int) -> int | None:
        """The last message of a branch that several others follow, before the message `before`."""
        for one in reversed(ranges):
            crossings = self.crossings.get(one.segment, ())
            place = bisect_right(crossings, min(one.upto, before - 1))
            if place:
                return crossings[place - 1]
        return None

    def _walk(self, line: int, seq: int) -> tuple[Range, ...]:
        ranges: list[Range] = []
        on: int | None = line
        upto = seq
        while on is not None:
            before, fork = self.forks.get(on, (None, 0))
            ranges.append(Range(on, fork, upto))
            on, upto = before, fork
        return tuple(reversed(ranges))


LINEAR = Tree(0, 0, {}, {})


def between(ranges: Sequence[Range], after: int, before: int) -> Sequence[Range]:
    """Those of a branch's ranges in which there can be messages with a seq after one and before another."""
    first = bisect_right(ranges, after, key=lambda one: one.upto)
    last = bisect_left(ranges, before - 1, key=lambda one: one.after)
    return ranges[first:last]


def cut(ranges: Sequence[Range], after: int, upto: int) -> list[Range]:
    """The part of a branch with seqs after one and up to another."""
    inside = list(between(ranges, after, upto + 1))
    if inside and inside[0].after < after:
        inside[0] = Range(inside[0].segment, after, inside[0].upto)
    if inside and inside[-1].upto > upto:
        inside[-1] = Range(inside[-1].segment, inside[-1].after, upto)
    return inside


def last_before(ranges: Sequence[Range], upto: int) -> Range | None:
    """The last range of the part of a branch with seqs up to one."""
    found = bisect_left(ranges, upto, key=lambda one: one.after)
    if found == 0:
        return None
    last = ranges[found - 1]
    return Range(last.segment, last.after, min(last.upto, upto))


def shared(one: Sequence[Range], other: Sequence[Range]) -> int:
    """Up to which seq two branches are the same; 0 where they have nothing in common."""
    upto = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine.segment != theirs.segment:
            break
        upto = min(mine.upto, theirs.upto)
        if mine.upto != theirs.upto:
            break
    return upto
