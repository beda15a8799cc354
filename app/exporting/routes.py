"""Export routes: one chat, or many, as a file."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, Field
from starlette.responses import Response

from app.archive_formats import exports
from app.auth.dependencies import AuthenticatedRoute, Reader, ReaderOrAdmin
from app.auth.owner_scope import OwnerQuery, owner_of
from app.chats.dependencies import chat_store
from app.chats.listing import METADATA_PARAMETER, FilterConditions, metadata_filters
from app.chats.schemas import ChatFilters, State
from app.chats.serialize import FIELDS
from app.chats.store import ChatStore
from app.db.database import Database
from app.exporting.compression import negotiate_encoding
from app.exporting.content_disposition import attachment_header
from app.exporting.examples import response_content
from app.exporting.exporter import ExportResponse, ExportRunner, export_headers
from app.exporting.reader import Selection
from app.http.errors import NotFound, responses
from app.http.openapi import READ_ERRORS
from app.http.references import ChatPath, ChatRef
from app.http.services import service
from app.models.chat import ACTIVE, ARCHIVED, DELETED

_STATES: dict[State | None, tuple[str, ...]] = {
    None: ("deleted_at IS NULL",),
    "active": (ACTIVE,),
    "archived": (ARCHIVED,),
    "deleted": (DELETED,),
    "all": (),
}

router = APIRouter(tags=["export and import"], route_class=AuthenticatedRoute)


def _format_name(name: str) -> str:
    if name not in exports():
        raise ValueError(f"a format is one of {', '.join(sorted(exports()))}")
    return name


Format = Annotated[str, AfterValidator(_format_name), Field(json_schema_extra={"enum": sorted(exports())})]
ChatFormat = Annotated[Format, Query(alias="format", description="In which format.")]
_HEADERS = {
    "Content-Disposition": {"schema": {"type": "string"}, "description": "A name for the file."},
    "Content-Encoding": {"schema": {"type": "string"}, "description": "`gzip` or `zstd`, as Accept-Encoding asks."},
}
_ACCEPT_ENCODING: dict[str, Any] = {
    "name": "Accept-Encoding",
    "in": "header",
    "required": False,
    "description": "`gzip` or `zstd` to have it compressed.",
    "schema": {"type": "string"},
}


def _success(description: str, *, many: bool) -> dict[int | str, dict[str, Any]]:
    content = response_content(many=many, first="jsonl" if many else "json")
    return {200: {"description": description, "headers": _HEADERS, "content": content}}


class ExportQuery(OwnerQuery, ChatFilters):
    """Which chats to export, and how."""

    # Not that of the list: an export is also a backup, where archived chats must not be missing.
    state: State | None = Field(
        default=None,
        description="Not given: all but the trash. `active`: those that are not archived either. `archived`: archived, "
        "and not in the trash. `deleted`: in the trash, archived or not. `all`: all of them.",
    )
    format: Format = Field(default="jsonl", description="In which format.")


async def _response(request: Request, selection: Selection, name: str, *, many: bool) -> Response:
    """The response with an export. What goes wrong before its first byte is raised."""
    format_ = exports()[name]
    coding = negotiate_encoding(",".join(request.headers.getlist("accept-encoding")))
    runner = service(request, ExportRunner)
    job = runner.start(selection, format_, many=many, coding=coding)
    try:
        first = await job.next()
    except BaseException:
        job.stop()
        raise
    chat = {} if many or job.chat is None else job.chat
    default_name = f"chatkeep-export-{datetime.now(UTC).date().isoformat()}"
    disposition = attachment_header(chat.get("title") or chat.get("key"), default_name, format_.extension)
    return ExportResponse(job, first, export_headers(coding, disposition), format_.media_type)


@router.get(
    "/chats/{chat}/export",
    summary="Export a chat",
    response_class=Response,
    responses={**_success("The chat, as a file.", many=False), **responses(NotFound, *READ_ERRORS)},
    openapi_extra={"parameters": [_ACCEPT_ENCODING]},
)
async def export_chat(request: Request, user: Reader, chat: ChatPath, format_: ChatFormat = "json") -> Response:
    """All of it in `json` and `jsonl`: every branch, what was edited, the feedback. The active branch in the others.

    It is streamed, as it was at one moment. If the answer has no clean end, it is not all there.
    """
    row = await chat_store(request, user).get(ChatRef.parse(chat))
    chat_id = str(row[FIELDS.index("chat_id")])
    conditions = ("user_id = $1", "chat_id = $2", "deleted_at IS NULL")
    return await _response(request, Selection(user.user_id, conditions, (user.user_id, chat_id)), format_, many=False)


@router.get(
    "/export",
    summary="Export chats",
    response_class=Response,
    responses={**_success("The chats, as a file.", many=True), **responses(*READ_ERRORS)},
    openapi_extra={"parameters": [METADATA_PARAMETER, _ACCEPT_ENCODING]},
)
async def export_chats(request: Request, caller: ReaderOrAdmin, query: Annotated[ExportQuery, Query()]) -> Response:
    """The caller's chats, all those that the filters leave: archived ones too, and the trash with `state=all`.

    With the scope `admin`, those of another user (`user_id`), or of all of them together (`all_users=true`).
    """
    user_id = owner_of(caller, query)
    db = service(request, Database)
    filters = FilterConditions(user_id, query, metadata_filters(request), ChatStore(db, "").list_sql)
    conditions = (*filters.conditions, *_STATES[query.state])
    return await _response(request, Selection(user_id, conditions, tuple(filters.arguments)), query.format, many=True)
