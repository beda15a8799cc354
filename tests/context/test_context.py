"""What is sent to a model: whatever the history, no provider refuses it; and it is the newest that fits."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses import ResponseInputItemParam
from pydantic import TypeAdapter

from app.context.providers import PROVIDER_FORMATS
from app.context.window import Context, ContextWindow, Limits
from tests.callers import Json
from tests.context.checkers import CHECKERS
from tests.context.histories import Generator
from tests.profiles import count

CHAT = TypeAdapter[Any](list[ChatCompletionMessageParam])
RESPONSES = TypeAdapter[Any](list[ResponseInputItemParam])


def context(messages: list[Json], summary: str | None = None, **limits: int) -> Context:
    """The context of a history."""
    window = ContextWindow(Limits(**limits))
    window.add_instructions([one for one in messages if one["role"] in {"system", "developer"}], summary)
    window.add(reversed(messages))
    return window.build()


def histories(seed: int, part: int = 0, parts: int = 1) -> Iterator[tuple[list[Json], str | None]]:
    """Up to thousands, or a part of them. A third is sound; some have a summary."""
    for number in range(seed + part, seed + count(fast=100, all=1600), parts):
        generator = Generator(number)
        messages = generator.sound() if number % 3 == 0 else generator.broken()
        yield messages, generator.random.choice([None, None, "They talked about eggs.", " "])


def walk(value: Any) -> None:
    """Validates what a TypeAdapter validates only once it is looked at."""
    if isinstance(value, dict):
        for one in value.values():
            walk(one)
    elif not isinstance(value, str | int | float | None):
        for one in value:
            walk(one)


def test_every_shape_has_a_checker() -> None:
    assert PROVIDER_FORMATS.keys() == CHECKERS.keys()


@pytest.mark.parametrize("part", range(4))
def test_no_provider_refuses_a_context(part: int, seed: int) -> None:
    for messages, summary in histories(seed, part, 4):
        whole = context(messages, summary)
        before: list[int] | None = None
        for max_tokens in range(whole.tokens + 2):
            found = context(messages, summary, max_tokens=max_tokens)
            assert found.tokens <= max_tokens
            signature = [found.tokens, *found.seqs]
            if signature != before:
                check(found)
            before = signature
        assert before == [whole.tokens, *whole.seqs]
        for max_turns in (1, 2):
            check(context(messages, summary, max_turns=max_turns))


def check(found: Context) -> None:
    """Checks a context in every shape; it can be written as JSON, too."""
    for name, write in PROVIDER_FORMATS.items():
        CHECKERS[name](orjson.loads(orjson.dumps(write(found))))


def test_the_openai_client_takes_the_messages(seed: int) -> None:
    for messages, summary in histories(seed):
        for limits in ({}, {"max_turns": 1}, {"max_tokens": 20}):
            found = context(messages, summary, **limits)
            walk(CHAT.validate_python(PROVIDER_FORMATS["chat_completions"](found)["messages"], strict=True))
            walk(RESPONSES.validate_python(PROVIDER_FORMATS["responses"](found)["input"], strict=True))
