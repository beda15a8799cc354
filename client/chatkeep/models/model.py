"""What every model of an answer is like."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from chatkeep.request import Answer

T = TypeVar("T")
M = TypeVar("M", bound="Model")

Item = dict[str, Any]
"""An item in the format of another API or library."""


class Model(BaseModel):
    """An answer. Fields that this version does not know are kept, so that a newer service breaks nothing."""

    # Built when first needed: importing the package is not the moment.
    model_config = ConfigDict(extra="allow", defer_build=True)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list. `next_cursor` asks for the next one, and is None on the last."""

    items: list[T]
    next_cursor: str | None = None
    total: int | None = None
    """How many there are in all, where that was asked for."""
    etag: str | None = None
    """The version of the chat that messages were read from: what `if_match` takes."""


def one(model: type[M]) -> Callable[[Answer], M]:
    """Reads an answer that is one model."""
    return lambda answer: model.model_validate_json(answer.body)


def some(model: type[M], name: str) -> Callable[[Answer], list[M]]:
    """Reads an answer that is a list of models under a name."""
    return lambda answer: [model.model_validate(item) for item in json.loads(answer.body)[name]]


def page(model: type[M]) -> Callable[[Answer], Page[M]]:
    """Reads a page of models."""

    def read(answer: Answer) -> Page[M]:
        value = json.loads(answer.body)
        items = [model.model_validate(item) for item in value["items"]]
        return Page(items, value.get("next_cursor"), value.get("total"), answer.headers.get("etag"))

    return read


def items(answer: Answer) -> Page[Item]:
    """Reads a page of items in another format."""
    value = json.loads(answer.body)
    return Page(value["items"], value.get("next_cursor"), etag=answer.headers.get("etag"))


def nothing(answer: Answer) -> None:
    """Reads an answer that says no more than that it is done."""
