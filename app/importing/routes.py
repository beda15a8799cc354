"""Import route: uploads of files, with idempotency."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
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
from app.events.consumer import PauseGate
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
from app.importing.uploads import Upload, receive_upload, storage_error
from app.settings import Settings

router = APIRouter(tags=["export and import"], route_class=AuthenticatedRoute)

# Requests with the same key run one after the other.
_running: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()


def _format_name(name: str) -> str:
    if name not in imports():
        raise ValueError(f"a format is one of {', '.join(sorted(imports()))}")
    return name


Format = Annotated[str, AfterValidator(_format_name), Field(json_schema_extra={"enum": sorted(imports())})]


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


_FILE = {"type": "string", "format": "binary"}
_FORM = {"file": {"type": "array", "items": _FILE}}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A file as it is, said to be JSON, JSON Lines, a zip or just bytes; or several, as a form.",
        "content": {
            "application/octet-stream": {"schema": _FILE},
            "application/jsonl": {"schema": _FILE},
            "application/zip": {"schema": _FILE},
            "multipart/form-data": {"schema": {"type": "object", "properties": _FORM, "required": ["file"]}},
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
    user_id = _default_user(caller, query)
    key = idempotency_key(request)
    limit = service(request, Settings).max_import_bytes
    async with receive_upload(request, limit) as upload:
        if key is None:
            response = await _run(request, query, user_id, upload, limit, None)
        else:
            body_hash = await asyncio.to_thread(upload.sha256)
            idempotency = idempotent_request_of(request, key, body_hash.encode())
            mark = hashlib.sha256(f"{key}\0{idempotency.request_sha256}".encode()).hexdigest()[:16]
            run = partial(_run, request, query, user_id, upload, limit, mark)
            owner = user_id or caller.principal
            lock = _running.setdefault((owner, key), asyncio.Lock())
            async with lock:
                response = await _idempotent(service(request, Database), owner, idempotency, run)
    return response.response()


def _default_user(caller: Caller, query: ImportQuery) -> str | None:
    """The user who gets the chats that name no user. Raises BadRequest (400) and Forbidden (403)."""
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
    db: Database, owner: str, idempotency: IdempotentRequest, run: Callable[[], Awaitable[StoredResponse]]
) -> StoredResponse:
    """Runs the import, or for a retry gives the first response again.

    The response is stored when all is done, in a transaction of its own. If the process ends before, a retry runs the
    import again and finds the chats that are stored already; that is why copies are marked.
    """
    async with db.read() as session:
        first_response = await stored_response(session, owner, idempotency)
    if first_response is not None:
        return first_response
    response = await run()

    async def effect() -> StoredResponse:
        return response

    async with db.write() as session:
        return await run_idempotent(session, owner, idempotency, effect)


async def _run(
    request: Request, query: ImportQuery, user_id: str | None, upload: Upload, limit: int, mark: str | None
) -> StoredResponse:
    options = Options(user_id, **query.model_dump(), mark=mark)
    with ExitStack() as stack:
        try:
            sources = await asyncio.to_thread(upload.sources, stack, limit)
        except OSError as error:
            raise storage_error(error) from error
        # Background consumers would take half of the processor meanwhile.
        with service(request, PauseGate).closed():
            report = await Importer(service(request, Database), options).run(sources)
    return StoredResponse(200, orjson.dumps(report.as_json()))
