"""What was verified a moment ago, so that the next request need not ask again."""

import time
from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")


class ExpiringCache(Generic[V]):
    """At most `size` values by the digest of a token, each until its moment; the ones put first go first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[bytes, tuple[float, V]] = OrderedDict()

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

    def put(self, digest: bytes, value: V, until: float) -> None:
        """Keeps the value until a moment of `time.monotonic()`."""
        self._entries[digest] = (until, value)
        self._entries.move_to_end(digest)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
