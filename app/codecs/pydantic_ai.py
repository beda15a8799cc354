"""Codec of Pydantic AI: `ModelMessage`s as its `ModelMessagesTypeAdapter` writes them.

`{"kind": "request", "parts": [{"part_kind": "user-prompt", …}, …]}` or `{"kind": "response", …}`: see
pydantic_ai/messages.py. A request is all that goes to the model at once, a response all that comes back.
"""

from typing import Any

from app.codecs import Codec, UndecodableItem, register
from app.codecs.canonical import INSTRUCTION_ROLES, CanonicalMessage, ToolCall, ToolResult, encode_steps
from app.codecs.message_builder import MessageBuilder
from app.codecs.message_json import short_name, token_count
from app.codecs.parts import Part, joined_text, placeholder
from app.codecs.pydantic_ai_content import decode_content, decode_output, encode_content, encode_content_part
from app.codecs.values import Json, as_text, dict_or_empty, parse_json, timestamp_from_iso

_FAILED = ("failed", "denied", "interrupted", "retried")


def decode(item: Json) -> Json:
    """The message of an item: a response is the assistant's, a request the user's, a tool's or the system's.

    A request of results alone is a tool's, one of system prompts alone the system's; system prompts that stand beside
    something else are left out. Raises UndecodableItem for what has no kind or no parts.
    """
    kind = item.get("kind")
    if kind not in ("request", "response"):
        raise UndecodableItem("the kind of a message of Pydantic-AI is request or response", "kind")
    parts = item.get("parts")
    if not isinstance(parts, list):
        raise UndecodableItem("a message of Pydantic-AI has a list of parts", "parts")
    for index, part in enumerate(parts):
        if not isinstance(part, dict) or not isinstance(part.get("part_kind"), str):
            raise UndecodableItem("a part of a message is an object with a part_kind", "parts", index)
    return _decode_request(item, parts) if kind == "request" else _decode_response(item, parts)


def encode(message: CanonicalMessage) -> list[Json]:
    """The items of a message; the results that an assistant's message holds are requests after the calls."""
    if message.role != "assistant":
        return _encode_requests(message)
    return encode_steps(
        message,
        _encode_response,
        lambda step: [_request(message, [_encode_result(result, message) for result in step.results])],
    )


def _decode_request(item: Json, parts: list[Json]) -> Json:
    kinds = {part["part_kind"] for part in parts}
    if kinds == {"system-prompt"}:
        builder = MessageBuilder("system")
        for part in parts:
            builder.add_text(part.get("content"))
    else:
        builder = MessageBuilder("user")
        for part in parts:
            _decode_part(part, builder)
    timestamps = (timestamp_from_iso(source.get("timestamp")) for source in [item, *parts])
    metadata = dict_or_empty(item.get("metadata")) or None
    builder.details = {"created_at": next(filter(None, timestamps), None), "metadata": metadata}
    return builder.build()


def _decode_response(item: Json, parts: list[Json]) -> Json:
    usage = dict_or_empty(item.get("usage"))
    builder = MessageBuilder("assistant")
    for part in parts:
        _decode_part(part, builder)
    builder.details = {
        "model": short_name(item.get("model_name")),
        "created_at": timestamp_from_iso(item.get("timestamp")),
        # Pydantic AI has 0 for what a provider does not count.
        "input_tokens": token_count(usage.get("input_tokens")) or None,
        "output_tokens": token_count(usage.get("output_tokens")) or None,
        "metadata": dict_or_empty(item.get("metadata")) or None,
    }
    return builder.build()


def _decode_part(part: Json, builder: MessageBuilder) -> None:
    content = part.get("content")
    match part["part_kind"]:
        case "user-prompt":
            decode_content(content, builder)
        case "text":
            builder.add_text(content)
        case "thinking":
            builder.add_reasoning(content)
        case "file":
            decode_content([content], builder)
        case "speech":
            _decode_speech(part, builder)
        case "tool-call" | "builtin-tool-call":
            builder.add_call(part.get("tool_call_id"), part.get("tool_name"), part.get("args"))
        case "tool-return" | "builtin-tool-return":
            failed = part.get("outcome") in _FAILED
            builder.add_result(part.get("tool_call_id"), part.get("tool_name"), decode_output(content), is_error=failed)
        case "retry-prompt" if part.get("tool_name"):
            builder.add_result(part.get("tool_call_id"), part["tool_name"], as_text(content or ""), is_error=True)
        case "retry-prompt" | "retry-feedback":
            builder.add_text(as_text(content or ""))
        case kind:
            builder.add_unsupported(kind)


def _decode_speech(part: Json, builder: MessageBuilder) -> None:
    """What was said aloud: its transcript, or else the recording."""
    if part.get("transcript"):
        builder.add_text(part["transcript"])
    else:
        decode_content([part.get("audio")], builder)


def _encode_requests(message: CanonicalMessage) -> list[Json]:
    if message.role in INSTRUCTION_ROLES:
        parts: list[Json] = [{"part_kind": "system-prompt", "content": joined_text(message.parts)}]
    else:
        parts = [_encode_result(result, message) for result in message.results]
        if message.parts or not parts:
            parts.append({"part_kind": "user-prompt", "content": encode_content(message.parts)})
    if not message.parts and not message.results and message.type != "message":
        return []
    return [_request(message, parts)]


def _request(message: CanonicalMessage, parts: list[Json]) -> Json:
    timestamp = _timestamp(message)
    # Pydantic AI gives a part without a timestamp that of its loading.
    request: Json = {"kind": "request", "parts": [part | timestamp for part in parts]} | timestamp
    return request | ({"metadata": message.fields["metadata"]} if message.fields.get("metadata") else {})


def _encode_response(step: CanonicalMessage) -> Json:
    fields = step.fields
    parts = [*map(_encode_part, step.parts), *map(_encode_call, step.calls)]
    response: Json = {"kind": "response", "parts": parts} | _timestamp(step)
    if fields.get("model"):
        response["model_name"] = fields["model"]
    if usage := {name: fields[name] for name in ("input_tokens", "output_tokens") if fields.get(name)}:
        response["usage"] = usage
    return response | ({"metadata": fields["metadata"]} if fields.get("metadata") else {})


def _encode_part(part: Part) -> Json:
    """A part of a response, which has no files but those that it holds."""
    kind, content = encode_content_part(part)
    if kind == "binary":
        return {"part_kind": "file", "content": content}
    if kind == "reasoning":
        return {"part_kind": "thinking", "content": content}
    return {"part_kind": "text", "content": content if isinstance(content, str) else placeholder(part)}


def _encode_call(call: ToolCall) -> Json:
    args = call.arguments_object() if call.custom else call.arguments
    return {"part_kind": "tool-call", "tool_name": call.name, "args": args, "tool_call_id": call.id}


def _encode_result(result: ToolResult, message: CanonicalMessage) -> Json:
    name = result.tool_name or next((call.name for call in message.calls if call.id == result.call_id), "tool")
    part = {"part_kind": "tool-return", "tool_name": name, "tool_call_id": result.call_id}
    part |= {"content": _encode_output(result.parts)}
    return part | ({"outcome": "failed"} if result.is_error else {})


def _encode_output(parts: tuple[Part, ...]) -> Any:
    content = encode_content(parts)
    if isinstance(content, str):
        return parse_json(content)
    return content if any(isinstance(part, dict) for part in content) else joined_text(parts)


def _timestamp(message: CanonicalMessage) -> Json:
    created_at = message.fields.get("created_at")
    return {"timestamp": created_at} if created_at else {}


register(Codec("pydantic_ai", decode, encode))
