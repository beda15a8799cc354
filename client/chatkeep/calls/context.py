"""Calls of the context: what a model is sent of a chat, and what is wrong with it."""

from typing import Literal

from chatkeep.call import Call, get_call, post_call
from chatkeep.calls.chats import chat_path
from chatkeep.models.chats import Context, Finding, Lint
from chatkeep.models.model import parse_list, parse_model

ContextFormat = Literal["chat_completions", "responses", "anthropic"]
Findings = list[Finding]


def context(
    chat: str, *, format: ContextFormat | None = None, max_tokens: int | None = None, max_turns: int | None = None
) -> Call[Context]:
    """The newest part of a chat that fits, as a model's API takes it."""
    return get_call(
        f"{chat_path(chat)}/context", parse_model(Context), format=format, max_tokens=max_tokens, max_turns=max_turns
    )


def lint(chat: str) -> Call[Lint]:
    """What a provider would refuse of a chat as it is stored."""
    return get_call(f"{chat_path(chat)}/lint", parse_model(Lint))


def repair(chat: str, *, turn: int | None = None, idempotency_key: str | None = None) -> Call[Findings]:
    """Repairs that in place, and returns what it repaired."""
    return post_call(
        f"{chat_path(chat)}/repair", parse_list(Finding, "repaired"), turn=turn, idempotency_key=idempotency_key
    )
