"""Error responses in OpenAI's format, so that its clients raise the exceptions that they raise for OpenAI.

Its clients retry 409, 429 and everything from 500 on. An error that a retry cannot mend is therefore a 400 here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import BaseModel, Field
from starlette.responses import Response

from app.http.errors import ERROR_FORMATS, Conflict, ErrorInfo, NotFound, Overloaded, Problem, Unauthorized

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


def openai_errors(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of the errors that a route can answer, by status."""
    entries: dict[int | str, dict[str, Any]] = {}
    for problem in problems:
        status = _status(problem.status)
        entry = entries.setdefault(status, {"model": ErrorOut, "description": problem.title})
        if problem.title not in entry["description"]:
            entry["description"] += f", or: {problem.title.lower()}"
        if "content" not in entry:
            example = _body(ErrorInfo(problem.status, problem.slug, problem.title, problem.default_detail))
            entry["content"] = {"application/json": {"example": example}}
        if problem is Overloaded:
            entry["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}
    return entries


def _openai_response(error_info: ErrorInfo) -> Response:
    return Response(orjson.dumps(_body(error_info)), _status(error_info.status), error_info.headers, "application/json")


ERROR_FORMATS[SEGMENT] = _openai_response


def _body(error_info: ErrorInfo) -> dict[str, Any]:
    status = _status(error_info.status)
    param, message = _first(error_info.errors) if error_info.errors else (None, error_info.detail)
    kind = "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": _code(error_info)}}


def _status(status: int) -> int:
    return 400 if status in _REFUSED else status


def _code(error_info: ErrorInfo) -> str | None:
    if "holder" in (error_info.extensions or {}):
        return "conversation_locked"
    if error_info.status in (400, 422, 500):
        return None
    return _CODES.get(error_info.slug, error_info.slug.replace("-", "_"))


def _first(errors: Sequence[Mapping[str, Any]]) -> tuple[str | None, str]:
    """The parameter that the first error is about, and its message."""
    path, message = errors[0]["loc"][1:], errors[0]["msg"]
    if not path:
        return None, message
    names = (f"[{name}]" if isinstance(name, int) else f".{name}" for name in path)
    param = "".join(names).removeprefix(".")
    return param, f"Invalid '{param}': {message}"
