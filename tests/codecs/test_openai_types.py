"""The two codecs of OpenAI against the types of its `openai` package: what is read, and what is written."""

from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses import ResponseInputItemParam
from pydantic import TypeAdapter, ValidationError

from app.codecs import CODECS, Codec, UndecodableItem, decode_item
from app.codecs.canonical import canonical_message
from tests.callers import Json
from tests.codecs.items import chat_completions, responses
from tests.codecs.test_contract import answered, every_codec, items
from tests.context.test_context import walk
from tests.messages.strategies import MESSAGES
from tests.profiles import examples

CHAT = TypeAdapter[Any](ChatCompletionMessageParam)
RESPONSES = TypeAdapter[Any](ResponseInputItemParam)


def is_of(type_: TypeAdapter[Any], item: Json) -> bool:
    """Whether an item is of a type of the package."""
    try:
        walk(type_.validate_python(item, strict=True))
    except ValidationError:
        return False
    return True


def kinds_of(union: Any) -> set[str]:
    """The types of items that a union knows."""
    found: set[str] = set()
    for member in get_args(union):
        hint = get_type_hints(member).get("type")
        while hint is not None and get_origin(hint) is not None and not isinstance(get_args(hint)[0], str):
            hint = get_args(hint)[0]
        found |= set(get_args(hint))
    return found


def test_there_is_an_example_of_every_type_of_item() -> None:
    kinds = kinds_of(ResponseInputItemParam)
    assert len(kinds) > 25
    assert kinds <= {item.get("type", "message") for item in responses.EXAMPLES}


def test_the_examples_are_as_the_package_has_them() -> None:
    known = [item for item in responses.EXAMPLES if item.get("type") != "telepathy_call"]
    for item in known:
        assert is_of(RESPONSES, item), item
    for item in chat_completions.EXAMPLES:
        # What an answer has, and what other providers add, no request has.
        if not {"annotations", "reasoning_content"} & item.keys():
            assert is_of(CHAT, item), item


def check_written(message: Json) -> None:
    """Checks that what a message is written as is of the package's types."""
    for item in CODECS["chat_completions"].encode(canonical_message(message)):
        assert is_of(CHAT, item), item
    for item in CODECS["responses"].encode(canonical_message(message)):
        # The package wants an answer to have the id and the state that the service gives it.
        whole = {"id": "msg_1", "status": "completed", **item} if item.get("role") == "assistant" else item
        assert is_of(RESPONSES, whole), item


@examples(fast=25, all=160)
@given(message=MESSAGES)
def test_what_is_written_is_as_the_package_has_it(message: Json) -> None:
    check_written(answered(message))


@every_codec
def test_what_others_said_is_written_as_the_package_has_it(codec: Codec) -> None:
    for item in items(codec).EXAMPLES:
        check_written(answered(decode_item(codec, item)[0]))


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": {"text": "x"}},
        {"role": "user", "content": ["x"]},
        {"role": "somebody", "content": "x"},
        {"content": "x"},
    ],
)
def test_what_is_no_message_of_the_package_is_none_of_ours(item: Json) -> None:
    assert not is_of(CHAT, item)
    for name in ("chat_completions", "responses", "anthropic"):
        with pytest.raises(UndecodableItem):
            CODECS[name].decode(item)
