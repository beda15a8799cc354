"""The text of an answer as one process knows it: what is on disk, and what it has received since."""

from collections import deque

# Of the text that is on disk, this many characters are remembered, to compare what is sent again with it.
REMEMBERED = 2048


class Ahead(Exception):
    """A chunk begins after the end of what was received: something before it is missing."""


class Differs(Exception):
    """A chunk says something else than what was received at the same place."""


class Growing:
    """A text that only grows. Places in it are counted in characters (Unicode code points).

    Attributes:
        stored: how far it is on disk.
        received: how far this process has it.
    """

    __slots__ = ("_parts", "received", "stored")

    def __init__(self, stored: int) -> None:
        self.stored = stored
        self.received = stored
        # Where each part begins, and its text; one after the other without a gap, the last one ends at `received`.
        self._parts: deque[tuple[int, str]] = deque()

    def take(self, offset: int, text: str) -> int:
        """Adds what is new in a chunk that begins at `offset`, and gives how many characters that is.

        What is there already is compared, as far as it is remembered, and not added again. Raises Ahead and Differs.
        """
        received = self.received
        if offset > received:
            raise Ahead
        if offset < received:
            self._compare(offset, text)
            text = text[received - offset :]
        if text:
            self._parts.append((received, text))
            self.received = received + len(text)
        return len(text)

    def waiting(self) -> str:
        """What is not on disk yet."""
        return "" if self.received == self.stored else self._between(self.stored, self.received)

    def on_disk(self, stored: int) -> None:
        """Notes how far the text is on disk; it may be further than was received here."""
        if stored > self.received:
            self._parts.clear()
            self.received = stored
        self.stored = stored
        while self._parts and self._parts[0][0] + len(self._parts[0][1]) <= stored - REMEMBERED:
            self._parts.popleft()

    def meet(self, written: str) -> bool:
        """Notes that another process wrote `written` after `stored`. Says whether that agrees with what was received.

        If not, the disk is right, and what was received here after `stored` is forgotten.
        """
        mine = self._between(self.stored, min(self.received, self.stored + len(written)))
        agrees = written.startswith(mine)
        if not agrees:
            self._parts.clear()
            self.received = self.stored
        self.on_disk(self.stored + len(written))
        return agrees

    def _compare(self, offset: int, text: str) -> None:
        known_from = self._parts[0][0] if self._parts else self.received
        begin, end = max(offset, known_from), min(offset + len(text), self.received)
        if begin < end and self._between(begin, end) != text[begin - offset : end - offset]:
            raise Differs

    def _between(self, begin: int, end: int) -> str:
        found: list[str] = []
        for start, text in reversed(self._parts):
            if start < end:
                found.append(text[max(0, begin - start) : end - start])
            if start <= begin:
                break
        return "".join(reversed(found))
