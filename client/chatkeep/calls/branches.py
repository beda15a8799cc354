"""Calls of branches. A branch is named by the message that it ends with."""

from chatkeep.call import Call, get_call
from chatkeep.calls.chats import chat_path
from chatkeep.models.chats import Branch, Diff
from chatkeep.models.messages import MessageRef
from chatkeep.models.model import Page, parse_model, parse_page


def page(chat: str, *, limit: int | None = None, cursor: str | None = None) -> Call[Page[Branch]]:
    """The branches of a chat, the one with the newest last message first."""
    return get_call(f"{chat_path(chat)}/branches", parse_page(Branch), limit=limit, cursor=cursor)


def diff(
    chat: str, *, a: MessageRef | None = None, b: MessageRef | None = None, limit: int | None = None
) -> Call[Diff]:
    """Compares two branches; one that is not given is the active one. `limit` messages are shown of each."""
    return get_call(f"{chat_path(chat)}/diff", parse_model(Diff), a=a, b=b, limit=limit)
