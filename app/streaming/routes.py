"""The routes of answers that are written while somebody reads: chunks, the end, and the stream of their text."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.responses import Response

from app.auth.authenticator import Authenticator
from app.auth.dependencies import AuthenticatedHotRoute, AuthenticatedRoute, Reader, Writer
from app.db.database import Database
from app.events.pubsub import POLL_SECONDS, Hub
from app.events.sse import EventStream, documented_events
from app.events.stream_authorizer import Guard
from app.events.streams import first_of
from app.http import strict_json
from app.http.errors import BodyTooLarge, Conflict, NotFound, Unauthorized, responses
from app.http.idempotency import IDEMPOTENT, StoredResponse, idempotent_request, run_idempotent
from app.http.openapi import BODY_ERRORS, READ_ERRORS, documented
from app.http.references import ChatPath, ChatRef, MessagePath
from app.http.services import service
from app.messages.queries import parse_message_ref
from app.messages.schemas import MessageOut
from app.settings import Settings
from app.streaming.chunk_writer import Collector, Name
from app.streaming.events import LAST
from app.streaming.finalize import COMPLETED, FAILED
from app.streaming.schemas import MAX_CHUNK, ChunkIn, CompleteIn, FailIn, Progress, StreamQuery
from app.streaming.streaming_messages import Answers

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
_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "The `id` of the last event that was seen. It goes before `offset`; browsers send it by themselves.",
    "schema": {"type": "string", "maxLength": 1024},
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
    collector = service(request, Answers).collector
    name = (user.user_id, chat, message)
    if _is_ndjson(request):
        received, stored = await _take_lines(request, collector, name)
    else:
        body = await request.body()
        offset, text = _chunk(strict_json.loads(body) if body else None)
        received, stored = await collector.take(name, offset, text)
    return _Taken(b'{"received":%d,"stored":%d}' % (received, stored))


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
    return await _end(request, (user.user_id, chat, message), body, COMPLETED)


@router.post(
    "/fail",
    summary="Give an answer up",
    response_class=Response,
    responses={**documented(MessageOut), **responses(NotFound, Conflict, *BODY_ERRORS)},
    openapi_extra=IDEMPOTENT,
)
async def fail(request: Request, user: Writer, chat: ChatPath, message: MessagePath, body: FailIn) -> Response:
    """Ends an answer that will not be completed. Its text is kept, as far as it is there."""
    return await _end(request, (user.user_id, chat, message), body, FAILED)


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
    openapi_extra={"parameters": [_LAST_EVENT_ID]},
)
async def stream(
    request: Request, user: Reader, chat: ChatPath, message: MessagePath, query: Annotated[StreamQuery, Query()]
) -> Response:
    """The text of a message from `offset` on, as Server-Sent Events: what is there, then what comes, to its end.

    Only what is on disk is sent. The last event has the message; one that is complete is replayed.
    """
    answers = service(request, Answers)
    place = await answers.store.locate(user.user_id, chat, message)
    if request.headers.get("last-event-id") == LAST:
        return Response(status_code=204)
    replay = answers.replay(place, _last_event_id(request, query.offset))
    authenticator = service(request, Authenticator)
    return EventStream(replay.events(), service(request, Guard), lambda: authenticator.authenticate(request))


async def _end(request: Request, name: Name, said: CompleteIn | FailIn, status: str) -> Response:
    answers = service(request, Answers)
    # No key is kept under a path that can name nothing, as Postgres could not.
    ChatRef.parse(name[1])
    parse_message_ref(name[2])
    idempotency = await idempotent_request(request)
    await answers.collector.settle(name, said.offset)
    ended = []
    async with service(request, Database).write() as session:

        async def effect() -> StoredResponse:
            place, body = await answers.endings.end(session, *name, said, status)
            ended.append(place)
            return StoredResponse(200, body, chat_id=place[1])

        answer = await run_idempotent(session, name[0], idempotency, effect)
    for place in ended:
        answers.ended(place)
    return answer.response()


async def _take_lines(request: Request, collector: Collector, name: Name) -> tuple[int, int]:
    """Takes the chunks of a body while it comes, until it ends or the service stops. A line is a chunk."""
    limit = service(request, Settings).max_body_bytes
    progress = await collector.take(name, 0, "")

    async def take() -> None:
        nonlocal progress
        size, rest = 0, b""
        async for part in request.stream():
            size += len(part)
            *lines, rest = (rest + part).split(b"\n")
            if size > limit or len(rest) > _MAX_LINE:
                raise BodyTooLarge
            for line in lines:
                if line.strip():
                    progress = await collector.take(name, *_chunk(strict_json.loads(line)))
        if rest.strip():
            progress = await collector.take(name, *_chunk(strict_json.loads(rest)))

    authenticator = service(request, Authenticator)
    hub = service(request, Hub)
    async with service(request, Guard).over(lambda: authenticator.authenticate(request)) as ended:
        if await first_of(take(), _end_of(hub), ended.wait()) == 2:
            raise Unauthorized
    return progress


async def _end_of(hub: Hub) -> None:
    """Waits until the service is about to stop."""
    with hub.watch(("end",)) as watch:
        while not hub.closing:
            await watch.wait(POLL_SECONDS)


def _chunk(value: Any) -> tuple[int, str]:
    """The offset and the text of a chunk. Raises RequestValidationError (422)."""
    # What Pydantic would find in ten times the time.
    if type(value) is dict and len(value) == 2:
        offset, text = value.get("offset"), value.get("text")
        if type(offset) is int and type(text) is str and 0 <= offset <= _MAX_OFFSET and len(text) <= MAX_CHUNK:
            return offset, text
    try:
        chunk = ChunkIn.model_validate(value)
    except ValidationError as error:
        raise RequestValidationError(
            [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_input=False)]
        ) from None
    return chunk.offset, chunk.text


def _is_ndjson(request: Request) -> bool:
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            media_type: bytes = value.partition(b";")[0].strip().lower()
            return media_type == _NDJSON
    return False


class _Taken(Response):
    """A 202 with a short body. Many times a second, so without what other responses need."""

    def __init__(self, body: bytes) -> None:
        self.status_code = 202
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), _JSON]


def _last_event_id(request: Request, offset: int) -> int:
    """Where a reader goes on that says what it saw last."""
    seen = request.headers.get("last-event-id", "")
    return int(seen) if seen.isascii() and seen.isdigit() and len(seen) <= 10 else offset
