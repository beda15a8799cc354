"""The application: its routes, its middlewares and how it answers errors. What lives behind them is `Services`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from app.api import ROUTERS
from app.http import docs, logs
from app.http.database_errors import FAILURES, problem_of
from app.http.errors import handle_http_exception
from app.http.idempotency import REPLAYED_HEADER
from app.http.middleware import RequestMiddleware
from app.http.routing import HotRoutes
from app.services import Services
from app.settings import Settings

_log = structlog.get_logger("chatkeep")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Services.open(app.state.settings, background=app.state.background) as services:
        app.state.services = services
        yield


async def _handle_failure(request: Request, error: Exception) -> Response:
    """Answers what a database could not do; what is no such thing goes on to be answered as a defect."""
    problem = problem_of(error)
    if problem is None:
        raise error
    _log.warning("the database failed", error=type(error).__name__, status=problem.status_code)
    return await handle_http_exception(request, problem)


def create_app(settings: Settings | None = None, *, background: bool = True) -> FastAPI:
    """The service. Its lifespan opens the database; the schema is expected to be current (`chatkeep migrate`).

    Without `background` it only answers: nothing is tidied up, and indexed and added up only what is asked for.
    """
    settings = settings or Settings()
    logs.configure(settings)
    # Telemetry is on by default, and doubles the cost of a small route.
    app = FastAPI(
        lifespan=_lifespan, docs_url=None, redoc_url=None, telemetry={"tracing": False, "metrics": False, "logs": False}
    )
    app.state.settings = settings
    app.state.background = background
    for router in ROUTERS:
        # Not include_router: FastAPI would match the routes of an included router twice for each request.
        app.router.routes.extend(router.routes)
    docs.install(app)
    app.add_exception_handler(HTTPException, handle_http_exception)
    app.add_exception_handler(RequestValidationError, handle_http_exception)
    for failure in (SQLAlchemyError, *FAILURES):
        app.add_exception_handler(failure, _handle_failure)
    app.add_middleware(HotRoutes, service=app)
    if settings.cors_origins:
        exposed = "Content-Disposition ETag Link Location Retry-After X-Request-Id".split()
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            # OpenAI's client alone sends a dozen of its own. None says who calls but Authorization, which no page of
            # another origin has.
            allow_headers=["*"],
            expose_headers=[*exposed, REPLAYED_HEADER],
            max_age=600,
        )
    app.add_middleware(RequestMiddleware)
    return app
