"""What two branches of a chat share, and where they part."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.driver import SessionReader
from app.messages.branching.segments import BranchReader
from app.messages.branching.tree import END, Range, Tree, cut, shared
from app.messages.history import Span
from app.messages.queries import find
from app.messages.serialize import dumps, message_fields
from app.models import Chat


@dataclass(frozen=True, slots=True)
class _Branch:
    head_id: str | None
    head_seq: int | None
    ranges: Sequence[Range]


class Diff:
    """Two branches of a chat, as a session sees it at one moment."""

    def __init__(self, session: AsyncSession, chat: Chat, tree: Tree) -> None:
        self._session = session
        self._reader = BranchReader(SessionReader(session), chat.user_id, chat.chat_id, in_session=True)
        self._chat = chat
        self._tree = tree

    async def json(self, one: str | None, other: str | None, limit: int) -> bytes:
        """What the branches share that end at two messages (or at the head), and at most `limit` messages of each after
        that, as JSON. Raises NotFound."""
        a, b = await self._branch(one), await self._branch(other)
        upto = shared(a.ranges, b.ranges)
        common = cut(a.ranges, 0, upto)
        last = await self._read(common, Span(None, None, None, "desc", 1))
        return dumps(
            {
                "shared": {
                    "head_id": last[0]["message_id"] if last else None,
                    "head_seq": last[0]["seq"] if last else None,
                    "message_count": await self._reader.length(common),
                },
                "a": await self._after(a, upto, limit),
                "b": await self._after(b, upto, limit),
            }
        )

    async def _branch(self, name: str | None) -> _Branch:
        if name is None:
            return _Branch(self._chat.head_id, self._chat.head_seq, self._tree.active_branch)
        message = await find(self._session, self._chat, name)
        return _Branch(message.message_id, message.seq, self._tree.branch(message.segment, message.seq))

    async def _after(self, branch: _Branch, upto: int, limit: int) -> dict[str, Any]:
        own = cut(branch.ranges, upto, END)
        return {
            "head_id": branch.head_id,
            "head_seq": branch.head_seq,
            "message_count": await self._reader.length(own),
            "items": await self._read(own, Span(None, None, None, "asc", limit)),
        }

    async def _read(self, ranges: Sequence[Range], wanted: Span) -> list[dict[str, Any]]:
        placed = await self._reader.read(ranges, wanted)
        siblings = self._tree.siblings
        return [message_fields(row, self._chat.chat_id, parent, siblings.get(row[1])) for row, parent in placed]
