"""Codec of LangChain: messages as langchain-core's `message_to_dict` gives them and `messages_from_dict` loads them.

`{"type": "human" | "ai" | "system" | "tool" | …, "data": {"content": …, …}}`. Content is a text or a list of blocks:
the standard ones of version 1 (langchain_core/messages/content.py), those of version 0, and those of the providers.
"""

from typing import Any

from app.codecs import Codec, UndecodableItem, register
from app.codecs.canonical import INSTRUCTION_ROLES, CanonicalMessage, ToolCall, ToolResult, encode_steps
from app.codecs.langchain_blocks import decode_block, encode_blocks
from app.codecs.message_builder import MessageBuilder
from app.codecs.message_json import build_content, short_name, token_count
from app.codecs.parts import Part, Refusal
from app.codecs.values import Json, dict_or_empty, parse_json_object

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool"}
_CHAT_ROLES = {"ai": "assistant", "model": "assistant"} | {role: role for role in ("assistant", "system", "developer")}
_OPENAI_ROLE = "__openai_role__"
"""Where langchain-openai keeps that a system message is a developer's."""


def decode(item: Json) -> Json:
    """The message of an item; one of a type that LangChain does not have keeps that type alone.

    Raises UndecodableItem for what has no type or no data, and for content that is neither a text nor a list.
    """
    kind, data = item.get("type"), item.get("data")
    if not isinstance(kind, str) or not kind:
        raise UndecodableItem("a message of LangChain has a type", "type")
    if not isinstance(data, dict):
        raise UndecodableItem("a message of LangChain has its fields in data", "data")
    if kind.endswith("MessageChunk"):
        kind = kind.removesuffix("MessageChunk").lower()
    if kind not in _ROLES and kind != "chat":
        builder = MessageBuilder("assistant")
        builder.add_unsupported(kind)
        return builder.build()
    content = data.get("content")
    if not isinstance(content, str | list):
        raise UndecodableItem("the content of a message is a text or a list of blocks", "data", "content")
    builder = MessageBuilder(_role(kind, data), details=_details(kind, data))
    _decode_content(content, builder)
    if builder.role == "assistant":
        _decode_assistant(data, builder)
    if kind in ("tool", "function"):
        return _decode_result(kind, data, builder)
    return builder.build()


def encode(message: CanonicalMessage) -> list[Json]:
    """The items of a message: one for what is spoken, and one for each result."""
    items = encode_steps(message, _encode_speech, lambda step: [*map(_encode_result, step.results)])
    for index, item in enumerate(items):
        # LangChain's `add_messages` takes two messages with one id for one.
        message_id = message.fields.get("message_id")
        item["data"]["id"] = f"{message_id}-{index}" if index and message_id else message_id
    return items


def _role(kind: str, data: Json) -> str:
    if kind == "chat":
        return _CHAT_ROLES.get(str(data.get("role")).lower(), "user")
    if kind == "system" and dict_or_empty(data.get("additional_kwargs")).get(_OPENAI_ROLE) == "developer":
        return "developer"
    return _ROLES[kind]


def _details(kind: str, data: Json) -> Json:
    usage, response = dict_or_empty(data.get("usage_metadata")), dict_or_empty(data.get("response_metadata"))
    name = data.get("name")
    if kind == "chat" and not name and data.get("role") not in ("user", "human", *_CHAT_ROLES):
        name = data.get("role")
    return {
        "name": short_name(name),
        "model": short_name(response.get("model_name") or response.get("model") or response.get("model_id")),
        "input_tokens": token_count(usage.get("input_tokens")),
        "output_tokens": token_count(usage.get("output_tokens")),
    }


def _decode_content(content: Any, builder: MessageBuilder) -> None:
    if isinstance(content, str):
        if content:
            builder.add_text(content)
        return
    for index, block in enumerate(content):
        if isinstance(block, str):
            builder.add_text(block)
        elif isinstance(block, dict):
            decode_block(block, builder)
        else:
            raise UndecodableItem("a block of content is a text or an object", "data", "content", index)


def _decode_assistant(data: Json, builder: MessageBuilder) -> None:
    """What LangChain keeps of an answer outside its content. A call that stands in the content, too, is taken once."""
    extra = dict_or_empty(data.get("additional_kwargs"))
    has_reasoning = any(part["type"] == "reasoning" for part in builder.parts)
    if not has_reasoning and (reasoning := extra.get("reasoning_content")):
        builder.add_reasoning(reasoning)
        builder.parts.insert(0, builder.parts.pop())
    builder.add_refusal(extra.get("refusal"))
    content_calls, builder.calls = builder.calls, []
    for call in [*_objects(data.get("tool_calls")), *_objects(data.get("invalid_tool_calls"))]:
        builder.add_call(call.get("id"), call.get("name"), call.get("args"))
    if not builder.calls:
        for call in _objects(extra.get("tool_calls")):
            function = dict_or_empty(call.get("function"))
            builder.add_call(call.get("id"), function.get("name"), function.get("arguments"))
    if not builder.calls and not content_calls:
        function = dict_or_empty(extra.get("function_call"))
        builder.add_call(None, function.get("name"), function.get("arguments"))
    known_ids = {call["id"] for call in builder.calls}
    builder.calls += [call for call in content_calls if call["id"] not in known_ids]


def _decode_result(kind: str, data: Json, builder: MessageBuilder) -> Json:
    call_id = data.get("tool_call_id") if kind == "tool" else None
    content = build_content(builder.parts) or ""
    result = MessageBuilder("tool", details=builder.details)
    result.add_result(call_id, data.get("name"), content, is_error=data.get("status") == "error")
    return result.build()


def _encode_speech(message: CanonicalMessage) -> Json:
    if message.role == "assistant":
        return _encode_ai(message)
    kind = "system" if message.role in INSTRUCTION_ROLES else "human"
    data = _data(kind, message, message.parts)
    if message.role == "developer":
        data["additional_kwargs"][_OPENAI_ROLE] = "developer"
    return {"type": kind, "data": data}


def _encode_ai(step: CanonicalMessage) -> Json:
    refusal = step.parts[-1] if step.parts and isinstance(step.parts[-1], Refusal) else None
    data = _data("ai", step, step.parts[:-1] if refusal else step.parts)
    if refusal:
        data["additional_kwargs"]["refusal"] = refusal.text
    model = step.fields.get("model")
    if model:
        data["response_metadata"]["model_name"] = model
    calls = [_encode_call(call) for call in step.calls]
    data["tool_calls"] = [call for call in calls if call["type"] == "tool_call"]
    data["invalid_tool_calls"] = [call for call in calls if call["type"] == "invalid_tool_call"]
    data["usage_metadata"] = _usage(step.fields)
    return {"type": "ai", "data": data}


def _encode_call(call: ToolCall) -> Json:
    """A call, as an invalid one where a function's arguments are no object."""
    if not call.custom and parse_json_object(call.arguments) is None:
        return {"name": call.name, "args": call.arguments, "id": call.id, "error": None, "type": "invalid_tool_call"}
    return {"name": call.name, "args": call.arguments_object(), "id": call.id, "type": "tool_call"}


def _usage(fields: Json) -> Json | None:
    input_tokens, output_tokens, tokens = (fields.get(name) for name in ("input_tokens", "output_tokens", "tokens"))
    if input_tokens is None and output_tokens is None:
        return None
    usage = {"input_tokens": input_tokens or 0, "output_tokens": output_tokens or 0}
    return usage | {"total_tokens": sum(usage.values()) if tokens is None else tokens}


def _encode_result(result: ToolResult) -> Json:
    data = _data("tool", result.message, result.parts)
    data["name"] = result.tool_name
    data |= {"tool_call_id": result.call_id, "artifact": None, "status": "error" if result.is_error else "success"}
    return {"type": "tool", "data": data}


def _data(kind: str, message: CanonicalMessage, parts: tuple[Part, ...]) -> Json:
    return {
        "content": encode_blocks(parts),
        "additional_kwargs": {},
        "response_metadata": {},
        "type": kind,
        "name": message.fields.get("name"),
        "id": None,
    }


def _objects(value: Any) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


register(Codec("langchain", decode, encode))
