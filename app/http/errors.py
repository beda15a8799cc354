"""HTTP errors: exceptions that know their status, and the one handler that answers them (RFC 9457).

Problem
├── InvalidCursor         400
├── BadRequest            400
├── Unauthorized          401
├── Forbidden             403
├── NotFound              404
├── Conflict              409
├── Gone                  410
├── PreconditionFailed    412
├── BodyTooLarge          413
├── UnsupportedMediaType  415
├── Unprocessable         422
├── Overloaded            503  with Retry-After
└── StorageFull           507
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

PROBLEM_JSON = "application/problem+json"


class ErrorItem(BaseModel):
    """One thing wrong with a request: where (`body`, `query` …, then names and positions) and what."""

    loc: list[str | int]
    msg: str
    type: str


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 writes it."""

    type: str = Field(examples=["urn:chatkeep:problem:not-found"])
    title: str
    status: int
    detail: str
    errors: list[ErrorItem] | None = None


class Problem(HTTPException):
    """An error that a caller is told of. `detail` is for people; nothing secret and no content belongs in it.

    `extensions` are members of its own (RFC 9457, 3.2), for programs.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    default_detail: ClassVar[str] = "Something went wrong on our side."

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: dict[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(self.status, detail or self.default_detail, headers)
        self.errors = list(errors)
        self.extensions = dict(extensions or {})


class InvalidCursor(Problem):
    status, slug, title = 400, "invalid-cursor", "Invalid cursor"
    default_detail = "The cursor is damaged, or belongs to another list, filter or user."


class BadRequest(Problem):
    status, slug, title = 400, "bad-request", "Bad request"
    default_detail = "The request cannot be understood."


class Unauthorized(Problem):
    status, slug, title = 401, "unauthorized", "Unauthorized"
    default_detail = "A valid API key or token is needed: Authorization: Bearer <token>."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Problem):
    status, slug, title = 403, "forbidden", "Forbidden"
    default_detail = "The caller may not do this."


class NotFound(Problem):
    # One detail for everything that is absent: what another user has looks like what does not exist.
    status, slug, title = 404, "not-found", "Not found"
    default_detail = "It does not exist, or it is not yours."


class Conflict(Problem):
    status, slug, title = 409, "conflict", "Conflict"
    default_detail = "This conflicts with what is stored."


class Gone(Problem):
    status, slug, title = 410, "gone", "Gone"
    default_detail = "The changes after this cursor are not kept any more: read the chats anew, and go on from now."


class PreconditionFailed(Problem):
    status, slug, title = 412, "precondition-failed", "Precondition failed"
    default_detail = "It was changed since the ETag in If-Match was read."


class BodyTooLarge(Problem):
    status, slug, title = 413, "body-too-large", "Body too large"
    default_detail = "The request body is larger than this server takes."


class UnsupportedMediaType(Problem):
    status, slug, title = 415, "unsupported-media-type", "Unsupported media type"
    default_detail = "Send JSON: Content-Type: application/json."


class Unprocessable(Problem):
    status, slug, title = 422, "unprocessable", "Unprocessable"
    default_detail = "The request is not what this route takes."


class Overloaded(Problem):
    status, slug, title = 503, "overloaded", "Overloaded"
    default_detail = "The server is busy; try again shortly."

    def __init__(self, detail: str | None = None, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)})


class StorageFull(Problem):
    status, slug, title = 507, "storage-full", "Storage full"
    default_detail = "The disk of the database is full, or refuses to be written; nothing was stored."


TITLES = {404: "Not found", 405: "Method not allowed"}


def responses(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of the errors that a route can answer, by status."""
    entries: dict[int | str, dict[str, Any]] = {}
    for problem in problems:
        example = _details(problem.slug, problem.title, problem.status, problem.default_detail)
        content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}, "example": example}}
        entry = entries.setdefault(problem.status, {"description": problem.title, "content": content})
        if problem.title not in entry["description"]:
            entry["description"] += f", or: {problem.title.lower()}"
        if problem is Overloaded:
            entry["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}
    return entries


def _details(slug: str, title: str, status: int, detail: str) -> dict[str, Any]:
    return {"type": f"urn:chatkeep:problem:{slug}", "title": title, "status": status, "detail": detail}


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An error before it is rendered: `slug` and `extensions` are for programs, `detail` for people."""

    status: int
    slug: str
    title: str
    detail: str
    errors: Sequence[Mapping[str, Any]] = ()
    headers: Mapping[str, str] | None = None
    extensions: Mapping[str, Any] | None = None


ERROR_FORMATS: dict[str, Callable[[ErrorInfo], Response]] = {}
"""Renders errors in another API's format, by the first segment of the path."""


def _problem_response(error_info: ErrorInfo) -> Response:
    body = _details(error_info.slug, error_info.title, error_info.status, error_info.detail)
    if error_info.errors:
        body["errors"] = error_info.errors
    body |= error_info.extensions or {}
    return Response(orjson.dumps(body), error_info.status, error_info.headers, PROBLEM_JSON)


async def handle_http_exception(request: Request, error: Exception) -> Response:
    """Answers a Problem, or an HTTPException of the framework, as problem+json or in the shape of the path's API."""
    segment = get_route_path(request.scope).split("/", 2)[1:2]
    render = ERROR_FORMATS.get(segment[0], _problem_response) if segment else _problem_response
    return render(_describe(error))


def _describe(error: Exception) -> ErrorInfo:
    if isinstance(error, Problem):
        return ErrorInfo(
            error.status, error.slug, error.title, error.detail, error.errors, error.headers, error.extensions
        )
    if isinstance(error, RequestValidationError):
        # `input` and `ctx` are left out: an error must not repeat content into logs and consoles.
        items = [{"loc": list(e["loc"]), "msg": e["msg"], "type": e["type"]} for e in error.errors()]
        return ErrorInfo(422, Unprocessable.slug, Unprocessable.title, Unprocessable.default_detail, items)
    if isinstance(error, HTTPException):
        title = TITLES.get(error.status_code, "Error")
        return ErrorInfo(error.status_code, title.lower().replace(" ", "-"), title, error.detail, headers=error.headers)
    return ErrorInfo(500, Problem.slug, Problem.title, Problem.default_detail)
