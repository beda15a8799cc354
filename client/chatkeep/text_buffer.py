"""Send buffer of an answer's text: what is sent next, and what must be kept to be sent again. Pure."""

from collections import deque

from chatkeep.calls.answers import MAX_CHUNK, chunk_line
from chatkeep.errors import Conflict
from chatkeep.models.messages import Progress

# So often in a row the service may ask for other text than it was sent.
MAX_CONFLICTS = 10


class TextBuffer:
    """Text from the offset `begin` on. `end` is how many characters there are, `received` how many the service has.

    What is on the service's disk is dropped, so that an answer takes no more memory than what is on its way.
    """

    def __init__(self, begin: int) -> None:
        self.end = self.received = begin
        self._chunks: deque[tuple[int, str]] = deque()
        self._conflicts = 0

    def append(self, text: str) -> list[bytes]:
        """Appends text, and returns it as lines of chunks."""
        lines = []
        for start in range(0, len(text), MAX_CHUNK):
            chunk = text[start : start + MAX_CHUNK]
            self._chunks.append((self.end, chunk))
            lines.append(chunk_line(self.end, chunk))
            self.end += len(chunk)
        return lines

    def unsent(self) -> str:
        """What the service has not received, at most MAX_CHUNK characters of it."""
        texts, size = [], 0
        for offset, chunk in self._chunks:
            if offset + len(chunk) > self.received and size < MAX_CHUNK:
                texts.append(chunk[max(0, self.received - offset) :])
                size += len(texts[-1])
        return "".join(texts)[:MAX_CHUNK]

    def unsent_lines(self) -> list[bytes]:
        """All that the service has not received, as lines of chunks."""
        return [
            chunk_line(max(offset, self.received), chunk[max(0, self.received - offset) :])
            for offset, chunk in self._chunks
            if offset + len(chunk) > self.received
        ]

    def acknowledge(self, progress: Progress) -> None:
        """The service said how far it is."""
        self._conflicts = 0
        self.received = progress.received
        while self._chunks and self._chunks[0][0] + len(self._chunks[0][1]) <= min(progress.stored, self.received):
            self._chunks.popleft()

    def rewind(self, error: Conflict, sent_from: int) -> None:
        """The service wants other text than what began at `sent_from`. Raises the error where there is none for it."""
        received = error.problem.get("received")
        kept_from = self._chunks[0][0] if self._chunks else self.end
        self._conflicts += 1
        if (
            not isinstance(received, int)
            or not kept_from <= received <= self.end
            or received == sent_from
            or self._conflicts > MAX_CONFLICTS
        ):
            raise error
        self.received = received
