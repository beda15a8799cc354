"""What a message says of what every codec can say: texts, tool calls, results, and the images of users."""

from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from app.codecs.canonical import ToolCall, canonical_message
from app.codecs.parts import Image, Refusal, Text
from tests.callers import Json


@dataclass
class Facts:
    """What is said. The texts are those of users, assistants and instructions; images are those of users by https."""

    texts: list[str] = field(default_factory=list)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    results: list[tuple[str, list[str]]] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    def __iadd__(self, other: "Facts") -> Self:
        self.texts += other.texts
        self.calls += other.calls
        self.results += other.results
        self.images += other.images
        return self

    def must_be_in(self, there: "Facts") -> None:
        """Checks that all of it is there, in its order; texts may have been joined, and others put between them."""
        in_order(self.texts, there.texts)
        # Calls come in the order of their steps; what is no object may be said as one, and behind those that are.
        ours, theirs = (sorted(calls, key=lambda call: call[:2]) for calls in (self.calls, there.calls))
        assert [call[:2] for call in ours] == [call[:2] for call in theirs]
        others = iter(theirs)
        assert all(mine in others for mine in ours if mine[2] is not ...)
        assert [call_id for call_id, _ in self.results] == [call_id for call_id, _ in there.results]
        for (_, told), (_, heard) in zip(self.results, there.results, strict=True):
            in_order(told, heard)
        assert self.images == there.images


def facts(message: Json) -> Facts:
    """What a stored message says."""
    one = canonical_message(message)
    found = Facts(texts=[part.text for part in one.parts if isinstance(part, Text | Refusal)])
    found.calls = [(call.id, call.name, given(call)) for call in one.calls]
    for result in one.results:
        texts = [compact(part.text) for part in result.parts if isinstance(part, Text | Refusal)]
        found.results.append((result.call_id, texts))
    if one.role == "user":
        found.images = [part.url for part in one.parts if isinstance(part, Image) and is_web(part.url)]  # type: ignore[misc]
    return found


def is_web(url: str | None) -> bool:
    """Whether an image is elsewhere."""
    return url is not None and url.startswith("https://")


def given(call: ToolCall) -> Any:
    """What a call was given, as a value. Codecs that know only functions, or only objects, say the rest otherwise."""
    if call.custom:
        return {"input": call.arguments}
    try:
        value = orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        value = call.arguments
    return value if isinstance(value, dict) else ...


def compact(text: str) -> str:
    """A text, as it is written by some codecs, in which results are values: JSON without its white space."""
    try:
        return orjson.dumps(orjson.loads(text)).decode()
    except orjson.JSONDecodeError:
        return text


def in_order(texts: list[str], there: list[str]) -> None:
    """Checks that texts are among others in their order."""
    whole, at = "\0".join(there), 0
    for text in texts:
        found = whole.find(text, at)
        assert found >= 0, (text, there)
        at = found + len(text)
