"""A user's changes as Server-Sent Events."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import orjson

from app.changes.change_stream import ChangeBatch, ChangeStream
from app.events.sse import KEEP_ALIVE, PART_BYTES, encode_event


async def change_events(stream: ChangeStream) -> AsyncGenerator[bytes]:
    """The events of a stream of changes, several together where they are small."""
    async with aclosing(stream.batches()) as batches:
        async for batch in batches:
            for part in _encode(batch):
                yield part


def _encode(batch: ChangeBatch) -> Iterator[bytes]:
    """The bytes of a batch, in parts of a bounded size."""
    if batch.cursor is not None:
        yield encode_event(batch.cursor.encode(), b"cursor", orjson.dumps({"type": "cursor", "cursor": batch.cursor}))
    elif not batch.changes:
        yield KEEP_ALIVE
    events: list[bytes] = []
    size = 0
    for change in batch.changes:
        if events and size + len(change.event) > PART_BYTES:
            yield b"".join(events)
            events, size = [], 0
        events.append(change.event)
        size += len(change.event)
    if events:
        yield b"".join(events)
