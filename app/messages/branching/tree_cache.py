"""Tree cache: reads the trees of chats, and keeps what was read as long as it is right.

It is right with any number of processes, since whatever is read by a tree says which version of it the chat has.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from cachetools import LRUCache

from app.db.driver import Reader
from app.messages.branching.tree import LINEAR, Tree
from app.models import Chat

# Each segment with the seq of its first message, if it has any left, and of the one that goes on after its fork in the
# segment that it leaves. The first segment has no index, and needs none: its messages stand together, so that what
# comes after a fork in it is its next message or one of another segment. `seq > 0` has SQLite take the index.
_SEGMENTS = """
SELECT c.tree_version, c.segment, s.segment, s.parent_segment, s.fork_seq, (
    SELECT f.seq FROM messages f
    WHERE f.user_id = $1 AND f.chat_id = s.chat_id AND f.segment = s.segment AND f.segment > 0 AND f.seq > 0
    ORDER BY f.seq LIMIT 1
), CASE WHEN s.parent_segment = 0 THEN (
    SELECT f.seq FROM messages f WHERE f.user_id = $1 AND f.chat_id = s.chat_id AND f.seq > s.fork_seq
    ORDER BY f.seq LIMIT 1
) ELSE (
    SELECT f.seq FROM messages f
    WHERE f.user_id = $1 AND f.chat_id = s.chat_id AND f.segment = s.parent_segment AND f.segment > 0
        AND f.seq > s.fork_seq
    ORDER BY f.seq LIMIT 1
) END
FROM chats c LEFT JOIN segments s ON s.user_id = $1 AND s.chat_id = c.chat_id
WHERE c.user_id = $1 AND c.chat_id = $2
"""
_FIRST_SEQ = "SELECT seq FROM messages WHERE user_id = $1 AND chat_id = $2 ORDER BY seq LIMIT 1"
_MESSAGES = (
    "SELECT seq, CAST(message_id AS TEXT), parent_seq, segment FROM messages "
    "WHERE user_id = $1 AND chat_id = $2 AND seq IN ({})"
)
_MESSAGES_PER_STATEMENT = 250
_CAPACITY = 100_000  # segments and siblings


async def load_tree(reader: Reader, user_id: str, chat_id: str) -> Tree | None:
    """A chat's tree as it is now; None where there is no such chat. The reader is that of a snapshot."""
    rows = await reader.fetch(_SEGMENTS, user_id, chat_id)
    if not rows:
        return None
    version, active = rows[0][0], rows[0][1]
    if rows[0][2] is None:
        return LINEAR if version == 0 else Tree(version, active, {}, {})
    forks = {segment: (parent, fork_seq) for _, _, segment, parent, fork_seq, *_ in rows}
    begins = {segment: begin for _, _, segment, _, _, begin, _ in rows if begin is not None}
    goes_on = {segment: after for _, _, segment, _, _, _, after in rows if after is not None}
    first = await reader.fetch_one(_FIRST_SEQ, user_id, chat_id)
    messages = await _messages(reader, user_id, chat_id, {*begins.values(), *goes_on.values(), *(first or ())})
    # Those that follow a message, by its seq; the roots by 0.
    children: dict[int, set[int]] = {}
    fork_points: dict[int, set[int]] = {}
    for segment, begin in begins.items():
        parent = messages[begin].parent_seq or 0
        family = children.setdefault(parent, set())
        family.add(begin)
        if parent:
            parent_segment, leaving = _parent_segment(forks, segment, parent)
            after = goes_on.get(leaving)
            if after is not None and messages[after].segment == parent_segment:
                family.add(after)
            if len(family) > 1:
                fork_points.setdefault(parent_segment, set()).add(parent)
    if first is not None and messages[first[0]].segment == 0 and 0 in children:
        children[0].add(first[0])
    siblings: dict[int, list[str]] = {}
    for family in children.values():
        if len(family) > 1:
            ids = [messages[seq].message_id for seq in sorted(family)]
            siblings |= dict.fromkeys(family, ids)
    ordered = {segment: sorted(seqs) for segment, seqs in fork_points.items()}
    return Tree(version, active, forks, siblings, ordered, frozenset(children))


def _parent_segment(forks: Mapping[int, tuple[int | None, int]], segment: int, seq: int) -> tuple[int, int]:
    """The segment of the message that the first one of a segment follows, and the segment that leaves it there.

    It is the parent of the segment, unless nothing is left of that before the fork.
    """
    while True:
        parent = forks[segment][0]
        assert parent is not None
        if parent == 0 or seq > forks[parent][1]:
            return parent, segment
        segment = parent


class _Message(NamedTuple):
    message_id: str
    parent_seq: int | None
    segment: int


async def _messages(reader: Reader, user_id: str, chat_id: str, seqs: Collection[int]) -> dict[int, _Message]:
    messages: dict[int, _Message] = {}
    ordered = sorted(seqs)
    for start in range(0, len(ordered), _MESSAGES_PER_STATEMENT):
        batch = ordered[start : start + _MESSAGES_PER_STATEMENT]
        # Few statements, so that they stay prepared.
        batch += batch[-1:] * (-len(batch) % 50)
        statement = _MESSAGES.format(", ".join(f"${number}" for number in range(3, 3 + len(batch))))
        for seq, *message in await reader.fetch(statement, user_id, chat_id, *batch):
            messages[seq] = _Message(*message)
    return messages


async def tree_of(reader: Reader, chat: Chat) -> Tree:
    """The tree of a chat that is at hand. One that never had another segment needs no look."""
    return (await load_tree(reader, chat.user_id, chat.chat_id) if chat.tree_version else None) or LINEAR


async def first_of_segments(reader: Reader, user_id: str, chat_id: str, parent_seq: int) -> list[int]:
    """The seqs of the messages that begin a segment and follow the message `parent_seq`."""
    begins = [row[5] for row in await reader.fetch(_SEGMENTS, user_id, chat_id) if row[5] is not None]
    messages = await _messages(reader, user_id, chat_id, begins)
    return [seq for seq, message in messages.items() if message.parent_seq == parent_seq]


class TreeCache:
    """The trees read last, by chat. Chats of one segment are not in it."""

    def __init__(self) -> None:
        self._trees: LRUCache[tuple[str, str], Tree] = LRUCache(_CAPACITY, _size)

    def get(self, user_id: str, chat_id: str) -> Tree | None:
        """The tree of a chat, whatever its version."""
        return self._trees.get((user_id, chat_id))

    def put(self, user_id: str, chat_id: str, tree: Tree) -> None:
        """Keeps a tree, in place of an older one and of those that were not read for longest."""
        before = self.get(user_id, chat_id)
        # Where two were read at once, the newer one may be there already.
        if before is None or before.version <= tree.version:
            self._trees[user_id, chat_id] = tree


def _size(tree: Tree) -> int:
    # The largest tree is kept as well, then by itself.
    return min(1 + len(tree.forks) + len(tree.siblings), _CAPACITY)
