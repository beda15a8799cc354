"""An answer that is written while others read it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterable, Iterable
from typing import Self, Unpack

import httpx2

from chatkeep import wire
from chatkeep.calls import answers as calls
from chatkeep.calls.answers import Ending
from chatkeep.draft import AsyncSource, Draft, Source
from chatkeep.errors import ChatkeepError, Conflict, Unavailable
from chatkeep.models.messages import Message, Progress
from chatkeep.request import Call
from chatkeep.resources.sending import AsyncSender, Sender
from chatkeep.retrying import Attempts


class _Written:
    """An answer, and how far it is written."""

    def __init__(self, opening: Call[Message]) -> None:
        self._opening = opening
        self._message: Message | None = None
        self._draft = Draft(0)
        self._ended = False

    @property
    def message(self) -> Message:
        """The message: as it was opened, and once it has ended as it is. Raises RuntimeError before it was opened."""
        if self._message is None:
            raise RuntimeError("An answer is opened by `with`.")
        return self._message

    def _opened(self, message: Message) -> None:
        self._message = message
        self._draft = Draft(len(message.content or ""))

    def _ended_as(self, message: Message) -> Message:
        self._message = message
        self._ended = True
        return message

    def _chunk(self, offset: int, text: str) -> Call[Progress]:
        return calls.chunk(self.message.chat_id, self.message.message_id, offset, text)

    def _chunks(self) -> Call[Progress]:
        return calls.chunks(self.message.chat_id, self.message.message_id)

    def _completion(self, ending: Ending) -> Call[Message]:
        return calls.complete(self.message.chat_id, self.message.message_id, offset=self._draft.end, **ending)

    def _failure(self, ending: Ending) -> Call[Message]:
        return calls.fail(self.message.chat_id, self.message.message_id, **ending)

    def _judge(
        self, call: Call[Progress], response: httpx2.Response, attempts: Attempts, begin: int, *, all_sent: bool
    ) -> float:
        """What the answer to many chunks means: the seconds to wait before more is sent. Raises ApiError."""
        error = wire.refused(response)
        if error is None:
            self._draft.taken(wire.read(call, response))
            # A service that stops takes no more, and answers how far it came.
            whole = all_sent and self._draft.received >= self._draft.end
            wait = 0.0 if whole else attempts.after_failure(begun=True)
            error = Unavailable(503, {"title": "Unavailable", "detail": "The service took no more of the answer."})
        elif isinstance(error, Conflict):
            self._draft.refused(error, begin)
            wait = 0.0
        else:
            wait = attempts.after_answer(response.status_code, response.headers)
        if wait is None:
            raise error
        return wait


class AnswerWriter(_Written):
    """Writes an answer: `with client.answers.open(chat) as answer: answer.write("…")`.

    The `with` completes it in the end, and gives it up where an exception ends it; `complete` and `fail` do so earlier,
    and say more about it.
    """

    def __init__(self, client: Sender, opening: Call[Message]) -> None:
        super().__init__(opening)
        self._client = client

    def write(self, text: str) -> None:
        """Adds text; the service has it when this returns. Raises Conflict where the answer is no longer open."""
        self._draft.add(text)
        self._send()

    def write_from(self, texts: Iterable[str]) -> None:
        """Adds texts as they come, in one request: what a model streams, at a fraction of what `write` costs.

        Where the connection breaks, another one goes on from where the service has it.
        """
        source, draft, call = Source(texts), self._draft, self._chunks()
        attempts = self._client.attempts(call)
        while not source.ended or draft.received < draft.end:
            begin, lines = draft.received, draft.lines(source)
            try:
                response = self._client.try_once(call, lines, stream=False)
            except wire.NO_ANSWER as failure:
                if failure is source.error:
                    raise
                wait = attempts.after_failure(begun=True)
                if wait is None:
                    raise wire.failed(call, failure) from failure
            else:
                wait = self._judge(call, response, attempts, begin, all_sent=source.ended)
            finally:
                lines.close()
            if wait:
                time.sleep(wait)
                self._ask()
            attempts = self._client.attempts(call) if draft.received > begin else attempts

    def complete(self, **ending: Unpack[Ending]) -> Message:
        """Ends the answer, with what else there is to say of it; `content` takes the place of the text."""
        while True:
            self._send()
            try:
                return self._ended_as(self._client.send(self._completion(ending)))
            except Conflict as error:
                self._draft.refused(error, self._draft.end)

    def fail(self, **ending: Unpack[Ending]) -> Message:
        """Gives the answer up. Its text is kept."""
        with contextlib.suppress(Conflict):
            self._send()
        return self._ended_as(self._client.send(self._failure(ending)))

    def _send(self) -> None:
        while text := self._draft.unsent():
            begin = self._draft.received
            try:
                self._draft.taken(self._client.send(self._chunk(begin, text)))
            except Conflict as error:
                self._draft.refused(error, begin)

    def _ask(self) -> None:
        """Has the service say how far it is."""
        try:
            self._draft.taken(self._client.send(self._chunk(self._draft.end, "")))
        except Conflict as error:
            self._draft.refused(error, self._draft.end)

    def __enter__(self) -> Self:
        self._opened(self._client.send(self._opening))
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if self._ended:
            return
        if kind is None:
            self.complete()
        else:
            # What went wrong is told by the exception that is on its way.
            with contextlib.suppress(ChatkeepError):
                self.fail()


class AsyncAnswerWriter(_Written):
    """The same to be awaited: `async with client.answers.open(chat) as answer: await answer.write("…")`."""

    def __init__(self, client: AsyncSender, opening: Call[Message]) -> None:
        super().__init__(opening)
        self._client = client

    async def write(self, text: str) -> None:
        """Adds text; the service has it when this returns. Raises Conflict where the answer is no longer open."""
        self._draft.add(text)
        await self._send()

    async def write_from(self, texts: AsyncIterable[str]) -> None:
        """Adds texts as they come, in one request: what a model streams, at a fraction of what `write` costs.

        Where the connection breaks, another one goes on from where the service has it.
        """
        source, draft, call = AsyncSource(texts), self._draft, self._chunks()
        attempts = self._client.attempts(call)
        while not source.ended or draft.received < draft.end:
            begin, lines = draft.received, draft.async_lines(source)
            try:
                response = await self._client.try_once(call, lines, stream=False)
            except wire.NO_ANSWER as failure:
                if failure is source.error:
                    raise
                wait = attempts.after_failure(begun=True)
                if wait is None:
                    raise wire.failed(call, failure) from failure
            else:
                wait = self._judge(call, response, attempts, begin, all_sent=source.ended)
            finally:
                await lines.aclose()
            if wait:
                await asyncio.sleep(wait)
                await self._ask()
            attempts = self._client.attempts(call) if draft.received > begin else attempts

    async def complete(self, **ending: Unpack[Ending]) -> Message:
        """Ends the answer, with what else there is to say of it; `content` takes the place of the text."""
        while True:
            await self._send()
            try:
                return self._ended_as(await self._client.send(self._completion(ending)))
            except Conflict as error:
                self._draft.refused(error, self._draft.end)

    async def fail(self, **ending: Unpack[Ending]) -> Message:
        """Gives the answer up. Its text is kept."""
        with contextlib.suppress(Conflict):
            await self._send()
        return self._ended_as(await self._client.send(self._failure(ending)))

    async def _send(self) -> None:
        while text := self._draft.unsent():
            begin = self._draft.received
            try:
                self._draft.taken(await self._client.send(self._chunk(begin, text)))
            except Conflict as error:
                self._draft.refused(error, begin)

    async def _ask(self) -> None:
        """Has the service say how far it is."""
        try:
            self._draft.taken(await self._client.send(self._chunk(self._draft.end, "")))
        except Conflict as error:
            self._draft.refused(error, self._draft.end)

    async def __aenter__(self) -> Self:
        self._opened(await self._client.send(self._opening))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if self._ended:
            return
        if kind is None:
            await self.complete()
        else:
            # What went wrong is told by the exception that is on its way.
            with contextlib.suppress(ChatkeepError):
                await self.fail()
