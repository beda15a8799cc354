"""Append contract: what a commit backend is asked for, and what it answers. One test runs on both backends.

The rules of an append, which each backend implements once, in this order:

1. A request that was seen before is answered as it was (Outcome `RepeatedAppend`).
2. The chat is found by id or key, and locked; one that is named by a key and not there is created, unless the append
   is meant for something in it: a parent, a lease, a version (`NoSuchChat`).
3. The version that `if_match` names is that of the chat (`VersionMismatch`), and the lease is its own (`LeaseHeld`).
4. No message of the chat has a key of theirs (`KeyTaken`), those of appends before it in the group included.
5. The messages follow the parent, or the head (`NoSuchParent`). They are the head then.
6. They get the next seqs, next to each other. They go on in the segment of the parent where that is the last message of
   it, else in a new one; see `app.models.Segment`.
7. The chat's counters, version and last activity, the event and its counter deltas, the stored response, and what a
   message in progress begins with, are written in the same transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlmodel.ext.asyncio.session import AsyncSession

from app.http.idempotency import IdempotentRequest
from app.messages.append.new_message import NewMessage


@dataclass(frozen=True, slots=True)
class StoredAppend:
    """How a request is known again: its idempotency key, what to store for its retries, and what counts as one.

    Attributes:
        body: what is stored, and a `RepeatedAppend` gives back; None where it is only looked whether somebody else
            stored a response.
        kept_since: the time since when a stored response is that of the same request.
    """

    request: IdempotentRequest
    body: str | None
    kept_since: datetime


@dataclass(frozen=True, slots=True)
class Append:
    """Messages for one chat: all of them, next to each other, or none.

    Attributes:
        chat_id, key: the chat, by one of them.
        new_chat_id: the id of the chat that is created where there is none with the key.
        stored: how it is known again; None where it is not.
        parent: the message they follow, by `message_id`, seq or `key:` and its key; "" for none, and None for whatever
            the head is.
        lease_token: that of the lease under which they are written.
        if_match: the ETags of which the chat must have one, or `*`; None where it does not matter.
    """

    user_id: str
    chat_id: str | None
    key: str | None
    new_chat_id: str | None
    new_messages: Sequence[NewMessage]
    at: datetime
    stored: StoredAppend | None = None
    parent: str | None = None
    lease_token: int | None = None
    if_match: Sequence[str] | None = None

    @property
    def message_keys(self) -> list[str]:
        """The keys of its messages, each once: those that have one."""
        return [key for message in self.new_messages if message.extras and (key := message.key) is not None]


@dataclass(frozen=True, slots=True)
class Appended:
    """The messages have the seqs from `first_seq` on, and follow the message `parent_id`.

    `siblings` are the ids of those that followed it before, in order; None where there are none.
    """

    chat_id: str
    first_seq: int
    parent_id: str | None
    siblings: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class RepeatedAppend:
    """The append is a retry: what the first one asked for, what was stored of it, and what it got.

    `appended` is None where the first one did something else as well, and its response was stored as it is.
    """

    request_sha256: str
    body: str
    appended: Appended | None


@dataclass(frozen=True, slots=True)
class NoSuchChat:
    """There is no such chat for this user. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class NoSuchParent:
    """The parent is no message of the chat. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class VersionMismatch:
    """The chat is at another version. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class LeaseHeld:
    """Somebody else holds the chat's lease, or that of the append has ended. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """Messages of the chat have keys of the append. Nothing was stored.

    `messages` are these by their keys, each with its `message_id` and seq.
    """

    messages: Mapping[str, tuple[str, int]]


AppendResult = Appended | RepeatedAppend
Refusal = NoSuchChat | NoSuchParent | VersionMismatch | LeaseHeld | KeyTaken
Outcome = AppendResult | Refusal


class CommitBackend(Protocol):
    """Commits appends on one kind of database."""

    async def commit(self, appends: Sequence[Append]) -> list[Outcome]:
        """Commits a group of appends in one transaction, and returns an outcome for each, in their order.

        Raises what the driver raises; where `rolled_back` says so of that, nothing of the group was stored.
        """

    async def append_in(self, session: AsyncSession, append: Append) -> Outcome:
        """Appends in the transaction of a session, by the same rules. The session's objects are flushed before."""

    async def close(self) -> None:
        """Closes the connection."""
