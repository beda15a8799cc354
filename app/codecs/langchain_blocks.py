"""Content blocks of LangChain's messages."""

from typing import Any

from app.codecs.media import UNKNOWN_TYPE, Media
from app.codecs.message_builder import MessageBuilder
from app.codecs.message_json import part_json, tool_output
from app.codecs.parts import Audio, File, Image, Part, Reasoning, Refusal, Text, parse_parts
from app.codecs.values import Json, string_or_none

_TYPES = {"image": "image/*", "audio": "audio/wav", "video": "video/mp4", "text-plain": "text/plain"}


def decode_block(block: Json, builder: MessageBuilder) -> None:
    """Adds what a block says to a message; of a block that no message can say, its type is noted."""
    kind = block.get("type")
    match kind:
        case "text":
            builder.add_text(block.get("text"))
        case "reasoning":
            builder.add_reasoning(block.get("reasoning"))
        case "tool_call" | "invalid_tool_call" | "server_tool_call":
            builder.add_call(block.get("id"), block.get("name"), block.get("args"))
        case "tool_use" | "server_tool_use":
            builder.add_call(block.get("id"), block.get("name"), block.get("input"))
        case "server_tool_result":
            failed = block.get("status") == "error"
            builder.add_result(block.get("tool_call_id"), None, _output(block.get("output")), is_error=failed)
        case "tool_result":
            failed = block.get("is_error") is True
            builder.add_result(block.get("tool_use_id"), None, _output(block.get("content")), is_error=failed)
        case "text-plain" if isinstance(block.get("text"), str):
            builder.add_text(block["text"])
        case _:
            _decode_other(block, builder)


def encode_blocks(parts: tuple[Part, ...]) -> str | list[Json]:
    """Parts as content: a text, or a list of standard blocks."""
    if not parts:
        return ""
    return parts[0].text if len(parts) == 1 and isinstance(parts[0], Text) else [_encode(part) for part in parts]


def _decode_other(block: Json, builder: MessageBuilder) -> None:
    """A file of some kind, or a block in a provider's form."""
    kind = str(block.get("type"))
    is_media = kind in ("file", "media", *_TYPES)
    media = _decode_media(block, _TYPES.get(kind, UNKNOWN_TYPE)) if is_media else None
    if media is not None:
        builder.add_media(media)
    elif parts := parse_parts([block]):
        builder.parts.append(part_json(parts[0]))
    else:
        builder.add_unsupported(block.get("type"))


def _decode_media(block: Json, default_type: str) -> Media | None:
    """An image, a recording or a file in the form of version 1, or of version 0, which has a `source_type`."""
    kind = string_or_none(block.get("mime_type")) or default_type
    extras = block.get("extras")
    names = {**extras, **block} if isinstance(extras, dict) else block
    filename = next((name for key in ("filename", "name", "title") if (name := string_or_none(names.get(key)))), None)
    if data := string_or_none(block.get("base64")) or string_or_none(block.get("data")):
        return Media.from_base64(data, kind, filename)
    if url := string_or_none(block.get("url")):
        return Media.from_url(url, kind=kind, filename=filename)
    by_id = block.get("id") if block.get("source_type") == "id" else None
    if file_id := string_or_none(block.get("file_id")) or string_or_none(by_id):
        return Media(kind, file_id=file_id, filename=filename)
    return None


def _output(value: Any) -> str | list[Json]:
    return "" if value is None else tool_output(value)


def _encode(part: Part) -> Json:
    match part:
        case Text(text) | Refusal(text):
            return {"type": "text", "text": text}
        case Reasoning(text):
            return {"type": "reasoning", "reasoning": text}
        case Image() | Audio() | File():
            return _encode_media(Media.from_part(part))


def _encode_media(media: Media) -> Json:
    main = media.type.partition("/")[0]
    block: Json = {"type": main if main in ("image", "audio", "video") else "file"}
    if media.data is not None:
        block |= {"base64": media.data, "mime_type": media.type}
    else:
        block |= {"url": media.url} if media.url else {"file_id": media.file_id}
        if media.type != UNKNOWN_TYPE and not media.type.endswith("/*"):
            block["mime_type"] = media.type
    # langchain-openai looks for the name in `extras`.
    return block | ({"extras": {"filename": media.filename}} if media.filename else {})
