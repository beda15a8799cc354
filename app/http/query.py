"""Reads the query of a hot route from the request: FastAPI's own way costs a quarter of a cached read."""

from functools import lru_cache
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import HTTPConnection

M = TypeVar("M", bound=BaseModel)
_CACHED = 1024
_MAX_CACHED_BYTES = 256


class QueryReader(Generic[M]):
    """Reads a query as a model. The models of the queries seen last are cached by their text."""

    def __init__(self, model: type[M]) -> None:
        self._model = model
        self._cached = lru_cache(_CACHED)(self._parse)

    def read(self, request: HTTPConnection) -> M:
        """What the request's query says, not to be changed. Raises RequestValidationError (422)."""
        text: bytes = request.scope["query_string"]
        return self._cached(text) if len(text) <= _MAX_CACHED_BYTES else self._parse(text)

    def parameters(self) -> list[dict[str, Any]]:
        """The model's fields as OpenAPI parameters."""
        fields = self._model.model_json_schema()["properties"]
        return [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": schema.pop("description", ""),
                "schema": schema,
            }
            for name, schema in fields.items()
        ]

    def _parse(self, text: bytes) -> M:
        try:
            return self._model.model_validate(dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True)))
        except ValidationError as error:
            raise request_error(error, ("query",)) from None


def request_error(error: ValidationError, path: tuple[str | int, ...]) -> RequestValidationError:
    """The error (422) of what was invalid at a path of the request."""
    details = error.errors(include_input=False, include_context=False)
    return RequestValidationError([{**detail, "loc": (*path, *detail["loc"])} for detail in details])
