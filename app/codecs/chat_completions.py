"""Codec of OpenAI's Chat Completions: messages, with what other providers of that API add to them.

https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Iterable

from app.codecs import Codec, UndecodableItem, register
from app.codecs.canonical import CanonicalMessage, ToolCall, ToolResult, split_steps
from app.codecs.message_json import (
    build_content,
    build_message,
    content_parts,
    custom_call,
    function_call,
    short_name,
    tool_result,
)
from app.codecs.parts import Audio, File, Image, Part, Refusal, encode_content, placeholder
from app.codecs.values import Json, string_or_none

IMAGE_URLS = ("https://", "http://", "data:image/")
_ROLES = ("user", "assistant", "system", "developer", "tool", "function")
# Where other providers put what their models thought: DeepSeek and vLLM, then OpenRouter and Ollama.
_REASONING_FIELDS = ("reasoning_content", "reasoning")


def decode(item: Json) -> Json:
    """The message of an item. Raises UndecodableItem."""
    role = item.get("role")
    if role not in _ROLES:
        raise UndecodableItem(f"it must be one of {', '.join(_ROLES)}", "role")
    parts = content_parts(item.get("content"), "content")
    name = short_name(item.get("name"))
    if role in ("tool", "function"):
        return _decode_result(item, role, parts, name)
    if role != "assistant":
        return build_message(role, parts, name=name)
    if reasoning := next(filter(None, (string_or_none(item.get(field)) for field in _REASONING_FIELDS)), None):
        parts = [{"type": "reasoning", "text": reasoning}, *parts]
    if refusal := string_or_none(item.get("refusal")):
        parts.append({"type": "refusal", "refusal": refusal})
    return build_message(role, parts, _decode_calls(item), name=name)


def encode(message: CanonicalMessage) -> list[Json]:
    """The items of a message; results of tools are items of their own."""
    if message.type != "message":
        return []
    return [item for step in split_steps(message) for item in _encode_step(step)]


def encode_parts(parts: Iterable[Part], role: str) -> str | list[Json]:
    """Parts as the content of a message of this role, which takes only some kinds of parts."""
    return encode_content(parts, {"user": _user_part, "assistant": _assistant_part}.get(role, _text_part))


def encode_call(call: ToolCall) -> Json:
    """A tool call as an entry of `tool_calls`."""
    return (custom_call if call.custom else function_call)(call.id, call.name, call.arguments)


def _text_part(part: Part) -> Json:
    return {"type": "text", "text": placeholder(part)}


def _assistant_part(part: Part) -> Json:
    return {"type": "refusal", "refusal": part.text} if isinstance(part, Refusal) else _text_part(part)


def _user_part(part: Part) -> Json:
    """A part of what the user said; what the API does not take has a text in its place."""
    match part:
        case Image(url=str(url), detail=detail) if url.startswith(IMAGE_URLS):
            return {"type": "image_url", "image_url": {"url": url} | ({"detail": detail} if detail else {})}
        case Audio(data, "wav" | "mp3" as kind):
            return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}
        case File(file_id=str(file_id)):
            return {"type": "file", "file": {"file_id": file_id}}
        case File(data=str(data), filename=name):
            return {"type": "file", "file": {"file_data": data, "filename": name or "file"}}
    return _text_part(part)


def _encode_step(step: CanonicalMessage) -> list[Json]:
    results = [_encode_result(result) for result in step.results]
    if step.role == "tool":
        return results
    item: Json = {"role": step.role}
    if isinstance(step.fields.get("name"), str):
        item["name"] = step.fields["name"]
    content = encode_parts(step.parts, step.role)
    is_empty_text = step.fields.get("content") == ""
    if step.role != "assistant":
        # Results come first: they must follow the calls that they are of.
        return [*results, {**item, "content": content or ""}] if content or is_empty_text else results
    if step.calls:
        calls = [encode_call(call) for call in step.calls]
        return [{**item, "content": content or ("" if is_empty_text else None), "tool_calls": calls}, *results]
    return [{**item, "content": content or ""}, *results] if content or is_empty_text else results


def _encode_result(result: ToolResult) -> Json:
    return {"role": "tool", "tool_call_id": result.call_id, "content": encode_parts(result.parts, "tool") or ""}


def _decode_result(item: Json, role: str, parts: list[Json], name: str | None) -> Json:
    """A result. Those of functions have no call id: they get one made of the function's name, as their calls do."""
    call_id = item.get("tool_call_id") if role == "tool" else _function_call_id(item.get("name"))
    content = build_content(parts)
    if call_id is None:
        return {"role": "tool", "content": content} | ({"name": name} if name else {})
    if not isinstance(call_id, str):
        raise UndecodableItem("it must be a text", "tool_call_id")
    return build_message("tool", [tool_result(call_id, content)], name=name)


def _decode_calls(item: Json) -> list[Json]:
    calls = item.get("tool_calls") or []
    if not isinstance(calls, list):
        raise UndecodableItem("it must be a list", "tool_calls")
    for index, call in enumerate(calls):
        if not isinstance(call, dict):
            raise UndecodableItem("a tool call must be an object", "tool_calls", index)
    function = item.get("function_call")
    if isinstance(function, dict) and (call_id := _function_call_id(function.get("name"))):
        arguments = function.get("arguments")
        arguments = arguments if isinstance(arguments, str) else "{}"
        calls = [*calls, function_call(call_id, function["name"], arguments)]
    return calls


def _function_call_id(name: object) -> str | None:
    """An id for a call by the older `function_call`, which has none and stands alone in its message."""
    return f"call_{name}" if isinstance(name, str) and name else None


register(Codec("chat_completions", decode, encode))
