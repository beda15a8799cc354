"""The calls about what a model is sent of a chat."""

from typing import Literal

from chatkeep.calls.chats import place
from chatkeep.models.chats import Context, Finding, Lint
from chatkeep.models.model import one, some
from chatkeep.request import Call, get, post

Shape = Literal["chat_completions", "responses", "anthropic"]
Findings = list[Finding]


def context(
    chat: str, *, format: Shape | None = None, max_tokens: int | None = None, max_turns: int | None = None
) -> Call[Context]:
    """The newest part of a chat that fits, as a model's API takes it."""
    return get(f"{place(chat)}/context", one(Context), format=format, max_tokens=max_tokens, max_turns=max_turns)


def lint(chat: str) -> Call[Lint]:
    """What a provider would refuse of a chat as it is stored."""
    return get(f"{place(chat)}/lint", one(Lint))


def repair(chat: str, *, turn: int | None = None, idempotency_key: str | None = None) -> Call[Findings]:
    """Mends that in place, and answers what it mended."""
    return post(f"{place(chat)}/repair", some(Finding, "repaired"), turn=turn, idempotency_key=idempotency_key)
