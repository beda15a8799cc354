"""The calls of branches. A branch is named by the message that it ends with."""

from chatkeep.calls.chats import place
from chatkeep.models.chats import Branch, Diff
from chatkeep.models.messages import Place
from chatkeep.models.model import Page, one
from chatkeep.models.model import page as read_page
from chatkeep.request import Call, get


def page(chat: str, *, limit: int | None = None, cursor: str | None = None) -> Call[Page[Branch]]:
    """The branches of a chat, those whose last message is newest first."""
    return get(f"{place(chat)}/branches", read_page(Branch), limit=limit, cursor=cursor)


def diff(chat: str, *, a: Place | None = None, b: Place | None = None, limit: int | None = None) -> Call[Diff]:
    """Compares two branches; one that is not given is the active one. `limit` messages are shown of each."""
    return get(f"{place(chat)}/diff", one(Diff), a=a, b=b, limit=limit)
