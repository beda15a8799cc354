"""Errors as OpenAI tells them, so that its clients raise what they raise for OpenAI's own.

They retry 409 and 429 and whatever is 500 or more, however often that would be refused: what a retry cannot mend is a
400 here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import BaseModel, Field
from starlette.responses import Response

from app.http.errors import SHAPES, Conflict, Failure, NotFound, Overloaded, Problem, Unauthorized

SEGMENT = "v1"

_REFUSED = frozenset({409, 410, 412, 422})
_TYPES = {401: "authentication_error", 403: "permission_error"}
_CODES = {Unauthorized.slug: "invalid_api_key", NotFound.slug: "not_found", Conflict.slug: "conflict"}


class ErrorDetails(BaseModel):
    """What is wrong: for people, and for programs."""

    message: str
    type: str = Field(
        description="`invalid_request_error`, `authentication_error`, `permission_error`, `server_error`."
    )
    param: str | None = Field(description="What of the request is meant: `items[0].role`.")
    code: str | None = Field(description="What it is, where a program could care: `conversation_locked`.")


class ErrorOut(BaseModel):
    """An error, as OpenAI writes it."""

    error: ErrorDetails


def refused(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of the errors that a route can answer, by status."""
    entries: dict[int | str, dict[str, Any]] = {}
    for problem in problems:
        status = _status(problem.status)
        entry = entries.setdefault(status, {"model": ErrorOut, "description": problem.title})
        if problem.title not in entry["description"]:
            entry["description"] += f", or: {problem.title.lower()}"
        if "content" not in entry:
            example = _body(Failure(problem.status, problem.slug, problem.title, problem.default_detail))
            entry["content"] = {"application/json": {"example": example}}
        if problem is Overloaded:
            entry["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}
    return entries


def _tell(failure: Failure) -> Response:
    return Response(orjson.dumps(_body(failure)), _status(failure.status), failure.headers, "application/json")


SHAPES[SEGMENT] = _tell


def _body(failure: Failure) -> dict[str, Any]:
    status = _status(failure.status)
    param, message = _first(failure.errors) if failure.errors else (None, failure.detail)
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": _code(failure)}}


def _status(status: int) -> int:
    return 400 if status in _REFUSED else status


def _code(failure: Failure) -> str | None:
    if "holder" in (failure.extensions or {}):
        return "conversation_locked"
    if failure.status in (400, 422, 500):
        return None
    return _CODES.get(failure.slug, failure.slug.replace("-", "_"))


def _first(errors: Sequence[Mapping[str, Any]]) -> tuple[str | None, str]:
    """The parameter that the first error is about, and what is said of it."""
    place, said = errors[0]["loc"][1:], errors[0]["msg"]
    if not place:
        return None, said
    names = (f"[{name}]" if isinstance(name, int) else f".{name}" for name in place)
    param = "".join(names).removeprefix(".")
    return param, f"Invalid '{param}': {said}"
