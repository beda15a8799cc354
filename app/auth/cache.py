"""A cache with a time to live for each entry: what was verified a moment ago need not be verified again."""

import time
from typing import Generic, TypeVar

from cachetools import LRUCache

V = TypeVar("V")


class ExpiringCache(Generic[V]):
    """At most `size` values by the digest of a token, each until its deadline in seconds of `time.monotonic()`.

    Not a TLRUCache: that one looks for other entries that are over at each look-up, for five times as long.
    """

    def __init__(self, size: int) -> None:
        self._entries: LRUCache[bytes, tuple[float, V]] = LRUCache(size)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, digest: bytes) -> V | None:
        """The value, unless its time is over."""
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if entry[0] > time.monotonic():
            return entry[1]
        del self._entries[digest]
        return None

    def put(self, digest: bytes, value: V, deadline: float) -> None:
        """Keeps the value until the deadline."""
        self._entries[digest] = (deadline, value)

    def clear(self) -> None:
        """Forgets every value."""
        self._entries.clear()
