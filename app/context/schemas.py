"""Schemas of the context routes: query parameters and responses."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.context.findings import Rule
from app.context.providers import PROVIDER_FORMATS
from app.http.openapi import example
from app.messages.schemas import MAX_BATCH, MAX_TOKENS

FORMATS = sorted(PROVIDER_FORMATS)


def _check_format(name: str) -> str:
    if name not in PROVIDER_FORMATS:
        raise ValueError(f"the formats are {', '.join(FORMATS)}")
    return name


class ContextQuery(BaseModel):
    """How much of a chat's active branch to give, and in which shape."""

    format: Annotated[str, AfterValidator(_check_format)] = Field(
        default="chat_completions", description="The provider's shape.", json_schema_extra={"enum": [*FORMATS]}
    )
    max_tokens: Annotated[int, Field(ge=0, le=MAX_TOKENS)] | None = Field(
        default=None, description="At most so many tokens, the instructions and the summary included."
    )
    max_turns: Annotated[int, Field(ge=1, le=MAX_BATCH)] | None = Field(
        default=None, description="At most the last N messages of the user with all that answers them."
    )


class ContextOut(BaseModel):
    """A context: fields to be passed on to the provider as they are, and what is in them."""

    model_config = ConfigDict(extra="allow") | example(
        format="chat_completions",
        messages=[{"role": "user", "content": "How do I boil an egg?"}],
        tokens=10,
        message_count=1,
        truncated=False,
        first_seq=1,
        last_seq=1,
    )

    format: str
    messages: list[dict[str, Any]] | None = Field(default=None, description="For Chat Completions and Anthropic.")
    input: list[dict[str, Any]] | None = Field(default=None, description="For Responses.")
    system: list[dict[str, Any]] | None = Field(default=None, description="For Anthropic.")
    tokens: int = Field(description="Of all of it: those stored with the messages, else counted.")
    message_count: int = Field(description="How many messages of the chat are in it, instructions among them.")
    truncated: bool = Field(description="Whether instructions or older messages were left out for want of room.")
    first_seq: int | None = Field(description="Of the conversation in it; null where there is none.")
    last_seq: int | None


class FindingOut(BaseModel):
    """Something that a provider would refuse."""

    rule: Rule
    message_id: str
    seq: int
    detail: str


class LintOut(BaseModel):
    """What a provider would refuse of a chat's active branch."""

    ok: bool = Field(description="Whether there is nothing.")
    items: list[FindingOut]
    truncated: bool = Field(description="Whether there is more: the newest are given.")


class RepairOut(BaseModel):
    """What was mended."""

    repaired: list[FindingOut]
