"""Builds the JSON of messages, as it is stored, from what a codec has decoded."""

from collections.abc import Sequence
from typing import Any

from app.codecs import UndecodableItem
from app.codecs.parts import Audio, File, Image, Part, Reasoning, Refusal, Text, parse_parts
from app.codecs.values import Json, as_text

MAX_NAME_LENGTH = 512
MAX_TYPE_LENGTH = 64
MAX_TOKENS = 10**12
_TEXT_TYPES = ("text", "input_text", "output_text")


def build_message(role: str, parts: Sequence[Json], calls: Sequence[Json] = (), **details: Any) -> Json:
    """A message of these parts, results of tools among them, and these calls.

    A single text becomes the content itself. Results alone make a message of role `tool`. Without parts there is no
    content.

    Args:
        role: who speaks.
        parts: as `part_json` and `tool_result` give them, or of an unknown kind, in order.
        calls: as `function_call` and `custom_call` give them.
        details: further fields, such as `type` and `model`; those that are None are left out.
    """
    message: Json = {"role": role}
    if parts and not calls and all(part.get("type") == "tool_result" for part in parts):
        message = _result_message(parts)
    else:
        message["content"] = build_content(parts)
        if calls:
            message["tool_calls"] = list(calls)
    return message | _without_none(**details)


def build_content(parts: Sequence[Json]) -> str | list[Json] | None:
    """The content of a message with these parts."""
    match parts:
        case [{"type": "text", "text": str(text), **rest}] if not rest:
            return text
    return list(parts) or None


def content_blocks(content: object, *path: str | int) -> list[Json]:
    """The blocks of an item's content, which is a text, a list of blocks or null. Raises UndecodableItem for others."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise UndecodableItem("it must be a text or a list of parts", *path)
    for index, block in enumerate(content):
        if not isinstance(block, dict):
            raise UndecodableItem("a part must be an object", *path, index)
    return content


def content_parts(content: object, *path: str | int) -> list[Json]:
    """The parts of an item's content, as `normalize_block` gives them. Raises UndecodableItem as `content_blocks`."""
    return [normalize_block(block) for block in content_blocks(content, *path)]


def normalize_block(block: Json) -> Json:
    """A block in the form that a message has it in; one of an unknown kind stays as it is."""
    parts = parse_parts([block])
    if parts:
        return part_json(parts[0])
    if block.get("type") in _TEXT_TYPES and block.get("text") == "":
        return {"type": "text", "text": ""}
    return block


def part_json(part: Part) -> Json:
    """A part in the form that a message has it in: that of Chat Completions, where that has one."""
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Refusal(text):
            return {"type": "refusal", "refusal": text}
        case Reasoning(text):
            return {"type": "reasoning", "text": text}
        case Image(url=str(url), detail=detail):
            return {"type": "image_url", "image_url": _without_none(url=url, detail=detail)}
        case Image(file_id=file_id, detail=detail):
            return {"type": "input_image"} | _without_none(file_id=file_id, detail=detail)
        case Audio(data, kind):
            return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}
        case File(file_id, data, url, filename):
            file = _without_none(file_id=file_id, file_data=data, file_url=url, filename=filename)
            return {"type": "file", "file": file}


def function_call(call_id: str, name: str, arguments: str) -> Json:
    """A call of a function; `arguments` is JSON as a text."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def custom_call(call_id: str, name: str, text: str) -> Json:
    """A call of a tool that takes any text."""
    return {"id": call_id, "type": "custom", "custom": {"name": name, "input": text}}


def tool_result(call_id: str, content: str | Sequence[Json] | None, *, is_error: bool = False) -> Json:
    """A result of a tool as a part; `content` is a text, or parts as `part_json` gives them."""
    result: Json = {"type": "tool_result", "tool_use_id": call_id}
    if content is not None:
        result["content"] = content if isinstance(content, str) else build_content(content) or []
    return result | ({"is_error": True} if is_error else {})


def tool_output(value: Any) -> str | list[Json]:
    """A value that a tool gave as the content of its result: parts for a list of known blocks, else a text."""
    if isinstance(value, list) and value:
        blocks = [parse_parts([block]) for block in value]
        if all(blocks):
            return [part_json(parts[0]) for parts in blocks]
    return as_text(value)


def short_name(value: object) -> str | None:
    """A value that can be a message's name or model; None where it cannot."""
    return value if isinstance(value, str) and value and len(value) <= MAX_NAME_LENGTH else None


def token_count(value: object) -> int | None:
    """A value that can be a message's tokens; None where it cannot."""
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else None


def _result_message(results: Sequence[Json]) -> Json:
    first = results[0]
    if len(results) == 1 and "is_error" not in first and len(first["tool_use_id"]) <= MAX_NAME_LENGTH:
        return {"role": "tool", "content": first.get("content", ""), "tool_call_id": first["tool_use_id"]}
    return {"role": "tool", "content": list(results)}


def _without_none(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value is not None}
