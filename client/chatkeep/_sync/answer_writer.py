# Generated from chatkeep/_async/answer_writer.py by client/generate_sync.py: edit that file, then run `make format`.
"""Writes an answer while others read it."""

import contextlib
import time
from collections.abc import Iterable
from typing import Self, Unpack

import httpx2

from chatkeep import http
from chatkeep._sync.methods import Sender
from chatkeep._sync.text_source import TextSource
from chatkeep.call import Call
from chatkeep.calls import answers as calls
from chatkeep.calls.answers import FinalFields
from chatkeep.errors import ChatkeepError, Conflict, Unavailable
from chatkeep.models.messages import Message, Progress
from chatkeep.retries import Attempts
from chatkeep.text_buffer import TextBuffer


class AnswerWriter:
    """Writes an answer: `with client.answers.open(chat) as answer: answer.write("…")`.

    The `with` completes it in the end, and fails it where an exception ends it; `complete` and `fail` do so
    earlier, and can say more about it.
    """

    def __init__(self, client: Sender, opening: Call[Message]) -> None:
        self._client = client
        self._opening = opening
        self._message: Message | None = None
        self._buffer = TextBuffer(0)
        self._ended = False

    @property
    def message(self) -> Message:
        """The message as it was opened, and once it has ended as it is. Raises RuntimeError before it was opened."""
        if self._message is None:
            raise RuntimeError("An answer is opened by `with`.")
        return self._message

    def write(self, text: str) -> None:
        """Adds text; the service has it when this returns. Raises Conflict where the answer is no longer open."""
        self._buffer.append(text)
        self._send_unsent()

    def write_from(self, texts: Iterable[str]) -> None:
        """Adds texts as they come, in one request: what a model streams, at a fraction of what `write` costs.

        Where the connection breaks, another one goes on from where the service has it.
        """
        source, buffer = TextSource(texts), self._buffer
        call = calls.chunks(self.message.chat_id, self.message.message_id)
        attempts = self._client.attempts(call)
        while not source.ended or buffer.received < buffer.end:
            begin, lines = buffer.received, source.lines(buffer)
            try:
                response = self._client.send_once(call, lines, stream=False)
            except http.NO_RESPONSE as failure:
                if failure is source.error:
                    raise
                wait = attempts.after_failure(may_have_arrived=True)
                if wait is None:
                    raise http.connection_failed(call, failure) from failure
            else:
                wait = self._after_response(call, response, attempts, begin, all_sent=source.ended)
            finally:
                lines.close()
            if wait:
                time.sleep(wait)
                self._ask_progress()
            attempts = self._client.attempts(call) if buffer.received > begin else attempts

    def complete(self, **fields: Unpack[FinalFields]) -> Message:
        """Completes the answer with these fields; `content` replaces the text."""
        while True:
            self._send_unsent()
            call = calls.complete(self.message.chat_id, self.message.message_id, offset=self._buffer.end, **fields)
            try:
                return self._end(call)
            except Conflict as error:
                self._buffer.rewind(error, self._buffer.end)

    def fail(self, **fields: Unpack[FinalFields]) -> Message:
        """Ends the answer as failed. Its text is kept."""
        with contextlib.suppress(Conflict):
            self._send_unsent()
        return self._end(calls.fail(self.message.chat_id, self.message.message_id, **fields))

    def _end(self, call: Call[Message]) -> Message:
        self._message = self._client.send(call)
        self._ended = True
        return self._message

    def _send_unsent(self) -> None:
        while text := self._buffer.unsent():
            self._send_chunk(self._buffer.received, text)

    def _ask_progress(self) -> None:
        """Has the service say how far it is: an empty chunk changes nothing."""
        self._send_chunk(self._buffer.end, "")

    def _send_chunk(self, offset: int, text: str) -> None:
        call = calls.chunk(self.message.chat_id, self.message.message_id, offset, text)
        try:
            self._buffer.acknowledge(self._client.send(call))
        except Conflict as error:
            self._buffer.rewind(error, offset)

    def _after_response(
        self, call: Call[Progress], response: httpx2.Response, attempts: Attempts, begin: int, *, all_sent: bool
    ) -> float:
        """Handles the response to many chunks: the seconds to wait before more is sent. Raises ApiError."""
        error = http.response_error(response)
        if error is None:
            self._buffer.acknowledge(http.parse_response(call, response))
            # A service that stops takes no more, and answers how far it came.
            complete = all_sent and self._buffer.received >= self._buffer.end
            wait = 0.0 if complete else attempts.after_failure(may_have_arrived=True)
            error = Unavailable(503, {"title": "Unavailable", "detail": "The service took no more of the answer."})
        elif isinstance(error, Conflict):
            self._buffer.rewind(error, begin)
            wait = 0.0
        else:
            wait = attempts.after_response(response.status_code, response.headers)
        if wait is None:
            raise error
        return wait

    def __enter__(self) -> Self:
        self._message = self._client.send(self._opening)
        self._buffer = TextBuffer(len(self._message.content or ""))
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if self._ended:
            return
        if kind is None:
            self.complete()
        else:
            # The exception that is on its way says what went wrong.
            with contextlib.suppress(ChatkeepError):
                self.fail()
