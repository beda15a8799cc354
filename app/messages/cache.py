"""Pages of history that were read, as the bytes they were answered with.

It is right with any number of processes, since it is asked only after the database said which version a chat has.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

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
        self._capacity = capacity
        self._bytes = 0
        self._pages: OrderedDict[Hashable, HistoryPage] = OrderedDict()

    def get(self, key: Hashable) -> HistoryPage | None:
        """The page under a key, whatever its version."""
        page = self._pages.get(key)
        if page is not None:
            self._pages.move_to_end(key)
        return page

    def put(self, key: Hashable, page: HistoryPage) -> None:
        """Keeps a page, in place of an older one and of those that were not read for longest."""
        size = len(page.body) + _OVERHEAD_BYTES
        if size > self._capacity // 8:
            return
        if (before := self._pages.pop(key, None)) is not None:
            self._bytes -= len(before.body) + _OVERHEAD_BYTES
        self._pages[key] = page
        self._bytes += size
        while self._bytes > self._capacity:
            _, dropped = self._pages.popitem(last=False)
            self._bytes -= len(dropped.body) + _OVERHEAD_BYTES
