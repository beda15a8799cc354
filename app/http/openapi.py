"""What routes say of themselves in the OpenAPI document: their errors, their headers, what they answer."""

from typing import Any

from pydantic import ConfigDict

from app.http import errors

READ_ERRORS = (errors.BadRequest, errors.Unauthorized, errors.Forbidden, errors.Unprocessable, errors.Overloaded)
WRITE_ERRORS = (*READ_ERRORS, errors.StorageFull)
BODY_ERRORS = (*WRITE_ERRORS, errors.BodyTooLarge, errors.UnsupportedMediaType)

ETAG_HEADER = {"ETag": {"schema": {"type": "string"}, "description": "The chat's version."}}
LINK_HEADER = {"Link": {"schema": {"type": "string"}, "description": '`rel="next"`: the page after this one.'}}
LOCATION_HEADER = {"Location": {"schema": {"type": "string"}, "description": "Where the chat is."}}


def example(**fields: Any) -> ConfigDict:
    """The configuration of a schema that shows one example, with these fields."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


def documented(model: Any, status: int = 200, *headers: dict[str, Any], description: str = "") -> dict[int | str, Any]:
    """The OpenAPI entry of a route's good answer, which it writes itself as bytes."""
    entry = {"model": model, "headers": {name: value for group in headers for name, value in group.items()}}
    return {status: {**entry, "description": description} if description else entry}
