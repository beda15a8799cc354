"""Whether the service lives, and whether it can do its work."""

import asyncio

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel

from app.db import migrations
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
    """Ready when the database answers and its schema is the one this version was made for."""
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_SECONDS):
            current = await migrations.is_current(service(request, Database))
    except Exception as error:
        _log.warning("database does not answer", error=type(error).__name__)
        raise Overloaded("The database does not answer.", retry_after_seconds=2) from error
    if not current:
        raise Overloaded("The database's schema is not current: run chatkeep migrate.", retry_after_seconds=5)
    return Health(status="ready")
