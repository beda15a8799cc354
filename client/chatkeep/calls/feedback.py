"""Calls of feedback: what callers think of a message."""

from typing import Literal

from chatkeep.call import Call, build_headers, get_call, json_body, without_none
from chatkeep.calls.chats import is_stable_ref
from chatkeep.calls.messages import message_path
from chatkeep.models.messages import Feedback, MessageRef
from chatkeep.models.model import Page, parse_model, parse_nothing, parse_page


def feedback_path(chat: str, message: MessageRef) -> str:
    """The path of a message's feedback."""
    return f"{message_path(chat, message)}/feedback"


def page(
    chat: str, message: MessageRef, *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[Feedback]]:
    """The feedback of every caller on a message."""
    return get_call(feedback_path(chat, message), parse_page(Feedback), limit=limit, cursor=cursor)


def put(
    chat: str, message: MessageRef, rating: Literal[-1, 1], *, reason: str | None = None, text: str | None = None
) -> Call[Feedback]:
    """Sets this caller's feedback on a message."""
    return Call(
        method="PUT",
        path=feedback_path(chat, message),
        parse=parse_model(Feedback),
        headers=build_headers(json=True),
        body=json_body(without_none(rating=rating, reason=reason, text=text)),
        retryable=is_stable_ref(chat),
    )


def delete(chat: str, message: MessageRef) -> Call[None]:
    """Deletes this caller's feedback on a message."""
    return Call(method="DELETE", path=feedback_path(chat, message), parse=parse_nothing, retryable=is_stable_ref(chat))
