"""The OpenAPI document, and `/docs` that shows it with no internet."""

from functools import partial

from fastapi import FastAPI

from app.http.docs.document import document
from app.http.docs.routes import router


def install(app: FastAPI) -> None:
    """Adds `/docs`, and completes the document at `app.openapi_url`; for a FastAPI with `docs_url=None`."""
    app.include_router(router)
    app.openapi = partial(document, app)  # type: ignore[method-assign]
