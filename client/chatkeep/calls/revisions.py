"""The calls of revisions: what a message was before each edit."""

from chatkeep.calls.messages import place
from chatkeep.models.messages import Place, Revision
from chatkeep.models.model import Page
from chatkeep.models.model import page as read_page
from chatkeep.request import Call, get


def page(chat: str, message: Place, *, limit: int | None = None, cursor: str | None = None) -> Call[Page[Revision]]:
    """What a message was, the oldest first."""
    return get(f"{place(chat, message)}/revisions", read_page(Revision), limit=limit, cursor=cursor)
