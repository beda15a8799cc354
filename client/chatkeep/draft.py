"""The text of an answer on its way to the service. Pure: what is sent, and what must be kept to be sent again."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable
from typing import Self

from chatkeep.calls.answers import MAX_CHUNK, line
from chatkeep.errors import Conflict
from chatkeep.models.messages import Progress

# So often in a row the service may ask for other text than it was sent.
MAX_REFUSALS = 10


class Source:
    """Texts that come one after the other, for as many requests as it takes to send them.

    `error` is what getting the next one raised, to tell it from what sending raised; `ended` says there are no more.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = iter(texts)
        self.error: Exception | None = None
        self.ended = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        try:
            return next(self._texts)
        except StopIteration:
            self.ended = True
            raise
        except Exception as error:
            self.error = error
            raise


class AsyncSource:
    """The same for texts that are awaited."""

    def __init__(self, texts: AsyncIterable[str]) -> None:
        self._texts = aiter(texts)
        self.error: Exception | None = None
        self.ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        try:
            return await anext(self._texts)
        except StopAsyncIteration:
            self.ended = True
            raise
        except Exception as error:
            self.error = error
            raise


class Draft:
    """Text from `begun` characters on. `end` is how many there are, `received` how many the service has.

    What is on its disk is forgotten here, so that an answer takes no more room than what is on its way.
    """

    def __init__(self, begun: int) -> None:
        self.end = self.received = begun
        self._pieces: deque[tuple[int, str]] = deque()
        self._refusals = 0

    def add(self, text: str) -> list[bytes]:
        """Adds text at the end; it is answered as lines of chunks."""
        lines = []
        for start in range(0, len(text), MAX_CHUNK):
            piece = text[start : start + MAX_CHUNK]
            self._pieces.append((self.end, piece))
            lines.append(line(self.end, piece))
            self.end += len(piece)
        return lines

    def unsent(self) -> str:
        """What the service has not received, at most a chunk of it."""
        found, size = [], 0
        for offset, piece in self._pieces:
            if offset + len(piece) > self.received and size < MAX_CHUNK:
                found.append(piece[max(0, self.received - offset) :])
                size += len(found[-1])
        return "".join(found)[:MAX_CHUNK]

    def taken(self, progress: Progress) -> None:
        """The service said how far it is."""
        self._refusals = 0
        self.received = progress.received
        while self._pieces and self._pieces[0][0] + len(self._pieces[0][1]) <= min(progress.stored, self.received):
            self._pieces.popleft()

    def refused(self, error: Conflict, sent_from: int) -> None:
        """The service wants other text than what began at `sent_from`. Raises the error where there is none for it."""
        received = error.problem.get("received")
        kept_from = self._pieces[0][0] if self._pieces else self.end
        self._refusals += 1
        if (
            not isinstance(received, int)
            or not kept_from <= received <= self.end
            or received == sent_from
            or self._refusals > MAX_REFUSALS
        ):
            raise error
        self.received = received

    def lines(self, source: Source) -> Generator[bytes]:
        """Lines of chunks: what was not received, then what comes."""
        yield from self._again()
        for text in source:
            yield from self.add(text)

    async def async_lines(self, source: AsyncSource) -> AsyncGenerator[bytes]:
        """The same from an asynchronous source."""
        for again in self._again():
            yield again
        async for text in source:
            for added in self.add(text):
                yield added

    def _again(self) -> list[bytes]:
        return [
            line(max(offset, self.received), piece[max(0, self.received - offset) :])
            for offset, piece in self._pieces
            if offset + len(piece) > self.received
        ]
