"""Index plan: which documents a user's changes ask to add, to index again and to remove. Pure, no database."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

from app.events.events import (
    ChatCreated,
    ChatErased,
    ChatRestored,
    ChatUpdated,
    Event,
    MessageDeleted,
    MessageEdited,
    MessagesAppended,
    MessagesCleared,
)
from app.models.message import MAX_SEQ

# A chat's title and summary are indexed as if they were its message 0.
CHAT_SEQ = 0


class Progress(NamedTuple):
    """A row of `indexing` without its `user_id`."""

    position: int
    tokenizer: int
    rebuilt_chat: str | None = None
    rebuilt_seq: int | None = None


class IndexState(NamedTuple):
    """How far a user's index is, beside their feed: its last position, and the last one that was pruned.

    `progress` is None for a user of whom nothing was ever indexed.
    """

    user_id: str
    feed_position: int
    pruned_position: int
    progress: Progress | None

    def is_current(self, tokenizer: int) -> bool:
        """Whether there is nothing to do."""
        return not self.needs_rebuild(tokenizer) and self.indexed_position >= self.feed_position

    def needs_rebuild(self, tokenizer: int) -> bool:
        """Whether all messages must be indexed again, since the changes in the feed are not enough."""
        progress = self.progress
        return (
            progress is None
            or progress.tokenizer != tokenizer
            or progress.rebuilt_chat is not None
            or progress.position < self.pruned_position
        )

    @property
    def indexed_position(self) -> int:
        """The position in the feed up to which it is indexed; 0 where nothing is."""
        return 0 if self.progress is None else self.progress.position


class MessageRange(NamedTuple):
    """Messages next to each other in a chat, `first` and `last` included."""

    user_id: str
    chat_id: str
    first: int
    last: int


@dataclass(slots=True)
class IndexPlan:
    """What takes one user's index from the progress `before` to the progress `after`.

    Attributes:
        added: what was never indexed.
        reindexed: what may be indexed already, and is to be indexed as it is now, if it still exists.
        removed: what does not exist any more.
    """

    user_id: str
    before: Progress | None
    after: Progress
    added: list[MessageRange] = field(default_factory=list)
    reindexed: list[MessageRange] = field(default_factory=list)
    removed: list[MessageRange] = field(default_factory=list)


def plan_changes(state: IndexState, rows: Iterable[tuple[int, list[Event]]], max_messages: int) -> IndexPlan:
    """The plan for some rows of `changes`, each a position and its events; for at most `max_messages` messages.

    It may end in the middle of a row, since each message has a position.
    """
    assert state.progress is not None
    before = state.progress
    plan = IndexPlan(state.user_id, before, before)
    position, remaining = before.position, max_messages
    for last, events in rows:
        start = last - sum(event.position_count for event in events)
        for event in events:
            end = start + event.position_count
            if end > position:
                if not remaining:
                    break
                count = min(end - position, remaining)
                _add_event(plan, event, position - start, count)
                position += count
                remaining -= count
            start = end
        if not remaining:
            break
    plan.after = before._replace(position=position)
    return plan


def _add_event(plan: IndexPlan, event: Event, skipped: int, count: int) -> None:
    user_id = plan.user_id
    chat_id = event.chat_id
    chat = MessageRange(user_id, chat_id, CHAT_SEQ, CHAT_SEQ)
    match event:
        case MessagesAppended():
            first = event.first_seq + skipped
            plan.added.append(MessageRange(user_id, chat_id, first, first + count - 1))
        case MessageEdited() | MessageDeleted():
            plan.reindexed.append(MessageRange(user_id, chat_id, event.seq, event.seq))
        case MessagesCleared():
            plan.removed.append(MessageRange(user_id, chat_id, 1, event.last_seq))
            # The summary went with the messages.
            plan.reindexed.append(chat)
        case ChatCreated():
            plan.added.append(chat)
        case ChatUpdated() | ChatRestored():
            plan.reindexed.append(chat)
        case ChatErased():
            plan.removed.append(MessageRange(user_id, chat_id, CHAT_SEQ, MAX_SEQ))


class DocumentSource(NamedTuple):
    """A message as it is now, or a chat itself, to make a document of. `text` is None where it is long."""

    user_id: str
    chat_id: str
    seq: int
    role: str | None
    created_at: Any
    text: str | None


@dataclass(slots=True)
class NewDocument:
    """A document to store. `doc` and `bucket` are 0 until it has them; one that is stored again has them already."""

    user_id: str
    chat_id: str
    seq: int
    role: str | None
    created_at: Any
    words: str
    doc: int = 0
    bucket: int = 0


DOCUMENT_COLUMNS = ("user_id", "doc", "bucket", "chat_id", "seq", "role", "created_at", "words")
document_row = attrgetter(*DOCUMENT_COLUMNS)
