"""Messages in the languages of other APIs and libraries, by the query's `format`: on their way in, and taken off."""

from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.requests import Request

from app.auth.dependencies import AuthenticatedHotRoute
from app.codecs import CODECS, Codec, Untranslatable, given, taken
from app.http.query import QueryReader
from app.messages.schemas import AppendQuery, MessageBatch, TranslatedMessage

APPEND_QUERY = QueryReader(AppendQuery)

Place = tuple[str | int, ...]


class TranslatingHotRoute(AuthenticatedHotRoute):
    """A route that takes messages, which its query's `format` may say are another API's or library's items."""

    async def read_body(self, request: Request) -> Any:
        """The body's value; where items are meant, the messages that they say, as models.

        Raises RequestValidationError (422) for what are no such items.
        """
        value = await super().read_body(request)
        if self.methods != {"POST"} or not request.scope["query_string"]:
            return value
        codec = APPEND_QUERY.read(request).format
        return value if codec is None else _read(CODECS[codec], value)


def _read(codec: Codec, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if not isinstance(items := value.get("messages"), list):
        return translated(codec, value, ("body",))
    place: Place = ("body", "messages")
    messages = [
        translated(codec, item, (*place, number)) if isinstance(item, dict) else item
        for number, item in enumerate(items)
    ]
    try:
        return MessageBatch.model_validate(value | {"messages": messages})
    except ValidationError as error:
        raise _refused(error, ("body",)) from None


def translated(codec: Codec, item: dict[str, Any], place: Place) -> TranslatedMessage:
    """An item of a codec as the message to be stored. Raises RequestValidationError (422), which names `place`."""
    try:
        message, payload = taken(codec, item)
    except Untranslatable as error:
        wrong = {"loc": (*place, *error.place), "msg": str(error), "type": "untranslatable"}
        raise RequestValidationError([wrong]) from None
    try:
        return TranslatedMessage.model_validate(message | {"payload": payload})
    except ValidationError as error:
        raise _refused(error, place) from None


def _refused(error: ValidationError, place: Place) -> RequestValidationError:
    return RequestValidationError(
        [{**one, "loc": (*place, *one["loc"])} for one in error.errors(include_input=False, include_context=False)]
    )


def as_items(message: bytes, payload: Any, codec: str) -> bytes:
    """A message (its JSON in the API) as `{"items": [...]}` in a codec."""
    return orjson.dumps({"items": given(CODECS[codec], orjson.loads(message), payload)})
