"""Search store: pages of hits for one user, the best or the newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.db.database import Database
from app.db.timestamps import to_iso
from app.http.errors import InvalidCursor, NotFound
from app.http.paging import decode_cursor, encode_cursor, parse_cursor_timestamp
from app.http.references import ChatRef
from app.search.executor import MAX_DOC, SearchExecutor
from app.search.indexer import SearchIndexer
from app.search.query_builder import SearchCriteria
from app.search.query_parser import parse
from app.search.ranking import Match, rank
from app.search.schemas import SearchQuery
from app.search.serialize import serialize_hits

# So many of the newest matches are ranked together; then as many before them.
WINDOW = 200

_CHAT = (
    "SELECT chat_id FROM chats WHERE user_id = $1 AND {} = $2 ORDER BY deleted_at IS NOT NULL, deleted_at DESC LIMIT 1"
)

Page = tuple[Sequence[Match], Sequence[Any] | None]
"""Matches, and what the cursor of the next page holds; None on the last page."""


class SearchStore:
    """The search of one user."""

    def __init__(self, db: Database, indexer: SearchIndexer, user_id: str) -> None:
        self._db = db
        self._indexer = indexer
        self._executor = SearchExecutor(db)
        self._user_id = user_id

    async def page(self, params: SearchQuery) -> tuple[list[bytes], str | None]:
        """The hits of a page, as JSON, and the cursor of the next page.

        It finds what the user had written when this was called. Raises BadRequest and InvalidCursor (400), NotFound for
        a chat that does not exist, and Overloaded (503) while the user's messages are indexed again.
        """
        query = parse(params.q)
        binding = ["search", self._user_id, params.model_dump(mode="json", exclude={"limit", "cursor"})]
        position, skipped = _decode_position(params.cursor, binding, params.order)
        chat_id = None if params.chat is None else await self._chat_id(ChatRef.parse(params.chat))
        await self._indexer.catch_up(self._user_id)
        # Documents are numbered from 1, so that no number comes before 0.
        positions = [position, None if params.before is None else (params.before, 0)]
        criteria = SearchCriteria(
            user_id=self._user_id,
            query=query,
            chat_id=chat_id,
            role=params.role,
            platform=params.platform,
            tags=tuple(params.tag),
            include_deleted=params.include_deleted,
            before=min(filter(None, positions), default=None),
            after=params.after,
        )
        find = self._newest if params.order == "newest" else self._best
        matches, following = await find(criteria, skipped, params.limit)
        items = await serialize_hits(self._indexer.queries, self._user_id, query, matches)
        return items, None if following is None else encode_cursor(binding, following)

    async def _newest(self, criteria: SearchCriteria, _skipped: int, limit: int) -> Page:
        page = await self._executor.newest(criteria, limit, words=False)
        return page.matches, None if page.next_position is None else _encode_position(page.next_position)

    async def _best(self, criteria: SearchCriteria, skipped: int, limit: int) -> Page:
        """The next best matches of a window, of which `skipped` were on the pages before."""
        window = await self._executor.newest(criteria, WINDOW, words=True)
        ranked = rank(criteria.query, window.matches)
        matches = ranked[skipped : skipped + limit]
        if skipped + limit < len(ranked):
            # The next page is of the same window: what is written from now on would move all that follows.
            created_at, doc = window.matches[0][:2]
            return matches, (to_iso(created_at), doc + 1, skipped + limit)
        return matches, None if window.next_position is None else (*_encode_position(window.next_position), 0)

    async def _chat_id(self, ref: ChatRef) -> str:
        column, value = ref.column
        row = await self._db.driver.fetch_one(_CHAT.format(column), self._user_id, value)
        if row is None:
            raise NotFound
        return str(row[0])


def _encode_position(position: tuple[Any, int]) -> tuple[str | None, int]:
    return to_iso(position[0]), position[1]


def _decode_position(cursor: str | None, binding: Sequence[Any], order: str) -> tuple[tuple[datetime, int] | None, int]:
    """The position below which a page begins, and how many matches of its window were on pages before.

    Raises InvalidCursor (400).
    """
    if cursor is None:
        return None, 0
    values = decode_cursor(cursor, binding)
    if [type(value) for value in values] != ([str, int] if order == "newest" else [str, int, int]):
        raise InvalidCursor
    text, doc, skipped = (*values, 0)[:3]
    if not 0 <= doc <= MAX_DOC or not 0 <= skipped <= WINDOW:
        raise InvalidCursor
    return (parse_cursor_timestamp(text), doc), skipped
