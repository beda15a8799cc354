"""Schemas of chunks, of completing and failing a message, and of the progress that a backend is told."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from app.messages.schemas import Content, ShortText, Tokens

MAX_CHUNK = 65_536

Offset = Annotated[
    int, Field(ge=0, le=2**31 - 1, description="Characters (Unicode code points) of the answer's text before this.")
]


class ChunkIn(BaseModel):
    """The next text of an answer. One that was sent already may be sent again; an empty one says only: still here."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"offset": 6, "text": "minutes in boiling"}]}
    )

    offset: Offset
    text: Annotated[str, Field(max_length=MAX_CHUNK)]


class Progress(BaseModel):
    """How far an answer has come, in characters. What is not stored yet would be lost with the process that has it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"received": 24, "stored": 6}]})

    received: int = Field(description="How far the service has the text: the `offset` of what to send next.")
    stored: int = Field(description="How far it is on disk: where to go on after the service was down.")


class _FinalFields(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    offset: Offset | None = Field(
        default=None,
        description="The length of the whole text, in characters: refused with 409 unless all of it is there.",
    )
    content: Content = Field(default=None, description="The whole content, instead of the text that was sent.")
    tool_calls: list[dict[str, Any]] | None = None
    model: ShortText | None = None
    tokens: Tokens | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    metadata: dict[str, Any] | None = Field(default=None, description="Merged into the message's (RFC 7396).")


_COMPLETED: dict[str, JsonValue] = {"offset": 31, "model": "gpt-5", "input_tokens": 12, "output_tokens": 9}
_FAILED: dict[str, JsonValue] = {"metadata": {"error": "the provider hung up"}}


class CompleteIn(_FinalFields):
    """An answer is complete. It says `offset`, or `content`: otherwise nobody could tell whether text is missing."""

    model_config = ConfigDict(json_schema_extra={"examples": [_COMPLETED]})

    @model_validator(mode="after")
    def _check_end(self) -> "CompleteIn":
        if self.offset is None and self.content is None:
            raise ValueError("say the offset at which the text ends, or the whole content")
        return self


class FailIn(_FinalFields):
    """An answer will not be completed; its text is kept as far as it is there."""

    model_config = ConfigDict(json_schema_extra={"examples": [_FAILED]})


class StreamQuery(BaseModel):
    """From where to follow an answer."""

    model_config = ConfigDict(extra="forbid")

    offset: Offset = 0
