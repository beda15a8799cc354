"""Base class of the response models, pages, and the parsers of responses."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from chatkeep.call import Response

T = TypeVar("T")
M = TypeVar("M", bound="Model")

Item = dict[str, Any]
"""An item in the format of another API or library."""


class Model(BaseModel):
    """A response model. Unknown fields are kept, so that a newer service breaks nothing."""

    # Validators are built when first needed: they would make up most of the import time.
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


def parse_model(model: type[M]) -> Callable[[Response], M]:
    """A parser of a response that is one model."""
    return lambda response: model.model_validate_json(response.body)


def parse_list(model: type[M], name: str) -> Callable[[Response], list[M]]:
    """A parser of a response that has a list of models under a name."""
    return lambda response: [model.model_validate(item) for item in json.loads(response.body)[name]]


def parse_page(model: type[M]) -> Callable[[Response], Page[M]]:
    """A parser of a page of models."""

    def parse(response: Response) -> Page[M]:
        value = json.loads(response.body)
        items = [model.model_validate(item) for item in value["items"]]
        return Page(items, value.get("next_cursor"), value.get("total"), response.headers.get("etag"))

    return parse


def parse_items(response: Response) -> Page[Item]:
    """Parses a page of items in another format."""
    value = json.loads(response.body)
    return Page(value["items"], value.get("next_cursor"), etag=response.headers.get("etag"))


def parse_nothing(response: Response) -> None:
    """Parses a response that has no content."""
