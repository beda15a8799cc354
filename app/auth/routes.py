"""`/admin/api-keys`: API keys by HTTP."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Response
from starlette.requests import Request

from app.auth.authenticator import Authenticator, bearer_token
from app.auth.dependencies import CALLER_PROBLEMS, Admin, AuthenticatedRoute
from app.auth.schemas import ApiKeyIn, ApiKeyMade, ApiKeyOut, ApiKeyQuery, key_fields
from app.http.errors import Conflict, InvalidCursor, NotFound, StorageFull, responses
from app.http.idempotency import IDEMPOTENT, idempotent_request
from app.http.openapi import BODY_ERRORS, READ_ERRORS
from app.http.paging import Page, decode_cursor, encode_cursor, page_body, page_response
from app.http.services import service

router = APIRouter(prefix="/admin/api-keys", route_class=AuthenticatedRoute, tags=["admin"])

_READ, _WRITE = CALLER_PROBLEMS, (*CALLER_PROBLEMS, StorageFull)


@router.post(
    "",
    status_code=201,
    summary="Make an API key",
    response_model=ApiKeyMade,
    response_description="The key. `key` is shown this once.",
    responses=responses(Conflict, *BODY_ERRORS),
    openapi_extra=IDEMPOTENT,
)
async def create(request: Request, caller: Admin, body: ApiKeyIn) -> Response:
    """Makes an API key: for one user with `user_id`, else a service key that acts for the user in `X-User-Id`.

    The secret is in this answer and nowhere else. With an `Idempotency-Key`, a retry with the same bearer token gets it
    again; with another token it gets a 409.
    """
    answer = await service(request, Authenticator).keys.create(
        body, idempotency=await idempotent_request(request), by=caller.principal, token=bearer_token(request)
    )
    response = answer.response()
    response.headers["Cache-Control"] = "no-store"
    return response


@router.get(
    "",
    summary="List the API keys",
    response_model=Page[ApiKeyOut],
    responses=responses(InvalidCursor, *READ_ERRORS),
)
async def index(request: Request, caller: Admin, query: Annotated[ApiKeyQuery, Query()]) -> Response:
    """Every API key, newest first, revoked ones too; without their secrets."""
    binding = ("api-keys", caller.principal)
    after = decode_cursor(query.cursor, binding)[0] if query.cursor else None
    rows = await service(request, Authenticator).keys.page(query.limit + 1, after)
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    following = encode_cursor(binding, [rows[-1].key_id]) if more else None
    return page_response(request, page_body([orjson.dumps(key_fields(row)) for row in rows], following), following, {})


@router.get("/{key_id}", summary="Read an API key", response_model=ApiKeyOut, responses=responses(*_READ, NotFound))
async def read(request: Request, caller: Admin, key_id: str) -> Response:
    """One API key, without its secret."""
    row = await service(request, Authenticator).keys.get(key_id)
    return Response(orjson.dumps(key_fields(row)), media_type="application/json")


@router.delete("/{key_id}", status_code=204, summary="Revoke an API key", responses=responses(*_WRITE, NotFound))
async def revoke(request: Request, caller: Admin, key_id: str) -> Response:
    """Ends an API key for good: at once in the process that answers, within 5 seconds in every other.

    It stays in the list with its `revoked_at`. Revoking it again changes nothing.
    """
    authenticator = service(request, Authenticator)
    await authenticator.keys.revoke(key_id)
    authenticator.forget()
    return Response(status_code=204)
