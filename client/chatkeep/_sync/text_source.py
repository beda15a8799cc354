# Generated from chatkeep/_async/text_source.py by client/generate_sync.py: edit that file, then run `make format`.
"""Texts of an iterator, for as many requests as it takes to send them."""

from collections.abc import Generator, Iterable
from typing import Self

from chatkeep.text_buffer import TextBuffer


class TextSource:
    """An iterator of texts that notes how it ended.

    `error` is what the iterator raised, to tell it from what sending raised; `ended` says that it has no more texts.
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

    def lines(self, buffer: TextBuffer) -> Generator[bytes]:
        """The body of one request: what the service has not received, then each text as it comes, as chunks."""
        for line in buffer.unsent_lines():
            yield line
        for text in self:
            for line in buffer.append(text):
                yield line
