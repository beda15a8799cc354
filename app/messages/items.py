"""Messages as items of another API or library, by the query's `format`: request bodies decoded, messages encoded."""

from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.requests import Request

from app.auth.dependencies import AuthenticatedHotRoute
from app.codecs import CODECS, Codec, UndecodableItem, decode_item, encode_message
from app.http.query import QueryReader, request_error
from app.messages.schemas import AppendQuery, DecodedMessage, MessageBatch

APPEND_QUERY = QueryReader(AppendQuery)

Path = tuple[str | int, ...]


class ItemHotRoute(AuthenticatedHotRoute):
    """A route that takes messages, or with `format` in its query items of another API or library."""

    async def read_body(self, request: Request) -> Any:
        """The body's value; with `format`, the messages of its items as models.

        Raises RequestValidationError (422) for what are no such items.
        """
        body = await super().read_body(request)
        if self.methods != {"POST"} or not request.scope["query_string"]:
            return body
        codec = APPEND_QUERY.read(request).format
        return body if codec is None else _decode_body(CODECS[codec], body)


def _decode_body(codec: Codec, body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    if not isinstance(items := body.get("messages"), list):
        return decode_message(codec, body, ("body",))
    messages = [
        decode_message(codec, item, ("body", "messages", index)) if isinstance(item, dict) else item
        for index, item in enumerate(items)
    ]
    try:
        return MessageBatch.model_validate(body | {"messages": messages})
    except ValidationError as error:
        raise request_error(error, ("body",)) from None


def decode_message(codec: Codec, item: dict[str, Any], path: Path) -> DecodedMessage:
    """The message of an item, to be stored. Raises RequestValidationError (422) for one at this path of the request."""
    try:
        message, payload = decode_item(codec, item)
    except UndecodableItem as error:
        detail = {"loc": (*path, *error.path), "msg": str(error), "type": "untranslatable"}
        raise RequestValidationError([detail]) from None
    try:
        return DecodedMessage.model_validate(message | {"payload": payload})
    except ValidationError as error:
        raise request_error(error, path) from None


def encode_items(message: bytes, payload: Any, codec: str) -> bytes:
    """A message (its JSON in the API) as `{"items": [...]}` in a codec."""
    return orjson.dumps({"items": encode_message(CODECS[codec], orjson.loads(message), payload)})
