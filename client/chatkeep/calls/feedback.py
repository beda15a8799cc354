"""The calls of feedback: what callers think of a message."""

from typing import Literal

from chatkeep.calls.chats import names_one
from chatkeep.calls.messages import place as message_place
from chatkeep.models.messages import Feedback, Place
from chatkeep.models.model import Page, nothing, one
from chatkeep.models.model import page as read_page
from chatkeep.request import Call, get, given, headers, json_body


def place(chat: str, message: Place) -> str:
    """The path of a message's feedback."""
    return f"{message_place(chat, message)}/feedback"


def page(chat: str, message: Place, *, limit: int | None = None, cursor: str | None = None) -> Call[Page[Feedback]]:
    """What every caller thinks of a message."""
    return get(place(chat, message), read_page(Feedback), limit=limit, cursor=cursor)


def put(
    chat: str, message: Place, rating: Literal[-1, 1], *, reason: str | None = None, text: str | None = None
) -> Call[Feedback]:
    """Says what this caller thinks of a message, in the place of what it said before."""
    return Call(
        method="PUT",
        path=place(chat, message),
        read=one(Feedback),
        headers=headers(json=True),
        body=json_body(given(rating=rating, reason=reason, text=text)),
        repeatable=names_one(chat),
    )


def delete(chat: str, message: Place) -> Call[None]:
    """Takes back what this caller said."""
    return Call(method="DELETE", path=place(chat, message), read=nothing, repeatable=names_one(chat))
