"""The route of imports."""

import asyncio
import hashlib
from contextlib import ExitStack
from typing import Annotated, Any, Literal
from weakref import WeakValueDictionary

import orjson
from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator, BaseModel, Field
from starlette.responses import Response

from app.archive_formats import imports
from app.auth.caller import ADMIN, CHATS_WRITE, Caller, User
from app.auth.dependencies import AuthenticatedRoute, OwnerOrAdmin
from app.db.database import Database
from app.events.consumer import Rest
from app.http.errors import BadRequest, Forbidden, responses
from app.http.idempotency import (
    IDEMPOTENT,
    IdempotentRequest,
    StoredResponse,
    idempotency_key,
    idempotent_request_of,
    run_idempotent,
    stored_response,
)
from app.http.openapi import BODY_ERRORS, documented
from app.http.services import service
from app.importing.importer import Importer, Options
from app.importing.report import ImportOut
from app.importing.uploads import Upload, full, uploaded
from app.settings import Settings

router = APIRouter(tags=["export and import"], route_class=AuthenticatedRoute)

# Requests with the same key run one after the other.
_running: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()


def _known(name: str) -> str:
    if name not in imports():
        raise ValueError(f"a format is one of {', '.join(sorted(imports()))}")
    return name


Format = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": sorted(imports())})]


class ImportQuery(BaseModel):
    """How to import."""

    format: Format | None = Field(default=None, description="The format of the files; recognised where it is unsaid.")
    dry_run: bool = Field(default=False, description="Say what would happen, and store nothing.")
    on_conflict: Literal["skip", "replace", "copy"] = Field(
        default="skip", description="What happens to a chat that is there already."
    )
    keep_ids: bool = Field(default=False, description="Keep the ids of chats and messages, and the versions.")
    all_users: bool = Field(
        default=False, description="Keep the users of the chats. Needs the scope `admin`. Else all become the caller's."
    )


_FILE = {"schema": {"type": "string", "format": "binary"}}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A file as it is, said to be JSON, JSON Lines, a zip or just bytes; or several, as a form.",
        "content": {
            "application/octet-stream": _FILE,
            "application/jsonl": _FILE,
            "application/zip": _FILE,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                    "required": ["file"],
                }
            },
        },
    }
}


@router.post(
    "/import",
    summary="Import chats",
    response_class=Response,
    responses={**documented(ImportOut), **responses(*BODY_ERRORS)},
    openapi_extra={**IDEMPOTENT, **_BODY},
)
async def import_chats(
    request: Request,
    caller: Annotated[Caller, Depends(OwnerOrAdmin(CHATS_WRITE))],
    query: Annotated[ImportQuery, Query()],
) -> Response:
    """Imports files of chats: Chatkeep's own, or those of another service. Each chat is stored whole or not at all.

    What is damaged is reported and left out. Of a file that is broken as a whole nothing is stored. The same file
    again adds nothing.
    """
    user_id = _whose(caller, query)
    key = idempotency_key(request)
    limit = service(request, Settings).max_import_bytes
    async with uploaded(request, limit) as upload:
        if key is None:
            answer = await _run(request, query, user_id, upload, limit, None)
        else:
            asked = await asyncio.to_thread(upload.sha256)
            idempotency, owner = idempotent_request_of(request, key, asked.encode()), user_id or caller.principal
            lock = _running.setdefault((owner, key), asyncio.Lock())
            async with lock:
                answer = await _idempotent(request, query, user_id, upload, limit, idempotency, owner)
    return answer.response()


def _whose(caller: Caller, query: ImportQuery) -> str | None:
    """Whose the chats become that name nobody. Raises BadRequest (400) and Forbidden (403)."""
    if query.all_users and ADMIN not in caller.scopes:
        raise Forbidden("To keep the users of the chats needs the scope admin.")
    if not query.all_users and CHATS_WRITE not in caller.scopes:
        raise Forbidden(f"This needs the scope {CHATS_WRITE}.")
    if isinstance(caller, User):
        return caller.user_id
    if not query.all_users:
        raise BadRequest("A service key acts for a user: name one in the header X-User-Id.")
    return None


async def _idempotent(
    request: Request,
    query: ImportQuery,
    user_id: str | None,
    upload: Upload,
    limit: int,
    idempotency: IdempotentRequest,
    owner: str,
) -> StoredResponse:
    """The import, unless the request is a retry: then what it was answered first.

    The answer is kept when all is done, in a transaction of its own: a process that ends before runs it again at the
    retry, which finds what it stored then. That is why copies are marked.
    """
    db = service(request, Database)
    async with db.read() as session:
        before = await stored_response(session, owner, idempotency)
    if before is not None:
        return before
    answer = await _run(request, query, user_id, upload, limit, idempotency)

    async def effect() -> StoredResponse:
        return answer

    async with db.write() as session:
        return await run_idempotent(session, owner, idempotency, effect)


async def _run(
    request: Request,
    query: ImportQuery,
    user_id: str | None,
    upload: Upload,
    limit: int,
    idempotency: IdempotentRequest | None,
) -> StoredResponse:
    options = Options(
        user_id,
        query.all_users,
        query.format,
        query.dry_run,
        query.on_conflict,
        query.keep_ids,
        None
        if idempotency is None
        else hashlib.sha256(f"{idempotency.key}\0{idempotency.request_sha256}".encode()).hexdigest()[:16],
    )
    with ExitStack() as closing:
        try:
            sources = await asyncio.to_thread(upload.sources, closing, limit)
        except OSError as error:
            raise full(error) from error
        # What follows the feeds would take half of the processor meanwhile.
        with service(request, Rest).held():
            report = await Importer(service(request, Database), options).run(sources)
    return StoredResponse(200, orjson.dumps(report.as_json()))
