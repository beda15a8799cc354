"""Reading a chat's tree, and keeping what was read as long as it is right.

It is right with any number of processes, since whatever is read by a tree says which tree the chat has by then.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from cachetools import LRUCache

from app.db.driver import Reader
from app.messages.branching.tree import LINEAR, Tree
from app.models import Chat

# Each line with the seq of its first message, if it has any left, and of the one that goes on after its fork on the
# line that it leaves. The first line has no index, and needs none: its messages stand together, so that what comes
# after a fork on it is its next message or one of another line. `seq > 0` has SQLite take the index.
_LINES = """
SELECT c.tree_version, c.segment, b.segment, b.parent_segment, b.fork_seq, (
    SELECT f.seq FROM messages f
    WHERE f.user_id = b.user_id AND f.chat_id = b.chat_id AND f.segment = b.segment AND f.segment > 0 AND f.seq > 0
    ORDER BY f.seq LIMIT 1
), CASE WHEN b.parent_segment = 0 THEN (
    SELECT f.seq FROM messages f WHERE f.user_id = b.user_id AND f.chat_id = b.chat_id AND f.seq > b.fork_seq
    ORDER BY f.seq LIMIT 1
) ELSE (
    SELECT f.seq FROM messages f
    WHERE f.user_id = b.user_id AND f.chat_id = b.chat_id AND f.segment = b.parent_segment AND f.segment > 0
        AND f.seq > b.fork_seq
    ORDER BY f.seq LIMIT 1
) END
FROM chats c LEFT JOIN segments b ON b.user_id = c.user_id AND b.chat_id = c.chat_id
WHERE c.user_id = $1 AND c.chat_id = $2
"""
_FIRST = "SELECT seq FROM messages WHERE user_id = $1 AND chat_id = $2 ORDER BY seq LIMIT 1"
_MESSAGES = (
    "SELECT seq, CAST(message_id AS TEXT), parent_seq, segment FROM messages "
    "WHERE user_id = $1 AND chat_id = $2 AND seq IN ({})"
)
_AT_ONCE = 250
_MOST_KEPT = 100_000  # lines


async def load(reader: Reader, user_id: str, chat_id: str) -> Tree | None:
    """A chat's tree as it is now; None where there is no such chat. The reader sees one moment."""
    rows = await reader.fetch(_LINES, user_id, chat_id)
    if not rows:
        return None
    number, active = rows[0][0], rows[0][1]
    if rows[0][2] is None:
        return LINEAR if number == 0 else Tree(number, active, {}, {})
    forks = {branch: (parent, fork) for _, _, branch, parent, fork, *_ in rows}
    begins = {branch: begin for _, _, branch, _, _, begin, _ in rows if begin is not None}
    goes_on = {branch: after for _, _, branch, _, _, _, after in rows if after is not None}
    first = await reader.fetch_one(_FIRST, user_id, chat_id)
    named = {*begins.values(), *goes_on.values(), *(first or ())}
    messages = await _messages(reader, user_id, chat_id, named)
    # Those that follow a message, by its seq; the roots by 0.
    families: dict[int, set[int]] = {}
    crossings: dict[int, set[int]] = {}
    for branch, begin in begins.items():
        parent = messages[begin].parent_seq or 0
        family = families.setdefault(parent, set())
        family.add(begin)
        if parent:
            line, left_by = _line_of(forks, branch, parent)
            after = goes_on.get(left_by)
            if after is not None and messages[after].segment == line:
                family.add(after)
            if len(family) > 1:
                crossings.setdefault(line, set()).add(parent)
    if first is not None and messages[first[0]].segment == 0 and 0 in families:
        families[0].add(first[0])
    siblings: dict[int, list[str]] = {}
    for family in families.values():
        if len(family) > 1:
            ids = [messages[seq].message_id for seq in sorted(family)]
            siblings |= dict.fromkeys(family, ids)
    ordered = {line: sorted(seqs) for line, seqs in crossings.items()}
    return Tree(number, active, forks, siblings, ordered, frozenset(families))


def _line_of(forks: Mapping[int, tuple[int | None, int]], branch: int, seq: int) -> tuple[int, int]:
    """On which line the message stands that the first one of a branch follows, and which line leaves that one there.

    It is the line that the branch leaves, unless nothing is left of that before the fork.
    """
    while True:
        line = forks[branch][0]
        assert line is not None
        if line == 0 or seq > forks[line][1]:
            return line, branch
        branch = line


class _Message(NamedTuple):
    message_id: str
    parent_seq: int | None
    segment: int


async def _messages(reader: Reader, user_id: str, chat_id: str, seqs: Collection[int]) -> dict[int, _Message]:
    found: dict[int, _Message] = {}
    wanted = sorted(seqs)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        # Few statements, so that they stay prepared.
        some += some[-1:] * (-len(some) % 50)
        statement = _MESSAGES.format(", ".join(f"${number}" for number in range(3, 3 + len(some))))
        for seq, *message in await reader.fetch(statement, user_id, chat_id, *some):
            found[seq] = _Message(*message)
    return found


async def tree_of(reader: Reader, chat: Chat) -> Tree:
    """The tree of a chat that is at hand. One that never had another line needs no look."""
    return (await load(reader, chat.user_id, chat.chat_id) if chat.tree_version else None) or LINEAR


async def first_of_lines(reader: Reader, user_id: str, chat_id: str, parent_seq: int) -> list[int]:
    """The seqs of the messages that begin a line and follow the message `parent_seq`."""
    begins = [row[5] for row in await reader.fetch(_LINES, user_id, chat_id) if row[5] is not None]
    messages = await _messages(reader, user_id, chat_id, begins)
    return [seq for seq, message in messages.items() if message.parent_seq == parent_seq]


class TreeCache:
    """The trees read last, by chat. Chats of one line are not in it."""

    def __init__(self) -> None:
        self._trees: LRUCache[tuple[str, str], Tree] = LRUCache(_MOST_KEPT, _size)

    def get(self, user_id: str, chat_id: str) -> Tree | None:
        """The tree under a chat, whatever its number."""
        return self._trees.get((user_id, chat_id))

    def put(self, user_id: str, chat_id: str, tree: Tree) -> None:
        """Keeps a tree, in place of an older one and of those that were not read for longest."""
        before = self.get(user_id, chat_id)
        # Where two were read at once, the newer one may be there already.
        if before is None or before.number <= tree.number:
            self._trees[user_id, chat_id] = tree


def _size(tree: Tree) -> int:
    # The largest tree is kept as well, then by itself.
    return min(1 + len(tree.forks) + len(tree.siblings), _MOST_KEPT)
