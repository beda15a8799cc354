"""Calls of revisions: what a message was before each edit."""

from chatkeep.call import Call, get_call
from chatkeep.calls.messages import message_path
from chatkeep.models.messages import MessageRef, Revision
from chatkeep.models.model import Page, parse_page


def page(
    chat: str, message: MessageRef, *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[Revision]]:
    """What a message was, the oldest first."""
    return get_call(f"{message_path(chat, message)}/revisions", parse_page(Revision), limit=limit, cursor=cursor)
