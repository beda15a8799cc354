"""Changes, and the hits of a search."""

from pydantic import AwareDatetime

from chatkeep.models.chats import Chat
from chatkeep.models.messages import Message
from chatkeep.models.model import Model


class Change(Model):
    """A change: `type` says what happened. `message` and `chat` are as they are now, and None where they are gone."""

    cursor: str
    type: str
    chat_id: str
    at: AwareDatetime
    seq: int | None = None
    message_id: str | None = None
    message: Message | None = None
    chat: Chat | None = None
    head_seq: int | None = None
    head_id: str | None = None
    last_seq: int | None = None


class ChangePage(Model):
    """The next changes. `cursor` is the `since` for those after them; `has_more` says that there are some."""

    items: list[Change]
    cursor: str
    has_more: bool


class Ticket(Model):
    """A ticket for one WebSocket, good for a short time."""

    ticket: str
    expires_at: AwareDatetime


class Hit(Model):
    """A search hit: a message, or a chat by its title or summary, as `kind` says. `snippet` is safe HTML."""

    kind: str
    chat_id: str
    title: str | None
    seq: int | None = None
    message_id: str | None = None
    role: str | None = None
    created_at: AwareDatetime
    snippet: str
