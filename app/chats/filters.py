"""The filters of chats by their metadata: `metadata.<name>=<value>` in a query."""

import re
from typing import Any

from starlette.requests import Request

from app.http.errors import BadRequest

_METADATA_NAME = re.compile(r"[^\"\\\x00-\x1f\ud800-\udfff]{1,128}")

METADATA_PARAMETER: dict[str, Any] = {
    "name": "metadata.<name>",
    "in": "query",
    "schema": {"type": "string"},
    "description": "Only chats whose metadata has this value under this name. For several names, several.",
}


def metadata_filters(request: Request) -> dict[str, str]:
    """The `metadata.<name>=<value>` filters of a request. Raises BadRequest (400) for one that finds nothing."""
    filters: dict[str, str] = {}
    for parameter, value in request.query_params.multi_items():
        if parameter.startswith("metadata."):
            name = parameter.removeprefix("metadata.")
            if not _METADATA_NAME.fullmatch(name) or name in filters or "\0" in value:
                raise BadRequest("A metadata filter is metadata.<name>=<value>, each name once.")
            filters[name] = value
    return filters
