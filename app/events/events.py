"""Event types: what changed for a user, one class for each. Strict about their fields.

Event
├── ChatCreated, ChatUpdated, ChatDeleted, ChatRestored, ChatErased
├── MessagesAppended
├── MessageEdited, MessageDeleted
├── MessagesCleared
└── HeadMoved

In the database an event is a JSON array: its `kind`, the chat's id, and its other fields in the order of the class.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, get_args


@dataclass(frozen=True, slots=True)
class Event:
    """A change to a chat or its messages.

    Attributes:
        kind: its name in the database.
        type: its name in the API.
        removes: whether something is gone that earlier events may still show.
    """

    kind: ClassVar[str]
    type: ClassVar[str]
    removes: ClassVar[bool] = False

    chat_id: str

    @property
    def position_count(self) -> int:
        """How many positions of the user's feed it takes."""
        return 1

    def to_json(self) -> list[Any]:
        """The array that is stored."""
        return [self.kind, *(getattr(self, name) for name in _FIELD_TYPES[self.kind])]


@dataclass(frozen=True, slots=True)
class ChatCreated(Event):
    """A chat is new."""

    kind: ClassVar[str] = "chat.created"
    type: ClassVar[str] = "chat.created"


@dataclass(frozen=True, slots=True)
class ChatUpdated(Event):
    """A chat has other details."""

    kind: ClassVar[str] = "chat.updated"
    type: ClassVar[str] = "chat.updated"


@dataclass(frozen=True, slots=True)
class ChatDeleted(Event):
    """A chat is in the trash."""

    kind: ClassVar[str] = "chat.deleted"
    type: ClassVar[str] = "chat.deleted"


@dataclass(frozen=True, slots=True)
class ChatRestored(Event):
    """A chat is out of the trash."""

    kind: ClassVar[str] = "chat.restored"
    type: ClassVar[str] = "chat.restored"


@dataclass(frozen=True, slots=True)
class ChatErased(Event):
    """A chat is gone for good."""

    kind: ClassVar[str] = "chat.erased"
    type: ClassVar[str] = "chat.erased"
    removes: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class MessagesAppended(Event):
    """New messages, `count` of them with the seqs from `first_seq` on. Each takes a position of its own."""

    kind: ClassVar[str] = "appended"
    type: ClassVar[str] = "message.appended"

    first_seq: int
    count: int

    @property
    def position_count(self) -> int:
        return self.count

    def singles(self) -> Iterator["MessagesAppended"]:
        """The same as an event for each message."""
        for seq in range(self.first_seq, self.first_seq + self.count):
            yield MessagesAppended(self.chat_id, seq, 1)


@dataclass(frozen=True, slots=True)
class MessageEdited(Event):
    """A message says something else, or has another status."""

    kind: ClassVar[str] = "edited"
    type: ClassVar[str] = "message.edited"

    seq: int
    message_id: str


@dataclass(frozen=True, slots=True)
class MessageDeleted(Event):
    """A message is gone."""

    kind: ClassVar[str] = "deleted"
    type: ClassVar[str] = "message.deleted"
    removes: ClassVar[bool] = True

    seq: int
    message_id: str


@dataclass(frozen=True, slots=True)
class MessagesCleared(Event):
    """Every message up to the seq `last_seq` is gone."""

    kind: ClassVar[str] = "cleared"
    type: ClassVar[str] = "messages.cleared"
    removes: ClassVar[bool] = True

    last_seq: int


@dataclass(frozen=True, slots=True)
class HeadMoved(Event):
    """The active branch ends at another message; None where it has no message."""

    kind: ClassVar[str] = "head"
    type: ClassVar[str] = "head.moved"

    head_seq: int | None
    head_id: str | None


ChatEvent = ChatCreated | ChatUpdated | ChatDeleted | ChatRestored | ChatErased
EVENTS: dict[str, type[Event]] = {
    event.kind: event
    for event in (
        *get_args(ChatEvent),
        MessagesAppended,
        MessageEdited,
        MessageDeleted,
        MessagesCleared,
        HeadMoved,
    )
}
"""Every type of event, by its kind."""


def event_from_json(array: Sequence[Any]) -> Event:
    """The event of an array. Raises ValueError where that is no event: of no such kind, or with other fields."""
    kind, *values = array
    event = EVENTS.get(kind)
    if event is None or not _are_fields_of(event, values):
        raise ValueError(f"no event: {array!r}")
    return event(*values)


def _are_fields_of(event: type[Event], values: Sequence[Any]) -> bool:
    types = _FIELD_TYPES[event.kind].values()
    return len(values) == len(types) and all(type(value) in of for value, of in zip(values, types, strict=True))


_FIELD_TYPES = {
    event.kind: {field.name: get_args(field.type) or (field.type,) for field in fields(event)}
    for event in EVENTS.values()
}
