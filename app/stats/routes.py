"""Statistics routes: `GET /stats` and below."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.auth.dependencies import CALLER_PROBLEMS, Admin, AuthenticatedRoute, ReaderOrAdmin
from app.auth.owner_scope import OwnerQuery, owner_of
from app.db.database import Database
from app.db.timestamps import now
from app.http.errors import StorageFull, Unprocessable, responses
from app.http.services import service
from app.stats.calendar import series_steps, time_zone
from app.stats.counters import Counters
from app.stats.schemas import SeriesOut, SeriesQuery, StatsOut, StorageOut, TopOut, TopQuery
from app.stats.store import StatsStore

# Reading aggregates first what is not counted yet: that is a write.
_ERRORS = responses(*CALLER_PROBLEMS, Unprocessable, StorageFull)

router = APIRouter(prefix="/stats", tags=["statistics"], route_class=AuthenticatedRoute)


async def _current(request: Request, user_id: str | None) -> StatsStore:
    """The store, with everything counted that was written until now."""
    await service(request, Counters).catch_up(user_id)
    return StatsStore(service(request, Database))


def _json_response(value: Any) -> Response:
    return Response(orjson.dumps(value), headers={"Cache-Control": "private, no-cache"}, media_type="application/json")


@router.get("", summary="Totals", response_model=StatsOut, response_class=Response, responses=_ERRORS)
async def read_totals(request: Request, caller: ReaderOrAdmin, query: Annotated[OwnerQuery, Query()]) -> Response:
    """What the caller has: chats, messages and tokens, by role, model and platform too; the trash included.

    With the scope `admin`, what another user has (`user_id`), or all of them together (`all_users=true`).
    """
    user_id = owner_of(caller, query)
    store = await _current(request, user_id)
    return _json_response(await store.totals(user_id))


@router.get("/daily", summary="A series", response_model=SeriesOut, response_class=Response, responses=_ERRORS)
async def read_series(request: Request, caller: ReaderOrAdmin, query: Annotated[SeriesQuery, Query()]) -> Response:
    """What there was day by day, hour by hour or week by week, without holes: at most 5,000 steps.

    Days are those of the time zone `tz`, and have 23 or 25 hours where its clocks are changed.
    """
    user_id = owner_of(caller, query)
    steps = series_steps(query.from_, query.to, query.by, time_zone(query.tz), now())
    store = await _current(request, user_id)
    items = await store.series(user_id, steps)
    return _json_response({"by": query.by, "tz": query.tz, "items": items})


@router.get("/top", summary="The most active users", response_model=TopOut, response_class=Response, responses=_ERRORS)
async def read_top(request: Request, caller: Admin, query: Annotated[TopQuery, Query()]) -> Response:
    """The users who have the most messages, tokens or chats, with their totals."""
    store = await _current(request, None)
    return _json_response({"items": await store.top(query.by, query.limit)})


@router.get(
    "/storage", summary="What the database takes", response_model=StorageOut, response_class=Response, responses=_ERRORS
)
async def read_storage(request: Request, caller: Admin) -> Response:
    """The size of the database, of each table, and of each table's indexes, in bytes."""
    # Nothing is aggregated before: it must work when the disk is full, too.
    return _json_response(await StatsStore(service(request, Database)).storage())
