"""The list of a chat's branches: its leaves, with what lies on the way to each.

No message is counted twice: segments are cut where others leave them, the database adds up each part, and what lies on
the way to a leaf is the sum of the parts on its way.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from app.db.driver import Reader
from app.db.timestamps import to_iso
from app.http.paging import decode_integer_cursor, encode_cursor
from app.messages.branching.tree import SegmentRange, Tree
from app.messages.serialize import dumps
from app.models import Chat
from app.models.message import MAX_SEQ

# The first and the last message of each segment but the first one.
_SEGMENTS = """
SELECT s.segment, (
    SELECT f.seq FROM messages f
    WHERE f.user_id = $1 AND f.chat_id = s.chat_id AND f.segment = s.segment AND f.segment > 0 AND f.seq > 0
    ORDER BY f.seq LIMIT 1
), (
    SELECT l.seq FROM messages l
    WHERE l.user_id = $1 AND l.chat_id = s.chat_id AND l.segment = s.segment AND l.segment > 0 AND l.seq > 0
    ORDER BY l.seq DESC LIMIT 1
)
FROM segments s WHERE s.user_id = $1 AND s.chat_id = $2
"""
# The messages of the first segment come before all others.
_BEFORE = "SELECT segment, seq FROM messages WHERE user_id = $1 AND chat_id = $2 AND seq < $3 ORDER BY seq DESC LIMIT 1"
# Each segment cut where others leave it: part 0 up to the first fork in it, and so on.
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
_MESSAGES = (
    "SELECT seq, CAST(message_id AS TEXT), created_at FROM messages WHERE user_id = $1 AND chat_id = $2 AND seq IN ({})"
)

Totals = tuple[int, int, int, int]
"""How many messages, and their input, output and total tokens."""
_NONE: Totals = (0, 0, 0, 0)


async def page(
    reader: Reader, chat: Chat, tree: Tree, name: str, limit: int, cursor: str | None
) -> tuple[bytes, str | None]:
    """A page of a chat's leaves as JSON, newest first, and the cursor of the next. The reader is that of a snapshot.

    `name` is how the caller names the chat. Raises InvalidCursor (400).
    """
    binding = ["branches", chat.user_id, name]
    before = MAX_SEQ if cursor is None else decode_integer_cursor(cursor, binding, 0, MAX_SEQ)
    leaves = await _leaves(reader, chat, tree)
    remaining = sorted((seq for seq in leaves if seq < before), reverse=True)
    seqs = remaining[:limit]
    branches = [tree.branch(leaves[seq]) for seq in seqs]
    totals = await _totals(reader, chat, tree, branches)
    forks = [tree.last_fork_point(branch, seq) for seq, branch in zip(seqs, branches, strict=True)]
    messages = await _messages(reader, chat, {*seqs, *(fork for fork in forks if fork is not None)})
    items = []
    for seq, fork, (count, input_tokens, output_tokens, total_tokens) in zip(seqs, forks, totals, strict=True):
        head_id, created_at = messages[seq]
        items.append(
            {
                "head_id": head_id,
                "head_seq": seq,
                "is_active": seq == chat.head_seq,
                "message_count": count,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
                "total_tokens": total_tokens,
                "forked_at": None if fork is None else messages[fork][0],
                "created_at": to_iso(created_at),
            }
        )
    next_cursor = encode_cursor(binding, [seqs[-1]]) if len(remaining) > limit else None
    return dumps({"items": items, "next_cursor": next_cursor}), next_cursor


async def _leaves(reader: Reader, chat: Chat, tree: Tree) -> dict[int, int]:
    """The seqs of all messages that none follows, and of the head, with the last segments of the branches to them."""
    if chat.head_seq is None and not tree.forks:
        return {}
    segments = await reader.fetch(_SEGMENTS, chat.user_id, chat.chat_id) if tree.forks else []
    lasts = [(segment, last) for segment, _, last in segments if last is not None]
    before = min((first for _, first, _ in segments if first is not None), default=MAX_SEQ)
    rows = await reader.fetch(_BEFORE, chat.user_id, chat.chat_id, before)
    lasts += [(0, seq) for segment, seq in rows if segment == 0]
    leaves = {seq: segment for segment, seq in lasts if seq not in tree.fork_parents}
    if chat.head_seq is not None:
        leaves.setdefault(chat.head_seq, tree.active)
    return leaves


async def _totals(reader: Reader, chat: Chat, tree: Tree, branches: Sequence[Sequence[SegmentRange]]) -> list[Totals]:
    """What lies on each of some branches, all of which go on to the end of a segment."""
    if not tree.forks:
        return [(chat.message_count, chat.input_tokens, chat.output_tokens, chat.total_tokens) for _ in branches]
    cuts: dict[int, list[int]] = {}
    for parent, fork_seq in sorted(set(tree.forks.values()), key=lambda fork: fork[1]):
        if parent is not None:
            cuts.setdefault(parent, []).append(fork_seq)
    # For each segment, what there is of it up to the end of each of its parts that has messages.
    parts: dict[int, tuple[list[int], list[Totals]]] = {}
    for segment, part, *added in await reader.fetch(_PARTS, chat.user_id, chat.chat_id):
        numbers, totals = parts.setdefault(segment, ([], []))
        numbers.append(int(part))
        totals.append(_add(totals[-1] if totals else _NONE, [int(value) for value in added]))
    return [_branch_totals(branch, cuts, parts) for branch in branches]


def _branch_totals(
    branch: Sequence[SegmentRange], cuts: Mapping[int, list[int]], parts: Mapping[int, tuple[list[int], list[Totals]]]
) -> Totals:
    total = _NONE
    for segment_range in branch:
        numbers, totals = parts.get(segment_range.segment, ([], []))
        # A branch goes on to the end of a segment, or up to a fork in it.
        until = len(numbers)
        if segment_range.upto != MAX_SEQ:
            until = bisect_right(numbers, bisect_left(cuts[segment_range.segment], segment_range.upto))
        if until:
            total = _add(total, totals[until - 1])
    return total


def _add(a: Totals, b: Sequence[int]) -> Totals:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


async def _messages(reader: Reader, chat: Chat, seqs: set[int]) -> dict[int, tuple[str, Any]]:
    """The ids and timestamps of messages, by their seqs."""
    if not seqs:
        return {}
    statement = _MESSAGES.format(", ".join(f"${number}" for number in range(3, 3 + len(seqs))))
    rows = await reader.fetch(statement, chat.user_id, chat.chat_id, *sorted(seqs))
    return {seq: (message_id, created_at) for seq, message_id, created_at in rows}
