"""Routes of the feed of changes: a page of them, the same followed as events or by WebSocket, and its tickets."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, WebSocket
from starlette.responses import Response

from app.auth.authenticator import Authenticator, bearer_token
from app.auth.dependencies import (
    AuthenticatedHotRoute,
    AuthenticatedRoute,
    Reader,
    authenticated_router,
    authorization_check,
)
from app.changes import websocket
from app.changes.change_stream import ChangeStream
from app.changes.feed_cache import FeedCache
from app.changes.schemas import CHANGE, CURSOR, ChangePage, ChangesQuery, EventsQuery, TicketOut
from app.changes.sse import change_events
from app.changes.tickets import TicketStore
from app.db.database import Database
from app.events.sse import EventStream, documented_events, encode_event, last_event_id_parameter
from app.events.stream_authorizer import StreamAuthorizer
from app.http.errors import Conflict, Gone, InvalidCursor, NotFound, responses
from app.http.idempotency import IDEMPOTENT, idempotent_request
from app.http.openapi import BODY_ERRORS, READ_ERRORS, documented
from app.http.query import QueryReader
from app.http.references import ChatRef
from app.http.services import service
from app.messages.serialize import dumps

router = APIRouter(tags=["changes"], route_class=AuthenticatedRoute)
hot_router = authenticated_router("", "changes", AuthenticatedHotRoute)
_changes_query = QueryReader(ChangesQuery)

_EVENT = encode_event(CURSOR.encode(), b"message.appended", dumps(CHANGE)).decode()


@hot_router.get(
    "/changes",
    summary="Read what changed",
    responses={**documented(ChangePage), **responses(InvalidCursor, NotFound, Gone, *READ_ERRORS)},
    openapi_extra={"parameters": _changes_query.parameters()},
)
async def read_changes(request: Request, user: Reader) -> Response:
    """What changed in all of the caller's chats after `since`, in the order in which it was committed.

    Without `since`, from the first change that is kept; with `since=now` nothing but a cursor to go on from.
    """
    query = _changes_query.read(request)
    feed_cache = service(request, FeedCache)
    reader = feed_cache.reader(user.user_id)
    chat_id = await reader.chat_id(ChatRef.parse(query.chat)) if query.chat is not None else None
    page = await reader.read(await reader.position(query.since), query.limit, chat_id)
    body = b'{"items":[%b],"cursor":%b,"has_more":%b}' % (
        b",".join(change.json for change in page.items),
        dumps(reader.cursor(page.position)),
        b"true" if page.has_more else b"false",
    )
    return Response(body, headers={"Cache-Control": "no-store"}, media_type="application/json")


@router.get(
    "/events",
    summary="Follow what changes, as events",
    response_class=Response,
    responses={
        **documented_events(_EVENT, "Events without end."),
        **responses(InvalidCursor, NotFound, Gone, *READ_ERRORS),
    },
    openapi_extra={"parameters": [last_event_id_parameter("since")]},
)
async def follow_events(request: Request, user: Reader, query: Annotated[EventsQuery, Query()]) -> Response:
    """What changes in the caller's chats, as it happens, as Server-Sent Events; from now on, if not said otherwise.

    The first event, `cursor`, says from where. An event's `id` is its cursor.
    """
    since = request.headers.get("last-event-id") or query.since
    stream = await ChangeStream.open(request, user.user_id, since, query.chat)
    return EventStream(change_events(stream), service(request, StreamAuthorizer), authorization_check(request))


@router.post(
    "/tickets",
    summary="Make a ticket for a WebSocket",
    status_code=201,
    response_class=Response,
    responses={**documented(TicketOut, 201), **responses(Conflict, *BODY_ERRORS)},
    openapi_extra=IDEMPOTENT,
)
async def make_ticket(request: Request, user: Reader) -> Response:
    """A ticket for `/ws?ticket=…`, since browsers set no headers there. Good once, for 30 seconds, in any process."""
    authenticator = service(request, Authenticator)
    stored = await TicketStore(service(request, Database)).create(
        user,
        await authenticator.token_expires_at(request),
        idempotency=await idempotent_request(request),
        token=bearer_token(request),
    )
    response = stored.response()
    response.headers["Cache-Control"] = "no-store"
    return response


@router.websocket("/ws")
async def follow_socket(socket: WebSocket) -> None:
    """What changes in the caller's chats, as it happens, one change a message."""
    await websocket.serve(socket)
