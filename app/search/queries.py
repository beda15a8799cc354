"""What the index reads and writes, of which each database has its own SQL."""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Protocol

from app.db.driver import Row
from app.events.log import Entry
from app.search.index_plan import Draft, Source, Span, Standing, Step

# Longer texts are read one at a time.
LONG_CHARACTERS = 50_000
# Of a message that was found, so much is read for its snippet; one more than is looked at, to see that it goes on.
SHOWN_CHARACTERS = 64 * 1024 + 1

Changes = dict[str, list[tuple[int, list[Entry]]]]
"""Rows of users' feeds: a position and its entries each."""


class Reads(Protocol):
    """What is read before a step, each by one statement."""

    async def standings(self, users: Sequence[str]) -> list[Standing]:
        """How far these users' indexes are; of users who have nothing at all there is none."""
        ...

    async def behind(self, tokenizer: int, limit: int) -> list[str]:
        """Some users whose indexes are not up to date."""
        ...

    async def changes(self, wanted: Sequence[tuple[str, int]], limit: int) -> Changes:
        """The first `limit` rows of users' feeds after their positions, a position and its entries each."""
        ...

    async def sources(self, spans: Sequence[Span]) -> list[Source]:
        """The messages and chats of spans. What is in progress is not there yet."""
        ...

    async def page(self, user_id: str, after: tuple[str, int] | None, limit: int) -> list[Source]:
        """The first of all messages and chats of a user after a place, by chat and seq."""
        ...

    async def hits(self, user_id: str, wanted: Sequence[tuple[Any, int]]) -> list[tuple[int, Row]]:
        """What is shown of chats and messages, each by its chat's id and its seq: for those that are still there the
        place in `wanted`, and the chat's title, summary and moment, the message's id, role, moment and text."""
        ...

    async def text(self, user_id: str, chat_id: str, seq: int) -> str:
        """The text of one message that is long; empty where it is gone."""
        ...


class Tables(Reads, Protocol):
    """And what is written."""

    async def store(self, steps: Sequence[Step], drafts: Sequence[Draft]) -> set[str]:
        """Stores what steps make, in one transaction, and gives the users whose steps were taken.

        Those are left out whose index is not what it was before their step: another process has brought it on.
        """
        ...

    async def close(self) -> None:
        """Closes what it opened."""
        ...


def gone(steps: Sequence[Step]) -> list[Span]:
    """What steps delete, be it that it is stored anew."""
    return list(chain.from_iterable((*step.forgotten, *step.renewed) for step in steps))
