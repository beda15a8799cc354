"""Exceptions of the client.

    ChatkeepError
      + ConnectionFailed          no answer, or not all of it
      + UnexpectedAnswer          an answer that is none of the service's
      + ApiError                  an answer of 300 and above; `status`, `title`, `detail`, `problem`
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
    """Anything that the service or the way to it made fail."""


class ConnectionFailed(ChatkeepError):
    """No answer came, or not all of it. Whether a write was done is not known, unless it could be sent again."""


class UnexpectedAnswer(ChatkeepError):
    """An answer that is none of the service's: another program listens there, or something stands in between."""


class ApiError(ChatkeepError):
    """The service answered that it did not do it.

    `problem` is the whole answer (RFC 9457): its `errors` say what is wrong where, and a conflict has more to say, such
    as `holder` and `until`. `request_id` finds the request in the service's log.
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
    """400: the request cannot be."""


class InvalidCursor(BadRequest):
    """400: a cursor that is damaged, or of another list, filter or user."""


class Unauthorized(ApiError):
    """401: no key or token, or not a valid one."""


class Forbidden(ApiError):
    """403: a scope is missing, or the key may not act for that user."""


class NotFound(ApiError):
    """404: it does not exist, is in the trash, or is another user's."""


class Conflict(ApiError):
    """409: a key that is taken, a turn that is somebody else's, an answer that is not all there."""


class Gone(ApiError):
    """410: a cursor of changes from before what is kept."""


class PreconditionFailed(ApiError):
    """412: it changed since it was read."""


class BodyTooLarge(ApiError):
    """413: the body is larger than the service takes."""


class UnsupportedMediaType(ApiError):
    """415: a body of a kind that the service does not take."""


class Unprocessable(ApiError):
    """422: a body or parameter that is not what the call takes; `problem["errors"]` says where."""


class TooManyRequests(ApiError):
    """429: too many requests."""


class ServerError(ApiError):
    """500 and above: the service, or what stands before it, is at fault."""


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
