"""Texts of an iterator, for as many requests as it takes to send them."""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Self

from chatkeep.text_buffer import TextBuffer


class AsyncTextSource:
    """An iterator of texts that notes how it ended.

    `error` is what the iterator raised, to tell it from what sending raised; `ended` says that it has no more texts.
    """

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

    async def lines(self, buffer: TextBuffer) -> AsyncGenerator[bytes]:
        """The body of one request: what the service has not received, then each text as it comes, as chunks."""
        for line in buffer.unsent_lines():
            yield line
        async for text in self:
            for line in buffer.append(text):
                yield line
