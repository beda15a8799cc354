"""Diff of two branches: what they share, and where they part."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.driver import SessionReader
from app.messages.branching.branch_reader import BranchReader
from app.messages.branching.tree import SegmentRange, Tree, common_upto, cut
from app.messages.linear_history import PageSpec
from app.messages.queries import find_message
from app.messages.serialize import dumps, message_fields
from app.models import Chat
from app.models.message import MAX_SEQ


@dataclass(frozen=True, slots=True)
class _Branch:
    head_id: str | None
    head_seq: int | None
    ranges: Sequence[SegmentRange]


class Diff:
    """Two branches of a chat, as the snapshot of a session has them."""

    def __init__(self, session: AsyncSession, chat: Chat, tree: Tree) -> None:
        self._session = session
        self._reader = BranchReader(SessionReader(session), chat.user_id, chat.chat_id, in_session=True)
        self._chat = chat
        self._tree = tree

    async def json(self, head_a: str | None, head_b: str | None, limit: int) -> bytes:
        """What the branches that end at two messages (None: the active one) share, as JSON.

        At most `limit` messages of each after that are given. Raises NotFound.
        """
        a, b = await self._branch(head_a), await self._branch(head_b)
        upto = common_upto(a.ranges, b.ranges)
        shared = cut(a.ranges, 0, upto)
        last = await self._read(shared, PageSpec(None, None, None, "desc", 1))
        return dumps(
            {
                "shared": {
                    "head_id": last[0]["message_id"] if last else None,
                    "head_seq": last[0]["seq"] if last else None,
                    "message_count": await self._reader.count(shared),
                },
                "a": await self._side(a, upto, limit),
                "b": await self._side(b, upto, limit),
            }
        )

    async def _branch(self, head: str | None) -> _Branch:
        if head is None:
            return _Branch(self._chat.head_id, self._chat.head_seq, self._tree.active_branch)
        message = await find_message(self._session, self._chat, head)
        return _Branch(message.message_id, message.seq, self._tree.branch(message.segment, message.seq))

    async def _side(self, branch: _Branch, after: int, limit: int) -> dict[str, Any]:
        own = cut(branch.ranges, after, MAX_SEQ)
        return {
            "head_id": branch.head_id,
            "head_seq": branch.head_seq,
            "message_count": await self._reader.count(own),
            "items": await self._read(own, PageSpec(None, None, None, "asc", limit)),
        }

    async def _read(self, ranges: Sequence[SegmentRange], spec: PageSpec) -> list[dict[str, Any]]:
        messages = await self._reader.read(ranges, spec)
        siblings = self._tree.siblings
        return [message_fields(row, self._chat.chat_id, parent, siblings.get(row[1])) for row, parent in messages]
