"""History cache: pages of messages as the bytes that were answered, least recently read first to go.

It is right with any number of processes, since it is asked only after the database said which version a chat has.
"""

from collections.abc import Hashable
from dataclasses import dataclass

from cachetools import LRUCache

# What an entry costs besides its bytes: its key, its links and its place in the table, roughly.
_OVERHEAD_BYTES = 500


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of messages: the chat's ETag when it was read, the JSON, and the cursor for what follows."""

    etag: str
    body: bytes
    next_cursor: str | None


class HistoryCache:
    """The pages read last, up to `capacity` bytes of them."""

    def __init__(self, capacity: int) -> None:
        self._pages: LRUCache[Hashable, HistoryPage] = LRUCache(capacity, _size)

    def get(self, key: Hashable) -> HistoryPage | None:
        """The page under a key, whatever its version."""
        return self._pages.get(key)

    def put(self, key: Hashable, page: HistoryPage) -> None:
        """Keeps a page, in place of an older one and of those that were not read for longest."""
        if _size(page) <= self._pages.maxsize // 8:
            self._pages[key] = page


def _size(page: HistoryPage) -> int:
    return len(page.body) + _OVERHEAD_BYTES
