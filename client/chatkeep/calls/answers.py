"""Calls of answers: messages that are read while they are written."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from chatkeep.call import Call, Json, build_headers, get_call, json_body, post_call
from chatkeep.calls.messages import message_path
from chatkeep.models.messages import Message, MessageRef, Progress
from chatkeep.models.model import parse_model, parse_nothing

MAX_CHUNK = 65_536
NDJSON = "application/x-ndjson"
# While nothing is written the service sends a sign of life every 15 seconds.
STREAM_READ_TIMEOUT = 45.0


class FinalFields(TypedDict, total=False):
    """The fields that an answer ends with. `content` replaces the text that was sent."""

    content: str | Sequence[Mapping[str, Any]] | None
    tool_calls: Sequence[Mapping[str, Any]] | None
    model: str | None
    tokens: int | None
    input_tokens: int | None
    output_tokens: int | None
    metadata: Mapping[str, Any] | None


def chunk(chat: str, message: MessageRef, offset: int, text: str) -> Call[Progress]:
    """Sends the next text of an answer, at most MAX_CHUNK characters; `offset` is how many there are before it.

    What is there already is not added again, so it may be sent twice. Raises Conflict where text before it is missing:
    its problem has `received`, where to go on.
    """
    return Call(
        method="POST",
        path=f"{message_path(chat, message)}/chunks",
        parse=parse_model(Progress),
        headers=build_headers(json=True),
        body=chunk_line(offset, text),
    )


def chunks(chat: str, message: MessageRef) -> Call[Progress]:
    """Sends many chunks in one request, whose body is a `chunk_line` for each, sent as they come."""
    call = chunk(chat, message, 0, "")
    return Call(method=call.method, path=call.path, parse=call.parse, headers={"Content-Type": NDJSON})


def chunk_line(offset: int, text: str) -> bytes:
    """A chunk as a line of JSON."""
    return json_body({"offset": offset, "text": text}) + b"\n"


def complete(
    chat: str,
    message: MessageRef,
    *,
    offset: int | None = None,
    idempotency_key: str | None = None,
    **fields: Unpack[FinalFields],
) -> Call[Message]:
    """Completes an answer of which all is there: `offset` characters, or `content` instead. Raises Conflict if not."""
    return _end(f"{message_path(chat, message)}/complete", offset, fields, idempotency_key)


def fail(
    chat: str,
    message: MessageRef,
    *,
    offset: int | None = None,
    idempotency_key: str | None = None,
    **fields: Unpack[FinalFields],
) -> Call[Message]:
    """Ends an answer as failed. Its text is kept, as far as it is there."""
    return _end(f"{message_path(chat, message)}/fail", offset, fields, idempotency_key)


def _end(path: str, offset: int | None, fields: FinalFields, idempotency_key: str | None) -> Call[Message]:
    body: Json = fields if offset is None else {"offset": offset, **fields}
    return post_call(path, parse_model(Message), body, idempotency_key=idempotency_key)


def stream(chat: str, message: MessageRef, *, offset: int = 0) -> Call[None]:
    """The text of an answer from `offset` on, as server-sent events."""
    return as_events(get_call(f"{message_path(chat, message)}/stream", parse_nothing, offset=offset or None))


def as_events(call: Call[None]) -> Call[None]:
    """A copy of a call whose response is a stream of server-sent events."""
    return call.with_headers(Accept="text/event-stream").with_read_timeout(STREAM_READ_TIMEOUT)
