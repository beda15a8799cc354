"""Whether the service lives, and whether it can do its work."""

import asyncio

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel

from app.db import citus, migrations
from app.db.database import Database
from app.http.errors import Overloaded, responses
from app.http.services import service

_log = structlog.get_logger("chatkeep.health")
_ANSWERS_WITHIN_SECONDS = 5

router = APIRouter(tags=["service"])


class Health(BaseModel):
    """A service that answers."""

    status: str

    model_config = {"json_schema_extra": {"examples": [{"status": "ok"}]}}


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> Health:
    """Answers as long as the process does; it asks nothing of the database."""
    return Health(status="ok")


@router.get("/readyz", summary="Can it serve?", responses=responses(Overloaded))
async def readyz(request: Request) -> Health:
    """Ready when the database answers and its schema is the one this version was made for.

    On a Citus cluster the status is `degraded` while some of its machines are out of reach: their users get a 503, and
    the others are served all the same.
    """
    db = service(request, Database)
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_SECONDS):
            current = await migrations.is_current(db)
            machines = await citus.machines(db) if db.citus else ()
    except Exception as error:
        _log.warning("database does not answer", error=type(error).__name__)
        raise Overloaded("The database does not answer.", retry_after_seconds=2) from error
    if not current:
        raise Overloaded("The database's schema is not current: run chatkeep migrate.", retry_after_seconds=5)
    out_of_reach = [name for name, is_reached in machines if not is_reached]
    if out_of_reach:
        _log.warning("machines of the cluster are out of reach", machines=out_of_reach)
        if len(out_of_reach) == len(machines):
            raise Overloaded("No machine of the cluster answers.", retry_after_seconds=2)
    return Health(status="degraded" if out_of_reach else "ready")
