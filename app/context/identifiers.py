"""Call ids and names in a form that every provider takes.

OpenAI: call ids to 40 characters in Chat Completions and to 64 in Responses, names `^[a-zA-Z0-9_-]+$` to 64. Anthropic:
ids `^[a-zA-Z0-9_-]+$` and unique within a request. (As their error messages say it.)
"""

import hashlib
import re

from app.context.groups import AnsweredCall, Step

MAX_NAME_LENGTH = 64
_ALLOWED_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


class CallIds:
    """The call ids of one request: the stored ones where a provider takes them, else ids made from them."""

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self._used: set[str] = set()

    def assign(self, step: Step) -> list[tuple[str, AnsweredCall]]:
        """The calls of a step, each with its call id. Called once for each step, in order."""
        return [(self._id(call.call.id, call.message.seq, index), call) for index, call in enumerate(step.calls)]

    def _id(self, stored_id: str, seq: int, index: int) -> str:
        call_id = stored_id
        if len(stored_id) > self._max_length or not _ALLOWED_ID.fullmatch(stored_id):
            call_id = _hashed_id(stored_id)
        attempt = 0
        while call_id in self._used:
            # Some models count their calls from zero in each answer.
            call_id = _hashed_id(f"{stored_id} {seq} {index} {attempt}")
            attempt += 1
        self._used.add(call_id)
        return call_id


def function_name(name: str) -> str:
    """A tool's name, with `_` for what is not allowed in one."""
    return _NOT_IN_NAMES.sub("_", name)[:MAX_NAME_LENGTH]


def participant_name(name: object) -> str | None:
    """The name of who speaks; None where no character of it is allowed in one."""
    allowed = function_name(name) if isinstance(name, str) else ""
    return allowed if allowed.strip("_") else None


def _hashed_id(text: str) -> str:
    return "call_" + hashlib.sha256(text.encode()).hexdigest()[:32]
