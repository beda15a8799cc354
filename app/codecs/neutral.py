"""The neutral message: how a codec puts together what it has read."""

from collections.abc import Iterable, Sequence
from typing import Any

from app.codecs import Untranslatable
from app.codecs.parts import Audio, File, Image, Part, Reasoning, Refusal, Text, parts_of

Json = dict[str, Any]

LONGEST_NAME = 512
LONGEST_TYPE = 64
MOST_TOKENS = 10**12
_TEXTS = ("text", "input_text", "output_text")


def message(role: str, parts: Sequence[Json], calls: Sequence[Json] = (), **details: Any) -> Json:
    """A message of these parts, results of tools among them, and these calls.

    A single text is a plain one; what is results alone is of the role `tool`; with no parts there is no content.

    Args:
        role: who speaks.
        parts: as `part` and `result` give them, or of another kind, in order.
        calls: as `function_call` and `custom_call` give them.
        details: further fields, such as `type` and `model`; those that are None are left out.
    """
    made: Json = {"role": role}
    if parts and not calls and all(one.get("type") == "tool_result" for one in parts):
        made = _results(parts)
    else:
        made["content"] = content(parts)
        if calls:
            made["tool_calls"] = list(calls)
    return made | {name: value for name, value in details.items() if value is not None}


def content(parts: Sequence[Json]) -> str | list[Json] | None:
    """What the content of a message is that has these parts."""
    match parts:
        case [{"type": "text", "text": str(text), **rest}] if not rest:
            return text
    return list(parts) or None


def blocks_of(given: object, *place: str | int) -> list[Json]:
    """A content as it came, a text or a list of parts or null, as parts. Raises Untranslatable for any other."""
    if given is None:
        return []
    if isinstance(given, str):
        return [{"type": "text", "text": given}]
    if not isinstance(given, list):
        raise Untranslatable("it must be a text or a list of parts", *place)
    for index, block in enumerate(given):
        if not isinstance(block, dict):
            raise Untranslatable("a part must be an object", *place, index)
    return given


def known(blocks: Iterable[Json]) -> list[Json]:
    """Parts in the form that they have in a message; those of an unknown kind stay as they are."""
    return [_known(block) for block in blocks]


def part(one: Part) -> Json:
    """A part in the form that it has in a message: that of Chat Completions, where that has one."""
    match one:
        case Text(text):
            return {"type": "text", "text": text}
        case Refusal(text):
            return {"type": "refusal", "refusal": text}
        case Reasoning(text):
            return {"type": "reasoning", "text": text}
        case Image(url=str(url), detail=detail):
            return {"type": "image_url", "image_url": _given(url=url, detail=detail)}
        case Image(file_id=file_id, detail=detail):
            return {"type": "input_image"} | _given(file_id=file_id, detail=detail)
        case Audio(data, kind):
            return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}
        case File(file_id, data, url, filename):
            return {"type": "file", "file": _given(file_id=file_id, file_data=data, file_url=url, filename=filename)}


def function_call(call_id: str, name: str, arguments: str) -> Json:
    """A call of a function; `arguments` is JSON as a text."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def custom_call(call_id: str, name: str, given: str) -> Json:
    """A call of a tool that takes any text."""
    return {"id": call_id, "type": "custom", "custom": {"name": name, "input": given}}


def result(call_id: str, said: str | Sequence[Json] | None, *, is_error: bool = False) -> Json:
    """A result of a tool as a part; `said` is a text, or parts as `part` gives them."""
    made: Json = {"type": "tool_result", "tool_use_id": call_id}
    if said is not None:
        made["content"] = said if isinstance(said, str) else content(said) or []
    return made | ({"is_error": True} if is_error else {})


def short(value: object) -> str | None:
    """A value that a message can have as its name or model; None where it is none."""
    return value if isinstance(value, str) and value and len(value) <= LONGEST_NAME else None


def tokens(value: object) -> int | None:
    """A value that a message can have as its tokens; None where it is none."""
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _results(parts: Sequence[Json]) -> Json:
    first = parts[0]
    if len(parts) == 1 and "is_error" not in first and len(first["tool_use_id"]) <= LONGEST_NAME:
        return {"role": "tool", "content": first.get("content", ""), "tool_call_id": first["tool_use_id"]}
    return {"role": "tool", "content": list(parts)}


def _known(block: Json) -> Json:
    parts = parts_of([block])
    if parts:
        return part(parts[0])
    if block.get("type") in _TEXTS and block.get("text") == "":
        return {"type": "text", "text": ""}
    return block


def _given(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value is not None}
