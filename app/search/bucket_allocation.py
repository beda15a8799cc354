"""Filling buckets: which documents share one, and so are looked at together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from app.search.index_plan import Draft

BUCKET_SIZE = 4096
# A document counts once more for every so many characters of words, so that no bucket takes long to look through.
COUNTED_CHARACTERS = 1000


@dataclass(slots=True)
class Filled:
    """A row of `buckets`."""

    user_id: str
    bucket: int
    size: int
    oldest: Any
    newest: Any


def weight(words: str) -> int:
    """What a document adds to the size of its bucket."""
    return 1 + len(words) // COUNTED_CHARACTERS


def fill(drafts: Sequence[Draft], last: dict[str, Filled], number: Callable[[], int]) -> list[Filled]:
    """Gives documents that have no numbers theirs, and a bucket each; gives the buckets that changed.

    `last` has the bucket that each user filled last; `number` gives the next free number.
    """
    changed: dict[int, Filled] = {}
    for draft in drafts:
        if draft.doc:
            # It stays in its bucket, where a search that is under way looks for it.
            continue
        bucket = last.get(draft.user_id)
        if bucket is None or bucket.size >= BUCKET_SIZE:
            bucket = Filled(draft.user_id, number(), 0, draft.created_at, draft.created_at)
            last[draft.user_id] = bucket
        draft.doc, draft.bucket = number(), bucket.bucket
        bucket.size += weight(draft.words)
        bucket.oldest = min(bucket.oldest, draft.created_at)
        bucket.newest = max(bucket.newest, draft.created_at)
        changed[bucket.bucket] = bucket
    return list(changed.values())


def enough_numbers(drafts: Sequence[Draft]) -> int:
    """How many numbers `fill` may ask for: one for each new document and bucket. What is left over does no harm."""
    new = [draft for draft in drafts if not draft.doc]
    heaviest = max((weight(draft.words) for draft in new), default=0)
    return len(new) + len({draft.user_id for draft in new}) + len(new) * heaviest // BUCKET_SIZE
