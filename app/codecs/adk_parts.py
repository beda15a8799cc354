"""Parts of the content of Google's models, which ADK's events hold."""

from collections.abc import Mapping
from typing import Any

from app.codecs.canonical import ToolResult
from app.codecs.media import UNKNOWN_TYPE, Media, url_safe_base64
from app.codecs.message_builder import MessageBuilder
from app.codecs.message_json import build_content
from app.codecs.parts import Audio, File, Image, Part, Reasoning, Refusal, Text, joined_text, placeholder
from app.codecs.values import Json, as_text, parse_json_object, string_or_none


def get_field(value: Json, name: str) -> Any:
    """A field by its name in Python, or by its alias in the REST API."""
    if name in value:
        return value[name]
    first, *others = name.split("_")
    return value.get(first + "".join(other.capitalize() for other in others))


def decode_part(part: Json, builder: MessageBuilder) -> None:
    """Adds what a part says to a message; code that the model ran, and its output, as texts in fences."""
    text = part.get("text")
    if isinstance(text, str):
        if part.get("thought") is True:
            builder.add_reasoning(text)
        else:
            builder.add_text(text)
    for name, decode in _DECODERS.items():
        if isinstance(value := get_field(part, name), dict):
            decode(value, builder)


def encode_part(part: Part) -> Json:
    """A part of a message as one of Google's."""
    match part:
        case Text(text) | Refusal(text):
            return {"text": text}
        case Reasoning(text):
            return {"text": text, "thought": True}
        case Image() | Audio() | File():
            return _encode_media(Media.from_part(part)) or {"text": placeholder(part)}


def encode_result(result: ToolResult, tool_names: Mapping[str, str]) -> Json:
    """A result as a function's response, with its files beside it; `tool_names` are those of the calls, by call id."""
    texts = tuple(part for part in result.parts if isinstance(part, Text | Refusal | Reasoning))
    media = [part for part in result.parts if isinstance(part, Image | Audio | File)]
    encoded_media = [(part, _encode_media(Media.from_part(part))) for part in media]
    text = joined_text(texts + tuple(part for part, file in encoded_media if file is None))
    value = parse_json_object(text)
    response = {"error": text} if result.is_error else {"result": text} if value is None else value
    name = result.tool_name or tool_names.get(result.call_id) or "tool"
    encoded: Json = {"id": result.call_id, "name": name, "response": response}
    files = [file for _, file in encoded_media if file is not None]
    return {"function_response": encoded | ({"parts": files} if files else {})}


def _decode_inline_data(value: Json, builder: MessageBuilder) -> None:
    kind = string_or_none(get_field(value, "mime_type")) or UNKNOWN_TYPE
    if isinstance(data := value.get("data"), str):
        builder.add_media(Media.from_base64(data, kind, string_or_none(get_field(value, "display_name"))))


def _decode_file_data(value: Json, builder: MessageBuilder) -> None:
    if uri := string_or_none(get_field(value, "file_uri")):
        kind = string_or_none(get_field(value, "mime_type")) or UNKNOWN_TYPE
        builder.add_media(Media.from_url(uri, kind=kind, filename=string_or_none(get_field(value, "display_name"))))


def _decode_function_call(value: Json, builder: MessageBuilder) -> None:
    builder.add_call(value.get("id"), value.get("name"), value.get("args"))


def _decode_function_response(value: Json, builder: MessageBuilder) -> None:
    """A response; where `result`, `output` or `error` is its only field, the value of that is what the tool gave."""
    output, failed = value.get("response"), False
    if isinstance(output, dict) and len(output) == 1:
        (key, inner), *_ = output.items()
        if key in ("result", "output", "error"):
            output, failed = inner, key == "error"
    content = MessageBuilder("tool")
    if text := "" if output is None else as_text(output):
        content.add_text(text)
    for part in value["parts"] if isinstance(value.get("parts"), list) else ():
        if isinstance(part, dict):
            decode_part(part, content)
    builder.add_result(value.get("id"), value.get("name"), build_content(content.parts) or "", is_error=failed)


def _decode_tool_call(value: Json, builder: MessageBuilder) -> None:
    """A call of a tool that Google runs itself."""
    builder.add_call(value.get("id"), get_field(value, "tool_type"), value.get("args"))


def _decode_tool_response(value: Json, builder: MessageBuilder) -> None:
    response = value.get("response")
    builder.add_result(value.get("id"), get_field(value, "tool_type"), "" if response is None else as_text(response))


def _decode_code(value: Json, builder: MessageBuilder) -> None:
    language = string_or_none(value.get("language")) or ""
    builder.add_text(f"```{language.lower() if language == 'PYTHON' else ''}\n{value.get('code') or ''}\n```")


def _decode_code_result(value: Json, builder: MessageBuilder) -> None:
    builder.add_text(f"```\n{value.get('output') or value.get('outcome') or ''}\n```")


_DECODERS = {
    "inline_data": _decode_inline_data,
    "file_data": _decode_file_data,
    "function_call": _decode_function_call,
    "function_response": _decode_function_response,
    "tool_call": _decode_tool_call,
    "tool_response": _decode_tool_response,
    "executable_code": _decode_code,
    "code_execution_result": _decode_code_result,
}


def _encode_media(media: Media) -> Json | None:
    """A file as a part; None for an upload, which Google does not know, and for what is no base64."""
    name = {"display_name": media.filename} if media.filename else {}
    if media.data is not None:
        data = url_safe_base64(media.data)
        return None if data is None else {"inline_data": {"data": data, "mime_type": media.type} | name}
    # Google finds out itself what an image is, but requires a type.
    kind = "image/jpeg" if media.type == "image/*" else media.type
    mime_type = {} if kind == UNKNOWN_TYPE else {"mime_type": kind}
    return {"file_data": {"file_uri": media.url} | mime_type | name} if media.url else None
