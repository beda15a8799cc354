"""The list of a chat's branches: its tips, with what lies on the way to each.

No message is counted twice: lines are cut where others leave them, the database sums up each part, and what is on the
way to a tip is the sum of the parts on its way.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from app.db.driver import Reader
from app.db.timestamps import to_iso
from app.http.errors import InvalidCursor
from app.http.paging import decode_cursor, encode_cursor
from app.messages.branching.tree import END, Range, Tree
from app.messages.serialize import dumps
from app.models import Chat

# The first and the last message of each line but the first one.
_LINES = """
SELECT b.segment, (
    SELECT f.seq FROM messages f
    WHERE f.user_id = b.user_id AND f.chat_id = b.chat_id AND f.segment = b.segment AND f.segment > 0 AND f.seq > 0
    ORDER BY f.seq LIMIT 1
), (
    SELECT l.seq FROM messages l
    WHERE l.user_id = b.user_id AND l.chat_id = b.chat_id AND l.segment = b.segment AND l.segment > 0 AND l.seq > 0
    ORDER BY l.seq DESC LIMIT 1
)
FROM segments b WHERE b.user_id = $1 AND b.chat_id = $2
"""
# The messages of the first line come before all others.
_BEFORE = "SELECT segment, seq FROM messages WHERE user_id = $1 AND chat_id = $2 AND seq < $3 ORDER BY seq DESC LIMIT 1"
# Each line cut where others leave it: part 0 up to the first fork on it, and so on.
_PARTS = """
SELECT segment, part, count(*), sum(input), sum(output), sum(total) FROM (
    SELECT segment, is_fork, input, output, total,
        sum(is_fork) OVER (PARTITION BY segment ORDER BY seq, is_fork ROWS UNBOUNDED PRECEDING) AS part
    FROM (
        SELECT segment, seq, 0 AS is_fork, coalesce(input_tokens, 0) AS input, coalesce(output_tokens, 0) AS output,
            coalesce(tokens, coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) AS total
        FROM messages WHERE user_id = $1 AND chat_id = $2
        UNION ALL
        SELECT DISTINCT parent_segment, fork_seq, 1, 0, 0, 0 FROM segments
        WHERE user_id = $1 AND chat_id = $2 AND parent_segment IS NOT NULL
    ) AS marked
) AS parts
WHERE is_fork = 0 GROUP BY segment, part ORDER BY segment, part
"""
_NAMES = (
    "SELECT seq, CAST(message_id AS TEXT), created_at FROM messages WHERE user_id = $1 AND chat_id = $2 AND seq IN ({})"
)

Sums = tuple[int, int, int, int]
"""How many messages, and their input, output and total tokens."""


async def page(
    reader: Reader, chat: Chat, tree: Tree, name: str, limit: int, cursor: str | None
) -> tuple[bytes, str | None]:
    """A page of a chat's tips as JSON, newest first, and the cursor of the next. The reader sees one moment.

    `name` is how the caller names the chat. Raises InvalidCursor (400).
    """
    binding = ["branches", chat.user_id, name]
    before = END if cursor is None else _position(cursor, binding)
    tips = await _tips(reader, chat, tree)
    left = sorted((seq for seq in tips if seq < before), reverse=True)
    shown, more = left[:limit], len(left) > limit
    branches = [tree.branch(tips[seq]) for seq in shown]
    on_the_way = await _sums(reader, chat, tree, branches)
    forks = [tree.last_crossing(branch, seq) for seq, branch in zip(shown, branches, strict=True)]
    names = await _names(reader, chat, {*shown, *(fork for fork in forks if fork is not None)})
    items = []
    for seq, fork, sums in zip(shown, forks, on_the_way, strict=True):
        head_id, created_at = names[seq]
        items.append(
            {
                "head_id": head_id,
                "head_seq": seq,
                "is_active": seq == chat.head_seq,
                "message_count": sums[0],
                "input_tokens": sums[1],
                "output_tokens": sums[2],
                "total_tokens": sums[3],
                "forked_at": None if fork is None else names[fork][0],
                "created_at": to_iso(created_at),
            }
        )
    next_cursor = encode_cursor(binding, [shown[-1]]) if more else None
    return dumps({"items": items, "next_cursor": next_cursor}), next_cursor


def _position(cursor: str, binding: Sequence[Any]) -> int:
    position = decode_cursor(cursor, binding)
    if len(position) != 1 or type(position[0]) is not int or not 0 < position[0] <= END:
        raise InvalidCursor
    return position[0]


async def _tips(reader: Reader, chat: Chat, tree: Tree) -> dict[int, int]:
    """Every message that none follows, and the head: by their seqs, the lines that the branches to them end with."""
    if chat.head_seq is None and not tree.forks:
        return {}
    lines = await reader.fetch(_LINES, chat.user_id, chat.chat_id) if tree.forks else []
    lasts = [(branch, last) for branch, _, last in lines if last is not None]
    before = min((first for _, first, _ in lines if first is not None), default=END)
    lasts += [(0, seq) for branch, seq in await reader.fetch(_BEFORE, chat.user_id, chat.chat_id, before) if not branch]
    found = {seq: branch for branch, seq in lasts if seq not in tree.followed}
    if chat.head_seq is not None:
        found.setdefault(chat.head_seq, tree.active)
    return found


async def _sums(reader: Reader, chat: Chat, tree: Tree, branches: Sequence[Sequence[Range]]) -> list[Sums]:
    """What lies on each of some branches, all of which go on to the end of a line."""
    if not tree.forks:
        return [(chat.message_count, chat.input_tokens, chat.output_tokens, chat.total_tokens) for _ in branches]
    cuts: dict[int, list[int]] = {}
    for line, fork in set(tree.forks.values()):
        if line is not None:
            cuts.setdefault(line, []).append(fork)
    for forks in cuts.values():
        forks.sort()
    # For each line, what there is on it up to the end of each of its parts that has messages.
    parts: dict[int, tuple[list[int], list[Sums]]] = {}
    for branch, part, *sums in await reader.fetch(_PARTS, chat.user_id, chat.chat_id):
        numbers, totals = parts.setdefault(branch, ([], []))
        numbers.append(int(part))
        totals.append(_add(totals[-1] if totals else (0, 0, 0, 0), [int(one) for one in sums]))
    return [_way(branch, cuts, parts) for branch in branches]


def _way(
    ranges: Sequence[Range], cuts: Mapping[int, list[int]], parts: Mapping[int, tuple[list[int], list[Sums]]]
) -> Sums:
    whole: Sums = (0, 0, 0, 0)
    for one in ranges:
        numbers, totals = parts.get(one.segment, ([], []))
        # A branch goes on to the end of a line, or up to a fork on it.
        until = len(numbers)
        if one.upto != END:
            until = bisect_right(numbers, bisect_left(cuts[one.segment], one.upto))
        if until:
            whole = _add(whole, totals[until - 1])
    return whole


def _add(one: Sums, other: Sequence[int]) -> Sums:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3]


async def _names(reader: Reader, chat: Chat, seqs: set[int]) -> dict[int, tuple[str, Any]]:
    """The id and the moment of messages, by their seqs."""
    if not seqs:
        return {}
    statement = _NAMES.format(", ".join(f"${number}" for number in range(3, 3 + len(seqs))))
    rows = await reader.fetch(statement, chat.user_id, chat.chat_id, *sorted(seqs))
    return {seq: (message_id, created_at) for seq, message_id, created_at in rows}
