"""Names and call ids in a form that every provider takes.

OpenAI: call ids to 40 characters in Chat Completions and to 64 in Responses, names `^[a-zA-Z0-9_-]+$` to 64. Anthropic:
ids `^[a-zA-Z0-9_-]+$` and unique within a request. (As their error messages say it.)
"""

import hashlib
import re

from app.context.reading import Exchange, Step

MAX_NAME = 64
_ALLOWED_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


class CallIds:
    """The call ids of one request: as they are stored where that will do, else made from them."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._taken: set[str] = set()

    def of(self, step: Step) -> list[tuple[str, Exchange]]:
        """The exchanges of a step, each with its call id. For each step to be asked once, in order."""
        return [(self._id(one.call.id, one.said.seq, n), one) for n, one in enumerate(step.exchanges)]

    def _id(self, stored: str, seq: int, place: int) -> str:
        made = stored
        if len(stored) > self._longest or not _ALLOWED_ID.fullmatch(stored):
            made = _made(stored)
        attempt = 0
        while made in self._taken:
            # Some models count their calls from zero in each answer.
            made = _made(f"{stored} {seq} {place} {attempt}")
            attempt += 1
        self._taken.add(made)
        return made


def function_name(name: str) -> str:
    """A tool's name, with `_` for what is not allowed in one."""
    return _NOT_IN_NAMES.sub("_", name)[:MAX_NAME]


def participant(name: object) -> str | None:
    """The name of who speaks; None where nothing of it is allowed in one."""
    if not isinstance(name, str):
        return None
    allowed = _NOT_IN_NAMES.sub("_", name)[:MAX_NAME]
    return allowed if allowed.strip("_") else None


def _made(text: str) -> str:
    return "call_" + hashlib.sha256(text.encode()).hexdigest()[:32]
