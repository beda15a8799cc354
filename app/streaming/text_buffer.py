"""Buffer of a message's text in this process: what it received, how much of that is stored, and the tail of both."""

from collections import deque

# This many characters of stored text are kept, to compare text that is sent again with it.
KEPT_CHARACTERS = 2048


class ChunkGap(Exception):
    """A chunk begins after the end of what was received: text before it is missing."""


class ChunkMismatch(Exception):
    """A chunk differs from what was received at the same offset."""


class TextBuffer:
    """An append-only text. Offsets are counted in characters (Unicode code points).

    Attributes:
        stored: how many characters are on disk.
        received: how many characters this process has.
    """

    __slots__ = ("_parts", "received", "stored")

    def __init__(self, stored: int) -> None:
        self.stored = stored
        self.received = stored
        # Consecutive parts, each with the offset at which it begins; the last one ends at `received`.
        self._parts: deque[tuple[int, str]] = deque()

    def add(self, offset: int, text: str) -> int:
        """Adds what is new in a chunk that begins at `offset`. Gives how many characters that is.

        What was received before is compared, as far as it is kept, and not added again. Raises ChunkGap and
        ChunkMismatch.
        """
        received = self.received
        if offset > received:
            raise ChunkGap
        if offset < received:
            self._compare(offset, text)
            text = text[received - offset :]
        if text:
            self._parts.append((received, text))
            self.received = received + len(text)
        return len(text)

    def unstored(self) -> str:
        """The text that is not on disk yet."""
        return "" if self.received == self.stored else self._slice(self.stored, self.received)

    def mark_stored(self, stored: int) -> None:
        """Notes how many characters are on disk; that may be more than were received here."""
        if stored > self.received:
            self._parts.clear()
            self.received = stored
        self.stored = stored
        while self._parts and self._parts[0][0] + len(self._parts[0][1]) <= stored - KEPT_CHARACTERS:
            self._parts.popleft()

    def reconcile(self, text: str) -> bool:
        """Notes that another process stored `text` after `stored`. Gives whether that agrees with what was received.

        Where it does not, the disk is right, and what was received here after `stored` is dropped.
        """
        own_text = self._slice(self.stored, min(self.received, self.stored + len(text)))
        agrees = text.startswith(own_text)
        if not agrees:
            self._parts.clear()
            self.received = self.stored
        self.mark_stored(self.stored + len(text))
        return agrees

    def _compare(self, offset: int, text: str) -> None:
        kept_from = self._parts[0][0] if self._parts else self.received
        begin, end = max(offset, kept_from), min(offset + len(text), self.received)
        if begin < end and self._slice(begin, end) != text[begin - offset : end - offset]:
            raise ChunkMismatch

    def _slice(self, begin: int, end: int) -> str:
        parts: list[str] = []
        for start, text in reversed(self._parts):
            if start < end:
                parts.append(text[max(0, begin - start) : end - start])
            if start <= begin:
                break
        return "".join(reversed(parts))
