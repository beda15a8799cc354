"""Token counter: the tokens of a message, those stored with it or else counted offline with o200k of OpenAI.

A count is what the text takes and what a provider adds around it; other providers' models differ by some per cent.
"""

from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any, Protocol

from app.codecs.canonical import CanonicalMessage
from app.codecs.parts import Audio, File, Image, Part, Refusal, Text
from app.context.groups import MessageGroup

# The vocabulary holds Python's lock while it counts: 32 Ki characters take it two milliseconds.
_AT_ONCE = 32 * 1024
# Around each message: who speaks, where it begins and ends. (OpenAI's cookbook, "How to count tokens with tiktoken")
PER_MESSAGE = 3
PER_CALL = 3
# Upper ends of what providers ask for one image; what is in a file or a recording can only be guessed by its size.
PER_IMAGE = 1600
PER_SMALL_IMAGE = 85
PER_FILE = 1600
_FILE_CHARACTERS = 100_000
_AUDIO_CHARACTERS_PER_TOKEN = 1_500


class _Vocabulary(Protocol):
    """What is used of bpe_openai's tokenizer."""

    def count_till_limit(self, text: str, token_limit: int) -> int | None:
        """The tokens of a text; None if there are more than `token_limit`."""


@lru_cache(1)
def _vocabulary() -> _Vocabulary:
    # Its compiled module alone: the package around it would read every vocabulary into Python objects when it is
    # imported, which takes half a second and 65 MB of each process, and none of that is used for counting.
    package = find_spec("bpe_openai")
    assert package is not None
    spec = PathFinder.find_spec("bpe_openai._bindings", package.submodule_search_locations)
    assert spec is not None
    assert spec.loader is not None
    bindings: Any = module_from_spec(spec)
    spec.loader.exec_module(bindings)
    vocabulary: _Vocabulary = bindings.tokenizer_for_encoding("o200k_base")
    return vocabulary


def count(text: str, limit: int) -> int:
    """The tokens of a text; something above `limit` as soon as there are more. Special tokens are plain text here."""
    vocabulary = _vocabulary()
    total = 0
    for start in range(0, len(text), _AT_ONCE):
        found = vocabulary.count_till_limit(text[start : start + _AT_ONCE], max(limit - total, 0))
        if found is None:
            return limit + 1
        total += found
    return total


def count_message(message: CanonicalMessage, limit: int) -> int:
    """The tokens of a message without what answers its calls; something above `limit` if there are more."""
    stored = _stored_count(message.fields)
    if stored is not None:
        return stored
    total = PER_MESSAGE
    name = message.fields.get("name")
    if isinstance(name, str) and name:
        total += 1 + count(name, limit)
    return _count_parts(message.parts, limit, total)


def count_group(group: MessageGroup, limit: int) -> int:
    """The tokens of a group, results included; something above `limit` if there are more."""
    total = 0
    for message in group.messages:
        if total > limit:
            return total
        total += count_message(message, limit - total)
    for answered in group.calls:
        if total > limit:
            return total
        call, result = answered.call, answered.result
        if _stored_count(answered.message.fields) is None:
            total += PER_CALL + count(call.name, limit - total)
            total += count(call.arguments, limit - total)
        stored = _stored_count(result.message.fields) if result.position is None else None
        total = _count_parts(result.parts, limit, total + PER_MESSAGE) if stored is None else total + stored
    return total


def _stored_count(message: dict[str, Any]) -> int | None:
    """The size that was stored with a message, in tokens.

    Of the usage of a model's answer only the output is its size: the input is all that it was asked with.
    """
    tokens = message.get("tokens")
    if tokens is None:
        tokens = message.get("output_tokens" if message["role"] == "assistant" else "input_tokens")
    return tokens if isinstance(tokens, int) else None


def _count_parts(parts: tuple[Part, ...], limit: int, total: int) -> int:
    for part in parts:
        if total > limit:
            break
        match part:
            case Text(text) | Refusal(text):
                total += count(text, limit - total)
            case Image(detail=detail):
                total += PER_SMALL_IMAGE if detail == "low" else PER_IMAGE
            case Audio(data=data):
                total += 1 + len(data) // _AUDIO_CHARACTERS_PER_TOKEN
            case File(data=data):
                total += PER_FILE * (1 + len(data or "") // _FILE_CHARACTERS)
    return total
