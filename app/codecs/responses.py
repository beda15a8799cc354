"""Codec of OpenAI's Responses and Conversations: items, of input and of output.

https://platform.openai.com/docs/api-reference/responses/create and the types of the `openai` package.
"""

from collections.abc import Iterable

from app.codecs import Codec, UndecodableItem, register
from app.codecs.canonical import CanonicalMessage, ToolCall, ToolResult, split_steps
from app.codecs.chat_completions import IMAGE_URLS
from app.codecs.message_json import (
    MAX_TYPE_LENGTH,
    build_content,
    build_message,
    content_parts,
    custom_call,
    function_call,
    tool_result,
)
from app.codecs.parts import File, Image, Part, Reasoning, Refusal, Text, encode_content, placeholder
from app.codecs.values import Json

_ROLES = ("user", "assistant", "system", "developer")
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS = ("function_call_output", "custom_tool_call_output")


def decode(item: Json) -> Json:
    """The message of an item; for an item that no message can say, one of the item's type. Raises UndecodableItem."""
    kind = _type(item)
    if kind == "message":
        if item.get("role") not in _ROLES:
            raise UndecodableItem(f"it must be one of {', '.join(_ROLES)}", "role")
        return build_message(item["role"], content_parts(item.get("content"), "content"))
    if kind in _CALLS:
        return _decode_call(item, kind)
    if kind in _OUTPUTS:
        return _decode_output(item)
    if kind == "reasoning":
        return _decode_reasoning(item)
    role = item.get("role")
    if role not in (*_ROLES, "tool"):
        role = "tool" if kind.endswith("_output") else "assistant"
    return {"role": role, "type": kind[:MAX_TYPE_LENGTH]}


def encode(message: CanonicalMessage) -> list[Json]:
    """The items of a message: each call and each result is one."""
    if message.type != "message":
        return []
    return [item for step in split_steps(message) for item in _encode_step(step)]


def encode_input(parts: Iterable[Part]) -> str | list[Json]:
    """Parts as the content of an input item or as a tool's output."""
    return encode_content(parts, _input_part)


def encode_call(call: ToolCall) -> Json:
    """A tool call as an item."""
    kind = "custom_tool_call" if call.custom else "function_call"
    return {"type": kind, "call_id": call.id, "name": call.name, _CALLS[kind]: call.arguments}


def _input_part(part: Part) -> Json:
    """A part of an input item; what the API does not take has a text in its place."""
    match part:
        case Image(url=str(url), detail=detail) if url.startswith(IMAGE_URLS):
            return {"type": "input_image", "image_url": url, "detail": detail or "auto"}
        case Image(file_id=str(file_id), detail=detail):
            return {"type": "input_image", "file_id": file_id, "detail": detail or "auto"}
        case File(file_id=str(file_id)):
            return {"type": "input_file", "file_id": file_id}
        case File(data=str(data), filename=name):
            return {"type": "input_file", "file_data": data, "filename": name or "file"}
        case File(url=str(url)) if url.startswith(("https://", "http://")):
            return {"type": "input_file", "file_url": url}
    return {"type": "input_text", "text": placeholder(part)}


def _output_part(part: Part) -> Json:
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    return {"type": "output_text", "text": placeholder(part), "annotations": []}


def _encode_step(step: CanonicalMessage) -> list[Json]:
    calls = [encode_call(call) for call in step.calls]
    results = [_encode_result(result) for result in step.results]
    parts = [part for part in step.parts if not isinstance(part, Reasoning)]
    if not parts and step.fields.get("content") == "" and not (calls or results):
        parts = [Text("")]
    if not parts:
        return [*calls, *results]
    if step.role == "assistant":
        item = {"type": "message", "role": "assistant", "content": [_output_part(part) for part in parts]}
        return [item, *calls, *results]
    return [*results, {"type": "message", "role": step.role, "content": [_input_part(part) for part in parts]}]


def _encode_result(result: ToolResult) -> Json:
    return {"type": "function_call_output", "call_id": result.call_id, "output": encode_input(result.parts) or ""}


def _type(item: Json) -> str:
    kind = item.get("type")
    if kind is None:
        if "role" in item:
            return "message"
        if isinstance(item.get("id"), str):
            return "item_reference"
    if not isinstance(kind, str) or not kind:
        raise UndecodableItem("an item has a type, or a role where it is a message", "type")
    return kind


def _decode_call(item: Json, kind: str) -> Json:
    arguments = _CALLS[kind]
    for name in ("call_id", "name", arguments):
        if not isinstance(item.get(name), str) or (name != arguments and not item[name]):
            raise UndecodableItem("it must be a text", name)
    build_call = custom_call if kind == "custom_tool_call" else function_call
    return build_message("assistant", [], [build_call(item["call_id"], item["name"], item[arguments])])


def _decode_output(item: Json) -> Json:
    parts = content_parts(item.get("output"), "output")
    call_id = item.get("call_id")
    if call_id is not None and not isinstance(call_id, str):
        raise UndecodableItem("it must be a text", "call_id")
    content = build_content(parts)
    if not call_id:
        return {"role": "tool", "content": content}
    return build_message("tool", [tool_result(call_id, content)])


def _decode_reasoning(item: Json) -> Json:
    """Reasoning: what was thought, or else its summary. What is encrypted stays in the payload alone."""
    message: Json = {"role": "assistant", "type": "reasoning"}
    for name in ("content", "summary"):
        parts = content_parts(item.get(name), name)
        texts = [part["text"] for part in parts if part.get("type") in ("reasoning", "text")]
        if any(texts):
            message["content"] = [{"type": "reasoning", "text": text} for text in texts if text]
            break
    return message


register(Codec("responses", decode, encode))
