# Generated from chatkeep/_async/answers.py by client/generate_sync.py: edit that file, then run `make format`.
"""`client.answers`: messages that are read while they are written."""

from typing import TYPE_CHECKING

from chatkeep._sync.methods import CallMethod, Resource
from chatkeep.call import UNSET, Json, Unset
from chatkeep.calls import answers as calls
from chatkeep.calls.messages import append
from chatkeep.models.messages import MessageIn, MessageRef
from chatkeep.retries import DEFAULT_GIVE_UP_AFTER

if TYPE_CHECKING:
    from chatkeep._sync.answer_reader import AnswerReader
    from chatkeep._sync.answer_writer import AnswerWriter


class Answers(Resource):
    """`client.answers`: messages that are read while they are written."""

    chunk = CallMethod(calls.chunk)
    complete = CallMethod(calls.complete)
    fail = CallMethod(calls.fail)

    def open(
        self,
        chat: str,
        message: MessageIn | Json | None = None,
        *,
        parent: MessageRef | Unset | None = UNSET,
        turn: int | None = None,
        idempotency_key: str | None = None,
    ) -> "AnswerWriter":
        """Writes an answer, in a `with`: `message` is what is known of it, its `content` how it begins."""
        from chatkeep._sync.answer_writer import AnswerWriter

        fields = {"role": "assistant", **(message or {}), "status": "in_progress"}
        opening = append(chat, fields, parent=parent, turn=turn, idempotency_key=idempotency_key)
        return AnswerWriter(self._client, opening)

    def stream(
        self, chat: str, message: MessageRef, *, offset: int = 0, give_up_after: float = DEFAULT_GIVE_UP_AFTER
    ) -> "AnswerReader":
        """The text of an answer from `offset` on, while it is written. Where it breaks, it goes on from there.

        Raises ConnectionFailed where the service cannot be reached for `give_up_after` seconds.
        """
        from chatkeep._sync.answer_reader import AnswerReader

        return AnswerReader(self._client, calls.stream(chat, message, offset=offset), offset, give_up_after)
