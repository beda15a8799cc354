"""What a user's feed says is to be indexed: pure, no database."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.events.log import Entry, length

# A chat's title and summary are found as if they were its message 0.
CHAT_ITSELF = 0
EVERY_SEQ = 2**31 - 1


class Progress(NamedTuple):
    """A row of `indexing` but for its owner."""

    position: int
    tokenizer: int
    rebuilt_chat: str | None = None
    rebuilt_seq: int | None = None


class Standing(NamedTuple):
    """How far a user's index is, and their feed. `progress` is None where nothing was ever indexed."""

    user_id: str
    feed: int
    pruned: int
    progress: Progress | None

    def is_current(self, tokenizer: int) -> bool:
        """Whether nothing is to be done."""
        return self.is_whole(tokenizer) and self.progress is not None and self.progress.position >= self.feed

    def is_whole(self, tokenizer: int) -> bool:
        """Whether the changes since are all that is missing, so that nothing has to be indexed anew."""
        known = self.progress
        return (
            known is not None
            and known.tokenizer == tokenizer
            and known.rebuilt_chat is None
            and known.position >= self.pruned
        )


class Span(NamedTuple):
    """Messages next to each other in a chat."""

    user_id: str
    chat_id: str
    first: int
    last: int


@dataclass(slots=True)
class Step:
    """What brings one user's index on, from what it was `before`.

    Attributes:
        added: what was never indexed.
        renewed: what may be indexed already, and is to be indexed as it is now, if it is still there.
        forgotten: what is not there any more.
    """

    user_id: str
    before: Progress | None
    after: Progress
    added: list[Span] = field(default_factory=list)
    renewed: list[Span] = field(default_factory=list)
    forgotten: list[Span] = field(default_factory=list)


def gather(standing: Standing, rows: Iterable[tuple[int, list[Entry]]], room: int) -> Step:
    """The step that some rows of `changes`, each a position and its entries, ask for; of at most `room` messages.

    It may end in the middle of a row: a position is that of one message.
    """
    assert standing.progress is not None
    before = standing.progress
    step = Step(standing.user_id, before, before)
    position = before.position
    for last, entries in rows:
        at = last - sum(map(length, entries))
        for entry in entries:
            end = at + length(entry)
            if end > position:
                if not room:
                    break
                taken = min(end - position, room)
                _note(step, entry, position - at, taken)
                position += taken
                room -= taken
            at = end
        if not room:
            break
    step.after = before._replace(position=position)
    return step


def _note(step: Step, entry: Entry, skipped: int, taken: int) -> None:
    user_id = step.user_id
    kind, chat_id, *what = entry
    itself = Span(user_id, chat_id, CHAT_ITSELF, CHAT_ITSELF)
    match kind:
        case "appended":
            first: int = what[0] + skipped
            step.added.append(Span(user_id, chat_id, first, first + taken - 1))
        case "edited" | "deleted":
            step.renewed.append(Span(user_id, chat_id, what[0], what[0]))
        case "cleared":
            step.forgotten.append(Span(user_id, chat_id, 1, what[0]))
            # It went with the messages.
            step.renewed.append(itself)
        case "chat.created":
            step.added.append(itself)
        case "chat.updated" | "chat.restored":
            step.renewed.append(itself)
        case "chat.erased":
            step.forgotten.append(Span(user_id, chat_id, CHAT_ITSELF, EVERY_SEQ))


class Source(NamedTuple):
    """A message, or a chat itself, as it is now: what a document is made of. `text` is None for one that is long."""

    user_id: str
    chat_id: str
    seq: int
    role: str | None
    created_at: Any
    text: str | None


@dataclass(slots=True)
class Draft:
    """A document that is to be stored. It has its numbers already where it had them before."""

    user_id: str
    chat_id: str
    seq: int
    role: str | None
    created_at: Any
    words: str
    doc: int = 0
    bucket: int = 0
