"""Routes of messages in progress: chunks, completing and failing, and the stream of their text."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.responses import Response

from app.auth.dependencies import AuthenticatedHotRoute, AuthenticatedRoute, Reader, Writer, authorization_check
from app.db.database import Database
from app.events.pubsub import POLL_SECONDS, PubSub
from app.events.sse import EventStream, documented_events, last_event_id_parameter
from app.events.stream_authorizer import StreamAuthorizer
from app.events.streams import first_completed
from app.http import strict_json
from app.http.errors import BodyTooLarge, Conflict, NotFound, Unauthorized, responses
from app.http.idempotency import IDEMPOTENT, StoredResponse, idempotent_request, run_idempotent
from app.http.openapi import BODY_ERRORS, READ_ERRORS, documented
from app.http.references import ChatPath, ChatRef, MessagePath
from app.http.services import service
from app.messages.queries import parse_message_ref
from app.messages.schemas import MessageOut
from app.settings import Settings
from app.streaming.chunk_writer import ChunkWriter, MessageRef
from app.streaming.finalize import COMPLETED, FAILED
from app.streaming.queries import MessageLocation
from app.streaming.schemas import MAX_CHUNK, ChunkIn, CompleteIn, FailIn, Progress, StreamQuery
from app.streaming.sse import LAST_EVENT_ID
from app.streaming.streaming_messages import StreamingMessages

NDJSON = "application/x-ndjson"
_NDJSON = NDJSON.encode()
_JSON = (b"content-type", b"application/json")
_MAX_OFFSET = 2**31 - 1
# A character is at most six bytes of UTF-8 JSON for each of its two halves.
_MAX_LINE = 12 * MAX_CHUNK + 1024

router = APIRouter(prefix="/chats/{chat}/messages/{message}", tags=["answers"], route_class=AuthenticatedRoute)
hot_router = APIRouter(prefix=router.prefix, tags=router.tags, route_class=AuthenticatedHotRoute)

_CHUNK_SCHEMA = ChunkIn.model_json_schema()
_CHUNK_EXAMPLE = _CHUNK_SCHEMA.pop("examples")[0]
_CHUNK_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _CHUNK_SCHEMA, "example": _CHUNK_EXAMPLE},
            NDJSON: {
                "schema": {"type": "string", "description": "Chunks, one a line, each taken as it comes."},
                "example": '{"offset": 0, "text": "Eight "}\n{"offset": 6, "text": "minutes."}\n',
            },
        },
    }
}
_EVENTS = """id: 6
event: text
data: {"offset":0,"text":"Eight "}

"""


@hot_router.post(
    "/chunks",
    summary="Send the next text of an answer",
    status_code=202,
    response_class=Response,
    responses={
        **documented(Progress, 202, description="It is received, and will be on disk soon."),
        **responses(NotFound, Conflict, *BODY_ERRORS),
    },
    openapi_extra=_CHUNK_BODY,
)
async def send_chunk(request: Request, user: Writer, chat: ChatPath, message: MessagePath) -> Response:
    """Adds text to a message that is `in_progress`, from `offset` on: the characters of the text before it.

    What is there already is not added again. Where text before it is missing, or another one is there, 409 says with
    `received` and `stored` where to go on. One a line as `application/x-ndjson`, chunks are taken while they come.
    """
    chunk_writer = service(request, StreamingMessages).chunk_writer
    ref = (user.user_id, chat, message)
    if _is_ndjson(request):
        received, stored = await _receive_lines(request, chunk_writer, ref)
    else:
        body = await request.body()
        offset, text = _parse_chunk(strict_json.loads(body) if body else None)
        received, stored = await chunk_writer.receive(ref, offset, text)
    return _Accepted(b'{"received":%d,"stored":%d}' % (received, stored))


@router.post(
    "/complete",
    summary="Complete an answer",
    response_class=Response,
    responses={**documented(MessageOut), **responses(NotFound, Conflict, *BODY_ERRORS)},
    openapi_extra=IDEMPOTENT,
)
async def complete(request: Request, user: Writer, chat: ChatPath, message: MessagePath, body: CompleteIn) -> Response:
    """Ends an answer whose text is all there; answered with the message once all of it is on disk.

    Where it has not `offset` characters, 409 says with `received` and `stored` where to go on.
    """
    return await _finalize(request, (user.user_id, chat, message), body, COMPLETED)


@router.post(
    "/fail",
    summary="Give an answer up",
    response_class=Response,
    responses={**documented(MessageOut), **responses(NotFound, Conflict, *BODY_ERRORS)},
    openapi_extra=IDEMPOTENT,
)
async def fail(request: Request, user: Writer, chat: ChatPath, message: MessagePath, body: FailIn) -> Response:
    """Ends an answer that will not be completed. Its text is kept, as far as it is there."""
    return await _finalize(request, (user.user_id, chat, message), body, FAILED)


@router.get(
    "/stream",
    summary="Follow an answer as it is written",
    response_class=Response,
    responses={
        **documented_events(
            _EVENTS, "Events `text`, and in the end one of `done`, `failed`, `incomplete` and `deleted`."
        ),
        204: {"description": "The last event was seen: browsers come back no more."},
        **responses(NotFound, *READ_ERRORS),
    },
    openapi_extra={"parameters": [last_event_id_parameter("offset")]},
)
async def stream(
    request: Request, user: Reader, chat: ChatPath, message: MessagePath, query: Annotated[StreamQuery, Query()]
) -> Response:
    """The text of a message from `offset` on, as Server-Sent Events: what is there, then what comes, to its end.

    Only what is on disk is sent. The last event has the message; one that is complete is replayed.
    """
    messages = service(request, StreamingMessages)
    location = await messages.store.locate(user.user_id, chat, message)
    if request.headers.get("last-event-id") == LAST_EVENT_ID:
        return Response(status_code=204)
    text_stream = messages.text_stream(location, _offset_after(request.headers.get("last-event-id"), query.offset))
    return EventStream(text_stream.events(), service(request, StreamAuthorizer), authorization_check(request))


async def _finalize(request: Request, ref: MessageRef, body: CompleteIn | FailIn, status: str) -> Response:
    messages = service(request, StreamingMessages)
    # No Idempotency-Key is stored for a path that can name nothing, since Postgres could not store some of them.
    ChatRef.parse(ref[1])
    parse_message_ref(ref[2])
    idempotency = await idempotent_request(request)
    await messages.chunk_writer.flush(ref, body.offset)
    finalized: list[MessageLocation] = []
    async with service(request, Database).write() as session:

        async def effect() -> StoredResponse:
            location, message = await messages.finalizer.finalize(session, *ref, body, status)
            finalized.append(location)
            return StoredResponse(200, message, chat_id=location[1])

        stored = await run_idempotent(session, ref[0], idempotency, effect)
    for location in finalized:
        messages.finalized(location)
    return stored.response()


async def _receive_lines(request: Request, chunk_writer: ChunkWriter, ref: MessageRef) -> tuple[int, int]:
    """Receives a chunk from each line of the body while it comes, until it ends or the service stops."""
    limit = service(request, Settings).max_body_bytes
    progress = await chunk_writer.receive(ref, 0, "")

    async def receive() -> None:
        nonlocal progress
        size, rest = 0, b""
        async for part in request.stream():
            size += len(part)
            *lines, rest = (rest + part).split(b"\n")
            if size > limit or len(rest) > _MAX_LINE:
                raise BodyTooLarge
            for line in lines:
                if line.strip():
                    progress = await chunk_writer.receive(ref, *_parse_chunk(strict_json.loads(line)))
        if rest.strip():
            progress = await chunk_writer.receive(ref, *_parse_chunk(strict_json.loads(rest)))

    async with service(request, StreamAuthorizer).watch(authorization_check(request)) as must_end:
        if await first_completed(receive(), _wait_closing(service(request, PubSub)), must_end.wait()) == 2:
            raise Unauthorized
    return progress


async def _wait_closing(pubsub: PubSub) -> None:
    """Waits until the service is about to stop."""
    with pubsub.subscribe(("closing",)) as subscription:
        while not pubsub.closing:
            await subscription.wait(POLL_SECONDS)


def _parse_chunk(value: Any) -> tuple[int, str]:
    """The offset and the text of a chunk given as JSON. Raises RequestValidationError (422)."""
    # The same checks by Pydantic take ten times as long.
    if type(value) is dict and len(value) == 2:
        offset, text = value.get("offset"), value.get("text")
        if type(offset) is int and type(text) is str and 0 <= offset <= _MAX_OFFSET and len(text) <= MAX_CHUNK:
            return offset, text
    try:
        chunk = ChunkIn.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_input=False)
        raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in details]) from None
    return chunk.offset, chunk.text


def _is_ndjson(request: Request) -> bool:
    media_type: bytes = next((value for name, value in request.scope["headers"] if name == b"content-type"), b"")
    return media_type.partition(b";")[0].strip().lower() == _NDJSON


class _Accepted(Response):
    """A 202 with a short body. It is sent many times a second, so it skips what other responses need."""

    def __init__(self, body: bytes) -> None:
        self.status_code = 202
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), _JSON]


def _offset_after(last_event_id: str | None, offset: int) -> int:
    """The offset after the last event that a reader saw, if it names one; otherwise `offset`."""
    if last_event_id and last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= 10:
        return int(last_event_id)
    return offset
