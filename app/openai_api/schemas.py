"""Conversations and items as they come in and go out."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from app.http.openapi import example

MAX_ITEMS = 20
MAX_PAIRS, MAX_NAME, MAX_VALUE = 16, 64, 512

Item = dict[str, Any]
Items = Annotated[list[Item], Field(max_length=MAX_ITEMS)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=MAX_NAME)], Annotated[str, Field(max_length=MAX_VALUE)]],
    Field(
        max_length=MAX_PAIRS, description=f"At most {MAX_PAIRS} texts by name: names ≤ {MAX_NAME}, texts ≤ {MAX_VALUE}."
    ),
]

HELLO: dict[str, JsonValue] = {"type": "message", "role": "user", "content": "How do I boil an egg?"}
_CONVERSATION = "conv_01932c071f3e70008000abcdef012345"
_CONVERSATION_OUT: dict[str, JsonValue] = {
    "id": _CONVERSATION,
    "object": "conversation",
    "created_at": 1769860800,
    "metadata": {"topic": "eggs"},
}
_ITEM: dict[str, JsonValue] = {
    "id": "msg_01932c07209c700080001234567890ab",
    "type": "message",
    "status": "completed",
    "role": "user",
    "content": [{"type": "input_text", "text": "How do I boil an egg?"}],
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ConversationIn(_Body):
    """A conversation to create, with what it begins with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"metadata": {"topic": "eggs"}, "items": [HELLO]}]})

    items: Items | None = Field(default=None, description="Items of the Responses API, stored together or not at all.")
    metadata: Metadata | None = None


class MetadataIn(_Body):
    """The metadata that a conversation gets."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"metadata": {"topic": "eggs"}}]})

    metadata: Metadata | None = Field(description="In the place of what there is.")


class ItemsIn(_Body):
    """Items to add at the end of a conversation."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [HELLO]}]})

    items: Annotated[list[Item], Field(min_length=1, max_length=MAX_ITEMS)]


class ConversationOut(BaseModel):
    """A conversation."""

    model_config = example(**_CONVERSATION_OUT)

    id: str
    object: Literal["conversation"]
    created_at: int = Field(description="Seconds since 1970.")
    metadata: dict[str, str]


class ConversationDeleted(BaseModel):
    """What is answered when a conversation was deleted."""

    model_config = example(id=_CONVERSATION, object="conversation.deleted", deleted=True)

    id: str
    object: Literal["conversation.deleted"]
    deleted: Literal[True]


class ItemOut(BaseModel):
    """An item: what it has besides depends on its type."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_ITEM]})

    id: str
    type: str


class ItemList(BaseModel):
    """Some items of a conversation."""

    model_config = example(object="list", data=[_ITEM], first_id=_ITEM["id"], last_id=_ITEM["id"], has_more=False)

    object: Literal["list"]
    data: list[ItemOut]
    first_id: str = Field(description="Empty where there is none.")
    last_id: str = Field(description="The `after` of what follows. Empty where there is none.")
    has_more: bool


class ItemQuery(BaseModel):
    """Which items of a conversation to list."""

    after: str | None = Field(default=None, description="Those after this item, in the order of the list.")
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = Field(default="desc", description="`desc`: those written last come first.")


INCLUDE: dict[str, Any] = {
    "name": "include[]",
    "in": "query",
    "required": False,
    "description": "Taken for the sake of clients: items always come with all that they have.",
    "schema": {"type": "array", "items": {"type": "string"}},
}
"""The parameter `include[]`, of which nothing depends."""
