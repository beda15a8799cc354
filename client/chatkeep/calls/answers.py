"""The calls of answers that are written while somebody reads."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from chatkeep.calls.messages import place
from chatkeep.models.messages import Message, Place, Progress
from chatkeep.models.model import nothing, one
from chatkeep.request import Call, Json, get, headers, json_body, post

MAX_CHUNK = 65_536
NDJSON = "application/x-ndjson"
# While nothing is written the service says every 15 seconds that it is still there.
STREAM_PATIENCE = 45.0


class Ending(TypedDict, total=False):
    """What an answer is ended with, besides its text. `content` takes the place of the text that was sent."""

    content: str | Sequence[Mapping[str, Any]] | None
    tool_calls: Sequence[Mapping[str, Any]] | None
    model: str | None
    tokens: int | None
    input_tokens: int | None
    output_tokens: int | None
    metadata: Mapping[str, Any] | None


def chunk(chat: str, message: Place, offset: int, text: str) -> Call[Progress]:
    """Sends the next text of an answer, at most MAX_CHUNK characters; `offset` is how many there are before it.

    What is there already is not added again, so it may be sent twice. Raises Conflict where text before it is missing:
    its problem has `received`, where to go on.
    """
    return Call(
        method="POST",
        path=f"{place(chat, message)}/chunks",
        read=one(Progress),
        headers=headers(json=True),
        body=line(offset, text),
    )


def chunks(chat: str, message: Place) -> Call[Progress]:
    """The same for many chunks in one request, whose body is a `line` for each, sent as they come."""
    call = chunk(chat, message, 0, "")
    return Call(method=call.method, path=call.path, read=call.read, headers={"Content-Type": NDJSON})


def line(offset: int, text: str) -> bytes:
    """A chunk as a line of JSON."""
    return json_body({"offset": offset, "text": text}) + b"\n"


def complete(
    chat: str,
    message: Place,
    *,
    offset: int | None = None,
    idempotency_key: str | None = None,
    **ending: Unpack[Ending],
) -> Call[Message]:
    """Ends an answer that is all there: `offset` characters, or `content` instead. Raises Conflict where it is not."""
    return _end(f"{place(chat, message)}/complete", offset, ending, idempotency_key)


def fail(
    chat: str,
    message: Place,
    *,
    offset: int | None = None,
    idempotency_key: str | None = None,
    **ending: Unpack[Ending],
) -> Call[Message]:
    """Gives an answer up. Its text is kept, as far as it is there."""
    return _end(f"{place(chat, message)}/fail", offset, ending, idempotency_key)


def _end(address: str, offset: int | None, ending: Ending, idempotency_key: str | None) -> Call[Message]:
    said: Json = ending if offset is None else {"offset": offset, **ending}
    return post(address, one(Message), said, idempotency_key=idempotency_key)


def stream(chat: str, message: Place, *, offset: int = 0) -> Call[None]:
    """The text of an answer from `offset` on, as events."""
    call = get(f"{place(chat, message)}/stream", nothing, offset=offset or None)
    return events(call)


def events(call: Call[None]) -> Call[None]:
    """A call that is answered with events."""
    return call.saying(Accept="text/event-stream").waiting(STREAM_PATIENCE)
