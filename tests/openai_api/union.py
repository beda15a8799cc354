"""Items of every type in the union of OpenAI's client, made from its own models."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from openai.types.conversations.conversation_item import ConversationItem
from pydantic import BaseModel

Json = dict[str, Any]
MODELS: tuple[type[BaseModel], ...] = get_args(get_args(ConversationItem)[0])
# Deeper than this, the smallest value does: filters of tools hold filters.
_DEEP = 5
# What the client can read there, but not send.
_ROLES = ("user", "assistant", "system", "developer")


def kind_of(model: type[BaseModel]) -> str:
    """The `type` of the items of a model."""
    kind: str = get_args(model.model_fields["type"].annotation)[0]
    return kind


def items(model: type[BaseModel]) -> Iterator[Json]:
    """Items of a model: the smallest one, then several that together have each field, and each kind of value in it."""
    for item in _objects(model, 0):
        if item.get("role", "user") in _ROLES:
            yield item


def _objects(model: type[BaseModel], depth: int) -> Iterator[Json]:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    # A field that is not required may be said to be nothing; mostly it is not there at all.
    needed = {name: next(_values(field.annotation, depth + 1)) for name, field in fields.items() if field.is_required()}
    yield needed
    if depth > _DEEP:
        return
    values = {name: [*_values(field.annotation, depth + 1)] for name, field in fields.items()}
    for number in range(max(map(len, values.values()), default=0)):
        yield {name: some[number % len(some)] for name, some in values.items()}


def _values(annotation: Any, depth: int) -> Iterator[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _values(arguments[0], depth)
    elif origin is Literal:
        yield from arguments[: 1 if depth > _DEEP else None]
    elif origin in (Union, UnionType):
        for argument in sorted(arguments, key=lambda one: one is NoneType):
            yield from _values(argument, depth)
    elif origin is list:
        if depth > _DEEP:
            yield []
        else:
            yield [*_values(arguments[0], depth + 1)]
            yield []
    elif origin is dict:
        yield dict.fromkeys(["a"], next(_values(arguments[1], depth + 1)))
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _objects(annotation, depth)
    elif annotation is NoneType:
        yield None
    else:
        yield {str: "text", int: 3, float: 0.5, bool: True}.get(annotation, {"any": ["thing", 1, None]})
