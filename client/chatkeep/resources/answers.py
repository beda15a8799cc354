"""`client.answers`."""

from typing import TYPE_CHECKING

from chatkeep.calls import answers as calls
from chatkeep.calls.messages import append
from chatkeep.models.messages import Message, MessageIn, Place
from chatkeep.request import UNSET, Call, Json, Unset
from chatkeep.resources.sending import AsyncResource, AsyncSent, Resource, Sent

if TYPE_CHECKING:
    from chatkeep.answer_reading import AnswerReader, AsyncAnswerReader
    from chatkeep.answer_writing import AnswerWriter, AsyncAnswerWriter

GIVE_UP_AFTER = 60.0


class Answers(Resource):
    """Answers that are read while they are written."""

    chunk = Sent(calls.chunk)
    complete = Sent(calls.complete)
    fail = Sent(calls.fail)

    def open(
        self,
        chat: str,
        message: MessageIn | Json | None = None,
        *,
        parent: Place | Unset | None = UNSET,
        turn: int | None = None,
        idempotency_key: str | None = None,
    ) -> "AnswerWriter":
        """Writes an answer, in a `with`: `message` is what is known of it, its `content` how it begins."""
        from chatkeep.answer_writing import AnswerWriter

        return AnswerWriter(self._client, _opening(chat, message, parent, turn, idempotency_key))

    def stream(
        self, chat: str, message: Place, *, offset: int = 0, give_up_after: float = GIVE_UP_AFTER
    ) -> "AnswerReader":
        """The text of an answer from `offset` on, while it is written. Where it breaks, it goes on from there.

        Raises ConnectionFailed where the service cannot be reached for `give_up_after` seconds.
        """
        from chatkeep.answer_reading import AnswerReader

        return AnswerReader(self._client, calls.stream(chat, message, offset=offset), offset, give_up_after)


class AsyncAnswers(AsyncResource):
    """The same to be awaited."""

    chunk = AsyncSent(calls.chunk)
    complete = AsyncSent(calls.complete)
    fail = AsyncSent(calls.fail)

    def open(
        self,
        chat: str,
        message: MessageIn | Json | None = None,
        *,
        parent: Place | Unset | None = UNSET,
        turn: int | None = None,
        idempotency_key: str | None = None,
    ) -> "AsyncAnswerWriter":
        """Writes an answer, in an `async with`: `message` is what is known of it, its `content` how it begins."""
        from chatkeep.answer_writing import AsyncAnswerWriter

        return AsyncAnswerWriter(self._client, _opening(chat, message, parent, turn, idempotency_key))

    def stream(
        self, chat: str, message: Place, *, offset: int = 0, give_up_after: float = GIVE_UP_AFTER
    ) -> "AsyncAnswerReader":
        """The text of an answer from `offset` on, while it is written. Where it breaks, it goes on from there.

        Raises ConnectionFailed where the service cannot be reached for `give_up_after` seconds.
        """
        from chatkeep.answer_reading import AsyncAnswerReader

        return AsyncAnswerReader(self._client, calls.stream(chat, message, offset=offset), offset, give_up_after)


def _opening(
    chat: str,
    message: MessageIn | Json | None,
    parent: Place | Unset | None,
    turn: int | None,
    idempotency_key: str | None,
) -> Call[Message]:
    said = {"role": "assistant", **(message or {}), "status": "in_progress"}
    return append(chat, said, parent=parent, turn=turn, idempotency_key=idempotency_key)
