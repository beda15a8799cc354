"""Content of Pydantic AI's user prompts and tool returns."""

from typing import Any

from app.codecs.media import UNKNOWN_TYPE, Media, url_safe_base64
from app.codecs.message_builder import MessageBuilder
from app.codecs.message_json import build_content
from app.codecs.parts import Audio, File, Image, Part, Reasoning, Refusal, Text, placeholder
from app.codecs.values import Json, as_text, string_or_none

_URL_TYPES = {"image-url": "image/*", "audio-url": "audio/wav", "video-url": "video/mp4", "document-url": UNKNOWN_TYPE}
_URL_KINDS = {"image": "image-url", "audio": "audio-url", "video": "video-url"}
_MULTIMODAL = frozenset({*_URL_TYPES, "binary", "uploaded-file"})


def decode_content(content: Any, builder: MessageBuilder) -> None:
    """Adds a content to a message: a text, or a list of texts and of objects with a kind."""
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            builder.add_text(part)
        elif isinstance(part, dict):
            _decode_object(part, builder)


def decode_output(content: Any) -> str | list[Json]:
    """The content of a tool's result: parts where it has files, else a text."""
    values = content if isinstance(content, list) else [content]
    if not any(map(_is_multimodal, values)):
        return as_text(content)
    builder = MessageBuilder("tool")
    for value in values:
        if _is_multimodal(value):
            _decode_object(value, builder)
        else:
            builder.add_text(as_text(value))
    return build_content(builder.parts) or ""


def encode_content(parts: tuple[Part, ...]) -> str | list[str | Json]:
    """Parts as content: a text where they are one text only."""
    content = [placeholder(part) if isinstance(part, Reasoning) else encode_content_part(part)[1] for part in parts]
    if not content:
        return ""
    return content[0] if len(content) == 1 and isinstance(content[0], str) else content


def encode_content_part(part: Part) -> tuple[str, str | Json]:
    """The kind of a part and its content: a text for the kinds `text` and `reasoning`, else an object of that kind."""
    match part:
        case Text(text) | Refusal(text):
            return "text", text
        case Reasoning(text):
            return "reasoning", text
        case Image() | Audio() | File():
            return _encode_media(Media.from_part(part)) or ("text", placeholder(part))


def _is_multimodal(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(kind := value.get("kind"), str) and kind in _MULTIMODAL


def _decode_object(part: Json, builder: MessageBuilder) -> None:
    kind = part.get("kind")
    media_type = string_or_none(part.get("media_type"))
    match kind:
        case "text-content" | "structured-content":
            builder.add_text(string_or_none(part.get("content")) or as_text(part.get("value", "")))
        case "binary" if isinstance(part.get("data"), str):
            builder.add_media(Media.from_base64(part["data"], media_type or UNKNOWN_TYPE))
        case str() if kind in _URL_TYPES and isinstance(part.get("url"), str):
            builder.add_media(Media.from_url(part["url"], kind=media_type or _URL_TYPES[kind]))
        case "uploaded-file":
            builder.add_media(Media(media_type or UNKNOWN_TYPE, file_id=string_or_none(part.get("file_id"))))
        case _:
            builder.add_unsupported(kind)


def _encode_media(media: Media) -> tuple[str, Json] | None:
    """The kind and content of a file; None for what is no base64, which Pydantic AI would not load."""
    if media.data is not None:
        data = url_safe_base64(media.data)
        return None if data is None else ("binary", {"kind": "binary", "data": data, "media_type": media.type})
    media_type = {} if media.type == UNKNOWN_TYPE or media.type.endswith("/*") else {"media_type": media.type}
    if media.url:
        kind = _URL_KINDS.get(media.type.partition("/")[0], "document-url")
        return kind, {"kind": kind, "url": media.url} | media_type
    if not media.file_id:
        return None
    # Only the provider that gave an id can use it: Anthropic's are `file_…`, OpenAI's `file-…`.
    provider = "anthropic" if media.file_id.startswith("file_") else "openai"
    return "uploaded-file", {"kind": "uploaded-file", "file_id": media.file_id, "provider_name": provider} | media_type
