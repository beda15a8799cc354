"""Calls of the feed of changes."""

from chatkeep.call import Call, get_call, post_call
from chatkeep.calls.answers import as_events
from chatkeep.models.changes import ChangePage, Ticket
from chatkeep.models.model import parse_model, parse_nothing


def page(*, since: str | None = None, chat: str | None = None, limit: int | None = None) -> Call[ChangePage]:
    """The changes after `since`, a cursor; from the first one that is kept without it, none with `now`."""
    return get_call("/changes", parse_model(ChangePage), since=since, chat=chat, limit=limit)


def follow(*, since: str | None = None, chat: str | None = None) -> Call[None]:
    """What changes from now on, or after `since`, as server-sent events."""
    return as_events(get_call("/events", parse_nothing, since=since, chat=chat))


def ticket(*, idempotency_key: str | None = None) -> Call[Ticket]:
    """A ticket for a WebSocket, which a browser needs. This client follows by events."""
    return post_call("/tickets", parse_model(Ticket), idempotency_key=idempotency_key)
