"""A page of what is found."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.db.database import Database
from app.db.timestamps import to_iso
from app.http.errors import InvalidCursor, NotFound
from app.http.paging import decode_cursor, encode_cursor
from app.http.references import ChatRef
from app.search import query as queries
from app.search.executor import LAST_DOC, Finder
from app.search.hits import hits
from app.search.indexer import Index
from app.search.query_builder import Wanted
from app.search.ranking import Match, rank
from app.search.schemas import SearchQuery

# So many of the newest matches are put in order together, the best first; then as many before them.
WINDOW = 200

_CHAT = (
    "SELECT chat_id FROM chats WHERE user_id = $1 AND {} = $2 ORDER BY deleted_at IS NOT NULL, deleted_at DESC LIMIT 1"
)


class Search:
    """The search of one user."""

    def __init__(self, db: Database, index: Index, user_id: str) -> None:
        self._db = db
        self._index = index
        self._user_id = user_id

    async def page(self, asked: SearchQuery) -> tuple[list[bytes], str | None]:
        """The hits of a page, as JSON, and the cursor for what follows.

        What the user had written when this was called is found. Raises BadRequest and InvalidCursor (400), NotFound for
        a chat that is not there, and Overloaded (503) while the user's messages are indexed anew.
        """
        query = queries.parse(asked.q)
        binding = ["search", self._user_id, asked.model_dump(mode="json", exclude={"limit", "cursor"})]
        start, skipped = _position(asked.cursor, binding, asked.order)
        chat_id = None if asked.chat is None else await self._chat(ChatRef.parse(asked.chat))
        await self._index.catch_up(self._user_id)
        wanted = Wanted(
            user_id=self._user_id,
            query=query,
            chat_id=chat_id,
            role=asked.role,
            platform=asked.platform,
            tags=tuple(asked.tag),
            include_deleted=asked.include_deleted,
            before=_earlier(start, asked.before),
            earliest=asked.after,
        )
        find = self._newest if asked.order == "newest" else self._best
        matches, following = await find(wanted, skipped, asked.limit)
        items = await hits(self._index.tables, self._user_id, query, matches)
        return items, None if following is None else encode_cursor(binding, following)

    async def _newest(self, wanted: Wanted, _skipped: int, limit: int) -> tuple[Sequence[Match], Sequence[Any] | None]:
        found = await Finder(self._db).newest(wanted, limit, words=False)
        return found.matches, None if found.rest is None else _written(found.rest)

    async def _best(self, wanted: Wanted, skipped: int, limit: int) -> tuple[Sequence[Match], Sequence[Any] | None]:
        """The next best ones of a window; `skipped` of it were on pages before."""
        found = await Finder(self._db).newest(wanted, WINDOW, words=True)
        best = rank(wanted.query, found.matches)
        shown = best[skipped : skipped + limit]
        if skipped + limit < len(best):
            # What is written from now on is not in this window: it would move all that follows.
            at, doc = found.matches[0][:2]
            return shown, (to_iso(at), doc + 1, skipped + limit)
        return shown, None if found.rest is None else (*_written(found.rest), 0)

    async def _chat(self, ref: ChatRef) -> str:
        column, value = ref.column
        row = await self._db.driver.fetch_one(_CHAT.format(column), self._user_id, value)
        if row is None:
            raise NotFound
        return str(row[0])


def _written(place: tuple[Any, int]) -> tuple[str | None, int]:
    """A place as cursors have it."""
    return to_iso(place[0]), place[1]


def _position(cursor: str | None, binding: Sequence[Any], order: str) -> tuple[tuple[datetime, int] | None, int]:
    """The place below which a page begins, and how many of its window it leaves out. Raises InvalidCursor (400)."""
    if cursor is None:
        return None, 0
    position = decode_cursor(cursor, binding)
    kinds = [str, int] if order == "newest" else [str, int, int]
    if [type(value) for value in position] != kinds:
        raise InvalidCursor
    at, doc, skipped = (*position, 0)[:3]
    try:
        place = datetime.fromisoformat(at)
        if to_iso(place) != at or not 0 <= doc <= LAST_DOC or not 0 <= skipped <= WINDOW:
            raise InvalidCursor
    except (ValueError, OverflowError):
        raise InvalidCursor from None
    return (place, doc), skipped


def _earlier(start: tuple[datetime, int] | None, before: datetime | None) -> tuple[datetime, int] | None:
    """Below which place to look: the cursor's or the filter's, whichever is earlier. Documents are numbered from 1."""
    places = [] if start is None else [start]
    if before is not None:
        places.append((before, 0))
    return min(places, default=None)
