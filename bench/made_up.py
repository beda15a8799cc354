"""Made-up users, who chat for a year: the rows that the service would have left of that, and its counters of them."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from app.db.timestamps import to_iso
from app.events.counter_deltas import bucket_of
from app.messages.append.new_message import to_json
from bench.vocabulary import FIRST_MIDDLING, FIRST_RARE, RANK, WORDS, draw, sentences

CHATS = (
    "user_id, chat_id, key, title, platform, tags, is_pinned, metadata, message_count, input_tokens, output_tokens, "
    "total_tokens, last_seq, segment, head_seq, head_id, tree_version, last_segment, version, created_at, updated_at, "
    "last_activity_at, listed_at, deleted_at"
).split(", ")
MESSAGES = (
    "user_id, chat_id, seq, message_id, parent_seq, segment, role, type, content, model, tokens, input_tokens, "
    "output_tokens, created_at"
).split(", ")
TOTALS = "messages, input_tokens, output_tokens, total_tokens".split(", ")

BEGIN, YEAR = datetime(2025, 1, 1, tzinfo=UTC), timedelta(days=365)
PLATFORMS = (None, "web", "web", "slack", "feishu")
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4", None)
LONG_CHATS = 0.01
TRASH = 0.02

# The words that are counted, which takes memory: the most frequent, and a few of the others.
WATCHED = frozenset(WORDS[:100] + WORDS[FIRST_RARE::16])

Row = tuple[Any, ...]
Counts = list[int]


@dataclass
class User:
    """One of them, and what they have.

    Attributes:
        messages_with: how many messages of chats in use have a word, for the words of `WATCHED`.
        hidden: those of them that are in titles, or in messages in the trash.
    """

    name: str
    position: int = 0
    active_chats: int = 0
    deleted_chats: int = 0
    totals: Counts = field(default_factory=lambda: [0, 0, 0, 0])
    longest: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    by: dict[tuple[str, str | None], Counts] = field(default_factory=dict)
    time_buckets: dict[int, Counts] = field(default_factory=dict)
    messages_with: Counter[str] = field(default_factory=Counter)
    hidden: set[str] = field(default_factory=set)

    def rare(self, at_most: int = 5) -> list[tuple[str, int]]:
        """The words that one to five of the messages in use have, and nothing else, not even within a longer word."""
        found = self.messages_with.items()
        return [(w, n) for w, n in found if n <= at_most and RANK[w] >= FIRST_RARE and w not in self.hidden]

    def common(self, low: float = 0.2, high: float = 0.5) -> list[tuple[str, int]]:
        """The words that so large a part of the messages in use have."""
        least, most = low * self.totals[0], high * self.totals[0]
        return [(word, n) for word in WORDS[:100] if least <= (n := self.messages_with[word]) <= most]


class MadeUp:
    """So many messages of so many users; `rows` gives them once, and then `users` know what they have.

    `moment` is how a moment is written: as it is, or as text.
    """

    def __init__(self, messages: int, users: int, seed: int, moment: Callable[[datetime], Any]) -> None:
        self.users = [User(f"user-{number:03}") for number in range(users)]
        self._random = Random(seed)
        self._messages = messages
        self._moment = moment
        self._step = YEAR / messages
        self._written = 0

    def rows(self) -> Iterator[tuple[Row, list[Row]]]:
        """Each chat with its messages, in the order in which they were written."""
        turns: list[User] = []
        while self._written < self._messages:
            if not turns:
                turns = self._random.sample(self.users, len(self.users))
            yield self._chat(turns.pop(), self._messages - self._written)

    def _chat(self, user: User, left: int) -> tuple[Row, list[Row]]:
        random = self._random
        count = random.randint(200, 800) if random.random() < LONG_CHATS else random.randint(2, 28)
        count = min(count, left)
        platform, deleted = random.choice(PLATFORMS), random.random() < TRASH
        model = random.choice(MODELS)
        created = BEGIN + self._step * self._written
        chat_id = self._uuid(created)
        title = random.sample(WORDS[FIRST_MIDDLING:FIRST_RARE], random.randint(2, 5))
        user.hidden |= WATCHED.intersection(title)
        messages: list[Row] = []
        sums, message_id, at = [count, 0, 0, 0], "", created
        for seq in range(1, count + 1):
            at = BEGIN + self._step * self._written
            self._written += 1
            message_id = self._uuid(at)
            words = draw(random, random.randint(20, 60))
            text = sentences(words)
            if deleted:
                user.hidden |= WATCHED.intersection(words)
            else:
                user.messages_with.update(WATCHED.intersection(words))
            if seq % 2:
                said: Row = ("user", None, None, None, None)
            else:
                said = ("assistant", model, None, random.randint(200, 4000), len(words) * 2)
            _count(user, said, at)
            for place in (1, 2):
                sums[place] += said[place + 2] or 0
            sums[3] = sums[1] + sums[2]
            place_in_tree = (seq, message_id, seq - 1 or None, 0, said[0], "message", to_json(text))
            messages.append((user.name, chat_id, *place_in_tree, *said[1:], self._moment(at)))
        _count_chat(user, platform, deleted, sums, created, at)
        began, ended = self._moment(created), self._moment(at)
        details = (None, " ".join(title).capitalize(), platform, '["made-up"]', False, "{}")
        tree = (count, 0, count, message_id, 0, 0)
        moments = (began, ended if deleted else began, ended, ended, ended if deleted else None)
        return (user.name, chat_id, *details, *sums, *tree, 1 + count + deleted, *moments), messages

    def _uuid(self, at: datetime) -> str:
        """A UUIDv7 of that moment (RFC 9562, 5.7), its other bits drawn."""
        value = int(at.timestamp() * 1000) << 80 | 7 << 76 | self._random.getrandbits(76) & ~(0b11 << 62) | 0b10 << 62
        digits = f"{value:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def usage(self) -> Iterator[Row]:
        """The rows of `usage`."""
        for user in self.users:
            if user.first_at and user.last_at:
                chats, moments = (user.active_chats, user.deleted_chats), (user.first_at, user.last_at)
                yield (user.name, user.position, *chats, *user.totals, user.longest, *map(self._moment, moments))

    def usage_by(self) -> Iterator[Row]:
        """The rows of `usage_by`."""
        for user in self.users:
            for (kind, name), numbers in user.by.items():
                yield (user.name, kind, to_json(name), *numbers)

    def usage_time_buckets(self) -> Iterator[Row]:
        """The rows of `usage_time_buckets`."""
        for user in self.users:
            for time_bucket, numbers in user.time_buckets.items():
                yield (user.name, time_bucket, *numbers)

    def feeds(self) -> Iterator[Row]:
        """The rows of `feeds`: what is a year old is no longer kept in them."""
        for user in self.users:
            if user.position:
                yield (user.name, user.position, user.position)


def _count(user: User, said: Row, at: datetime) -> None:
    role, model, _, sent, received = said
    numbers = (1, sent or 0, received or 0, (sent or 0) + (received or 0))
    counters = (
        (user.totals, 0),
        (user.by.setdefault(("role", role), [0] * 6), 2),
        (user.by.setdefault(("model", model), [0] * 6), 2),
        (user.time_buckets.setdefault(bucket_of(at), [0] * 5), 1),
    )
    for counter, first in counters:
        for place, number in enumerate(numbers, first):
            counter[place] += number


def _count_chat(
    user: User, platform: str | None, deleted: bool, sums: Counts, created: datetime, ended: datetime
) -> None:
    user.active_chats += not deleted
    user.deleted_chats += deleted
    user.position += 1 + sums[0] + deleted
    user.longest = max(user.longest, sums[0])
    user.first_at = user.first_at or created
    user.last_at = ended
    user.time_buckets.setdefault(bucket_of(created), [0] * 5)[0] += 1
    by_platform = user.by.setdefault(("platform", platform), [0] * 6)
    for place, number in enumerate((not deleted, deleted, *sums)):
        by_platform[place] += number


def moment_on(url: str) -> Callable[[datetime], Any]:
    """How a moment is written into that database."""
    return to_iso if url.startswith("sqlite") else lambda moment: moment
