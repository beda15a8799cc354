"""The calls of turns: who may write next in a chat."""

from chatkeep.calls.chats import place as chat_place
from chatkeep.models.chats import Turn, TurnTaken
from chatkeep.models.model import nothing, one
from chatkeep.request import Call, given, headers, json_body, post
from chatkeep.request import get as reading


def place(chat: str) -> str:
    """The path of a chat's turn."""
    return f"{chat_place(chat)}/turn"


def take(
    chat: str, *, holder: str | None = None, seconds: int | None = None, idempotency_key: str | None = None
) -> Call[TurnTaken]:
    """Takes the turn of a chat for some seconds, 1 to 600, 60 unless said. Raises Conflict while somebody has it."""
    return post(place(chat), one(TurnTaken), given(holder=holder, seconds=seconds), idempotency_key=idempotency_key)


def get(chat: str) -> Call[Turn]:
    """Whose turn it is."""
    return reading(place(chat), one(Turn))


def renew(chat: str, turn: int, *, seconds: int | None = None) -> Call[TurnTaken]:
    """Holds a turn (its token) for some seconds from now on. Raises Conflict where it is over."""
    body = json_body(given(seconds=seconds))
    said = headers(turn=turn, json=True)
    return Call(method="PATCH", path=place(chat), read=one(TurnTaken), headers=said, body=body)


def release(chat: str, turn: int) -> Call[None]:
    """Ends a turn (its token). One that is over already is left alone."""
    return Call(method="DELETE", path=place(chat), read=nothing, headers=headers(turn=turn))
