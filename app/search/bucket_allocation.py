"""Bucket allocation: a number and a bucket for each new document. Documents of one bucket are searched together."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from app.search.index_plan import NewDocument

BUCKET_SIZE = 4096
# A document counts once more for every so many characters of words, so that no bucket takes long to search.
CHARACTERS_PER_WEIGHT = 1000


class BucketRow(NamedTuple):
    """A row of `buckets`."""

    user_id: str
    bucket: int
    size: int
    oldest: Any
    newest: Any


def document_weight(words: str) -> int:
    """What a document adds to the size of its bucket."""
    return 1 + len(words) // CHARACTERS_PER_WEIGHT


def allocate_buckets(
    documents: Sequence[NewDocument], last_buckets: dict[str, BucketRow], next_number: Callable[[], int]
) -> list[BucketRow]:
    """Numbers the documents that have no number yet, and puts each into a bucket. Returns the buckets that changed.

    `last_buckets` has the newest bucket of each user, and `next_number` returns the next unused number.
    """
    changed: dict[int, BucketRow] = {}
    for document in documents:
        if document.doc:
            # It stays in its bucket, where a search that is under way looks for it.
            continue
        bucket = last_buckets.get(document.user_id)
        if bucket is None or bucket.size >= BUCKET_SIZE:
            bucket = BucketRow(document.user_id, next_number(), 0, document.created_at, document.created_at)
        document.doc, document.bucket = next_number(), bucket.bucket
        last_buckets[document.user_id] = changed[bucket.bucket] = bucket._replace(
            size=bucket.size + document_weight(document.words),
            oldest=min(bucket.oldest, document.created_at),
            newest=max(bucket.newest, document.created_at),
        )
    return list(changed.values())


def max_numbers_needed(documents: Sequence[NewDocument]) -> int:
    """How many numbers `allocate_buckets` may use: one for each new document and bucket. Gaps do no harm."""
    new = [document for document in documents if not document.doc]
    heaviest = max((document_weight(document.words) for document in new), default=0)
    return len(new) + len({document.user_id for document in new}) + len(new) * heaviest // BUCKET_SIZE
