"""Schemas of a chat together with its messages."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app.chats.schemas import EXAMPLE_IN, EXAMPLE_PATCH, ChatDetails, ChatOut, ChatPatch
from app.messages.schemas import ANSWER, DISTINCT_KEYS, HELLO, MessageIn, MessageOut


class ChatIn(ChatDetails):
    """A chat with, if need be, the messages it begins with."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [EXAMPLE_IN, {"title": "Eggs", "conversation": [HELLO, ANSWER]}]}
    )

    conversation: Annotated[list[MessageIn], DISTINCT_KEYS] | None = Field(
        default=None, description="Its messages, in order."
    )

    def details(self) -> ChatDetails:
        """The chat without its messages."""
        return ChatDetails.model_construct(**{name: getattr(self, name) for name in ChatDetails.model_fields})


class ChatChange(ChatPatch):
    """A JSON merge patch (RFC 7396) of a chat's details, and where its head is."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_PATCH, {"head": 4}]})

    head: str | int | None = Field(
        default=None,
        description="The message that the active branch ends with from now on, by `message_id`, `seq` or `key:` and "
        "its key; with null it has none, and what is appended next begins at the root.",
    )

    def details(self) -> ChatPatch:
        """The patch of the details alone."""
        return ChatPatch.model_construct(**{name: getattr(self, name) for name in self.model_fields_set - {"head"}})


def _conversation_is_optional(schema: dict[str, Any]) -> None:
    schema["required"].remove("conversation")
    schema["examples"] = ChatOut.model_json_schema()["examples"]


class ChatWithConversation(ChatOut):
    """A chat; with `include=conversation` its messages too."""

    model_config = ConfigDict(json_schema_extra=_conversation_is_optional)

    conversation: list[MessageOut] | None = None
