"""Calls of turns: the lease that says who may write next in a chat."""

from chatkeep.call import Call, build_headers, get_call, json_body, post_call, without_none
from chatkeep.calls.chats import chat_path
from chatkeep.models.chats import Turn, TurnTaken
from chatkeep.models.model import parse_model, parse_nothing


def turn_path(chat: str) -> str:
    """The path of a chat's turn."""
    return f"{chat_path(chat)}/turn"


def take(
    chat: str, *, holder: str | None = None, seconds: int | None = None, idempotency_key: str | None = None
) -> Call[TurnTaken]:
    """Takes the turn of a chat for some seconds, 1 to 600, 60 by default. Raises Conflict while somebody has it."""
    return post_call(
        turn_path(chat),
        parse_model(TurnTaken),
        without_none(holder=holder, seconds=seconds),
        idempotency_key=idempotency_key,
    )


def get(chat: str) -> Call[Turn]:
    """Whose turn it is."""
    return get_call(turn_path(chat), parse_model(Turn))


def renew(chat: str, turn: int, *, seconds: int | None = None) -> Call[TurnTaken]:
    """Holds a turn (its token) for some seconds from now on. Raises Conflict where it is over."""
    body = json_body(without_none(seconds=seconds))
    headers = build_headers(turn=turn, json=True)
    return Call(method="PATCH", path=turn_path(chat), parse=parse_model(TurnTaken), headers=headers, body=body)


def release(chat: str, turn: int) -> Call[None]:
    """Ends a turn (its token). One that is over already is left alone."""
    return Call(method="DELETE", path=turn_path(chat), parse=parse_nothing, headers=build_headers(turn=turn))
