"""Exceptions of the client.

    ChatkeepError
      + ConnectionFailed          no response, or not all of it
      + UnexpectedAnswer          a response that Chatkeep does not give
      + ApiError                  a response of 300 and above; `status`, `title`, `detail`, `problem`
        - BadRequest              400
          · InvalidCursor         400
        - Unauthorized            401
        - Forbidden               403
        - NotFound                404
        - Conflict                409
        - Gone                    410
        - PreconditionFailed      412
        - BodyTooLarge            413
        - UnsupportedMediaType    415
        - Unprocessable           422
        - TooManyRequests         429
        - ServerError             500 and above
          · Unavailable           503
          · StorageFull           507

See `docs/errors.md` for what each one means.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

_PROBLEM = "urn:chatkeep:problem:"


class ChatkeepError(Exception):
    """The base class of the client's exceptions."""


class ConnectionFailed(ChatkeepError):
    """No response came, or not all of it. It is not known whether a write was done, unless it could be sent again."""


class UnexpectedAnswer(ChatkeepError):
    """A response that Chatkeep does not give: another program listens there, or a proxy stands in between."""


class ApiError(ChatkeepError):
    """The service responded with an error.

    `problem` is the whole problem document (RFC 9457): its `errors` say what is wrong where, and that of a
    conflict has more fields, such as `holder` and `until`. `request_id` finds the request in the service's log.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.problem = dict(problem)
        self.title = str(problem.get("title") or f"Status {status}")
        self.detail = str(problem.get("detail") or "")
        self.retry_after = (headers or {}).get("retry-after")
        self.request_id = (headers or {}).get("x-request-id")
        super().__init__(status, self.problem, headers)

    @property
    def type(self) -> str:
        """The kind of problem, such as `conflict`; empty where something else than the service answered."""
        kind = str(self.problem.get("type") or "")
        return kind.removeprefix(_PROBLEM) if kind.startswith(_PROBLEM) else ""

    def __str__(self) -> str:
        locations = [f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}" for error in self._errors()]
        text = f"{self.status} {self.title}"
        if self.detail:
            text += f": {self.detail}"
        return f"{text} ({'; '.join(locations)})" if locations else text

    def _errors(self) -> Iterator[dict[str, Any]]:
        # A proxy in between may have sent JSON of its own.
        errors = self.problem.get("errors")
        for error in errors if isinstance(errors, list) else ():
            if isinstance(error, dict) and isinstance(error.get("loc"), list) and "msg" in error:
                yield error


class BadRequest(ApiError):
    """400: the request is invalid."""


class InvalidCursor(BadRequest):
    """400: a cursor that is damaged, or of another list, filter or user."""


class Unauthorized(ApiError):
    """401: no key or token, or not a valid one."""


class Forbidden(ApiError):
    """403: a scope is missing, or the key may not act for that user."""


class NotFound(ApiError):
    """404: it does not exist, is in the trash, or is another user's."""


class Conflict(ApiError):
    """409: a key is in use, somebody else holds the turn, or text of an answer is missing."""


class Gone(ApiError):
    """410: a cursor is older than the changes that are kept."""


class PreconditionFailed(ApiError):
    """412: it changed since it was read."""


class BodyTooLarge(ApiError):
    """413: the body is larger than the service takes."""


class UnsupportedMediaType(ApiError):
    """415: the service does not accept this type of body."""


class Unprocessable(ApiError):
    """422: a body or parameter is invalid; `problem["errors"]` says where."""


class TooManyRequests(ApiError):
    """429: too many requests."""


class ServerError(ApiError):
    """500 and above: the service, or a proxy before it, is at fault."""


class Unavailable(ServerError):
    """503: overloaded, or its database is out of reach."""


class StorageFull(ServerError):
    """507: the disk of the database is full; nothing was stored."""


_ERROR_CLASSES: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    412: PreconditionFailed,
    413: BodyTooLarge,
    415: UnsupportedMediaType,
    422: Unprocessable,
    429: TooManyRequests,
    503: Unavailable,
    507: StorageFull,
}


def api_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The exception for an error response. One that is no problem document, such as a proxy's page, has no detail."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    if problem.get("type") == f"{_PROBLEM}invalid-cursor":
        return InvalidCursor(status, problem, headers)
    error_class = _ERROR_CLASSES.get(status) or (ServerError if status >= 500 else ApiError)
    return error_class(status, problem, headers)
