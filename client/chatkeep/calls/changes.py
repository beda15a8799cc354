"""The calls of the feed of changes."""

from chatkeep.calls.answers import events
from chatkeep.models.changes import ChangePage, Ticket
from chatkeep.models.model import nothing, one
from chatkeep.request import Call, get, post


def page(*, since: str | None = None, chat: str | None = None, limit: int | None = None) -> Call[ChangePage]:
    """The changes after `since`, a cursor; from the first one that is kept without it, none with `now`."""
    return get("/changes", one(ChangePage), since=since, chat=chat, limit=limit)


def follow(*, since: str | None = None, chat: str | None = None) -> Call[None]:
    """What changes from now on, or after `since`, as events."""
    return events(get("/events", nothing, since=since, chat=chat))


def ticket(*, idempotency_key: str | None = None) -> Call[Ticket]:
    """A ticket for a WebSocket, which a browser needs. This client follows by events."""
    return post("/tickets", one(Ticket), idempotency_key=idempotency_key)
