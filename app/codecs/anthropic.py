"""Codec of Anthropic's Messages: messages, with `system` as a role of its own.

https://docs.anthropic.com/en/api/messages and the types of the `anthropic` package.
"""

import re
from collections.abc import Iterable

from app.codecs import Codec, UndecodableItem, register
from app.codecs.canonical import INSTRUCTION_ROLES, CanonicalMessage, ToolCall, ToolResult, split_steps
from app.codecs.message_json import (
    build_content,
    build_message,
    content_blocks,
    content_parts,
    function_call,
    normalize_block,
    short_name,
    token_count,
    tool_result,
)
from app.codecs.parts import File, Image, Part, encode_content, placeholder
from app.codecs.values import Json, as_text, dict_or_empty, parse_json

_ROLES = ("user", "assistant", "system")
_DATA_URL = re.compile(r"data:([a-z0-9.+-]+/[a-z0-9.+-]+);base64,([A-Za-z0-9+/]+={0,2})")
_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


def decode(item: Json) -> Json:
    """The message of an item: one of a request, or an answer with its model and its usage. Raises UndecodableItem."""
    role = item.get("role")
    if role not in _ROLES:
        raise UndecodableItem(f"it must be one of {', '.join(_ROLES)}", "role")
    parts: list[Json] = []
    calls: list[Json] = []
    for index, block in enumerate(content_blocks(item.get("content"), "content")):
        if role == "assistant" and (call := _decode_call(block, index)) is not None:
            calls.append(call)
        elif (result := _decode_result(block, index)) is not None:
            parts.append(result)
        else:
            parts += _decode_block(block)
    usage = dict_or_empty(item.get("usage"))
    tokens = {name: token_count(usage.get(name)) for name in ("input_tokens", "output_tokens")}
    return build_message(role, parts, calls, model=short_name(item.get("model")), **tokens)


def encode(message: CanonicalMessage) -> list[Json]:
    """The items of a message; results of tools are the user's."""
    if message.type != "message":
        return []
    return [item for step in split_steps(message) for item in _encode_step(step)]


def encode_text(part: Part) -> Json:
    """A part as a text block; one that is no text has a placeholder."""
    return {"type": "text", "text": placeholder(part)}


def encode_part(part: Part) -> Json:
    """A part of what the user or a tool said; what the API does not take has a text in its place."""
    match part:
        case Image(url=str(url)):
            source = _source(url)
            if source is not None and source.get("media_type", "image/png") in _IMAGE_TYPES:
                return {"type": "image", "source": source}
        case File(data=str(location)) | File(url=str(location)):
            source = _source(location)
            if source is not None and source.get("media_type", "application/pdf") == "application/pdf":
                return {"type": "document", "source": source}
    return encode_text(part)


def encode_input(call: ToolCall) -> Json:
    """A call's arguments as `input`, which must be an object; another value becomes its member `arguments`."""
    if call.custom:
        return {"input": call.arguments}
    value = parse_json(call.arguments)
    return value if isinstance(value, dict) else {"arguments": value}


def _encode_step(step: CanonicalMessage) -> list[Json]:
    results = [_encode_result(result) for result in step.results]
    if step.role == "tool":
        return [{"role": "user", "content": results}] if results else []
    is_empty_text = step.fields.get("content") == ""
    if step.role != "assistant":
        role = "system" if step.role in INSTRUCTION_ROLES else step.role
        content = _encode_parts(step.parts, user=role == "user")
        if results:
            content = [*results, *_as_blocks(content)]
        return [{"role": role, "content": content or ""}] if content or is_empty_text else []
    content = _encode_parts(step.parts, user=False)
    if step.calls:
        content = [*_as_blocks(content), *map(_encode_call, step.calls)]
    items: list[Json] = []
    if content or (is_empty_text and not results):
        items.append({"role": "assistant", "content": content or ""})
    return [*items, {"role": "user", "content": results}] if results else items


def _encode_parts(parts: Iterable[Part], *, user: bool) -> str | list[Json]:
    return encode_content(parts, _encode_titled if user else encode_text)


def _as_blocks(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _encode_titled(part: Part) -> Json:
    block = encode_part(part)
    if isinstance(part, File) and part.filename and block["type"] == "document":
        block["title"] = part.filename
    return block


def _encode_call(call: ToolCall) -> Json:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": encode_input(call)}


def _encode_result(result: ToolResult) -> Json:
    block: Json = {"type": "tool_result", "tool_use_id": result.call_id}
    if content := _encode_parts(result.parts, user=True):
        block["content"] = content
    return block | ({"is_error": True} if result.is_error else {})


def _source(url: str) -> dict[str, str] | None:
    """The source of an image or a document: its URL, or the bytes that a `data:` URL holds."""
    if url.startswith("https://"):
        return {"type": "url", "url": url}
    match = _DATA_URL.fullmatch(url)
    if match is None or len(match[2]) % 4:
        return None
    return {"type": "base64", "media_type": match[1], "data": match[2]}


def _decode_call(block: Json, index: int) -> Json | None:
    if block.get("type") != "tool_use":
        return None
    call_id, name, value = block.get("id"), block.get("name"), block.get("input")
    if not (isinstance(call_id, str) and call_id and isinstance(name, str) and name):
        raise UndecodableItem("a tool_use has an id and a name", "content", index)
    return function_call(call_id, name, as_text({} if value is None else value))


def _decode_result(block: Json, index: int) -> Json | None:
    if block.get("type") != "tool_result":
        return None
    call_id = block.get("tool_use_id")
    if not isinstance(call_id, str):
        raise UndecodableItem("it must be a text", "content", index, "tool_use_id")
    content = block.get("content")
    if not isinstance(content, str | None):
        blocks = content_blocks(content, "content", index, "content")
        content = build_content([part for inner in blocks for part in _decode_block(inner)])
    return tool_result(call_id, content, is_error=block.get("is_error") is True)


def _decode_block(block: Json) -> list[Json]:
    """The parts of a block; a document or a search result that is made of blocks has those of them."""
    match block:
        case {"type": "document", "source": {"type": "content", "content": inner}}:
            pass
        case {"type": "search_result", "content": inner}:
            pass
        case _:
            return [normalize_block(block)]
    try:
        parts = content_parts(inner)
    except UndecodableItem:
        return [block]
    title = block.get("title")
    return [*([{"type": "text", "text": title}] if isinstance(title, str) and title else []), *parts]


register(Codec("anthropic", decode, encode))
