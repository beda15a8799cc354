"""Conditional requests (RFC 9110, section 13): `If-None-Match` on reads, `If-Match` on writes."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Header
from starlette.requests import Request
from starlette.responses import Response

from app.http.errors import PreconditionFailed

_IF_MATCH = "Only if the chat still has this ETag; else 412."
IfMatch = Annotated[str | None, Header(alias="If-Match", description=_IF_MATCH)]
"""The header as a parameter of a route."""
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": _IF_MATCH,
    "schema": {"type": "string"},
}
"""The same in the OpenAPI document, for a hot route, which reads its headers from the request."""


def etags_of(header: str | None) -> Sequence[str] | None:
    """The ETags of an `If-Match` or `If-None-Match`, or `*`; None where there is no such header."""
    if header is None:
        return None
    if header.strip() == "*":
        return ["*"]
    return [tag for tag in map(str.strip, header.split(",")) if tag != "*" and " " not in tag]


def names(tags: Sequence[str], etag: str) -> bool:
    """Whether the ETags of a header have this one, or are `*`."""
    return etag in tags or "*" in tags


def not_modified(request: Request, etag: str) -> Response | None:
    """A 304 if the client has this version already."""
    tags = etags_of(request.headers.get("if-none-match"))
    if tags is not None and (names(tags, etag) or f"W/{etag}" in tags):
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": "private, no-cache"})
    return None


def require_match(if_match: str | None, etag: str) -> None:
    """Raises PreconditionFailed (412) if the client wants to change another version than this one."""
    tags = etags_of(if_match)
    if tags is not None and not names(tags, etag):
        raise PreconditionFailed
