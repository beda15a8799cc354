"""A user's changes as Server-Sent Events."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import orjson

from app.changes.following import Following, News
from app.events.sse import PART_BYTES, SIGN_OF_LIFE


async def feed_events(following: Following) -> AsyncGenerator[bytes]:
    """The events of a feed."""
    async with aclosing(following.news()) as stream:
        async for news in stream:
            for part in _parts(news):
                yield part


def _parts(news: News) -> Iterator[bytes]:
    """The bytes of news, in parts of a bounded size."""
    if news.cursor is not None:
        said = orjson.dumps({"type": "cursor", "cursor": news.cursor})
        yield b"id: %b\nevent: cursor\ndata: %b\n\n" % (news.cursor.encode(), said)
    elif not news.changes:
        yield SIGN_OF_LIFE
    few: list[bytes] = []
    size = 0
    for change in news.changes:
        if few and size + len(change.event) > PART_BYTES:
            yield b"".join(few)
            few, size = [], 0
        few.append(change.event)
        size += len(change.event)
    if few:
        yield b"".join(few)
