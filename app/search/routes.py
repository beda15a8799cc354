"""Search route: `GET /search`."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.auth.dependencies import AuthenticatedRoute, Reader
from app.db.database import Database
from app.http.errors import InvalidCursor, NotFound, responses
from app.http.openapi import LINK_HEADER, WRITE_ERRORS, documented
from app.http.paging import Page, page_body, page_response
from app.http.services import optional_service, service
from app.search.indexer import SearchIndexer
from app.search.schemas import Hit, SearchQuery
from app.search.store import SearchStore

router = APIRouter(tags=["search"], route_class=AuthenticatedRoute)


@router.get(
    "/search",
    summary="Search messages and chats",
    response_class=Response,
    responses={**documented(Page[Hit], 200, LINK_HEADER), **responses(InvalidCursor, NotFound, *WRITE_ERRORS)},
)
async def search(request: Request, user: Reader, query: Annotated[SearchQuery, Query()]) -> Response:
    """Full text, over all that the caller has written until now: messages, and the titles and summaries of chats.

    It indexes what is waiting first, so that a full disk is in its way too.
    """
    indexer = optional_service(request, SearchIndexer)
    if indexer is None:
        raise NotFound("The search is turned off on this server.")
    items, next_cursor = await SearchStore(service(request, Database), indexer, user.user_id).page(query)
    return page_response(request, page_body(items, next_cursor), next_cursor, {"Cache-Control": "no-store"})
