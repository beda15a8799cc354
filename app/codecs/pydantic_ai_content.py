"""What a user's prompt of Pydantic-AI, and the result of a tool, are made of."""

from typing import Any

from app.codecs import neutral
from app.codecs.media import UNKNOWN, Media, held, linked, media, url_safe
from app.codecs.neutral import Json
from app.codecs.parts import Audio, File, Image, Part, Reasoning, Refusal, Text, placeholder
from app.codecs.speech import Speech
from app.codecs.values import text_of

_URLS = {"image-url": "image/*", "audio-url": "audio/wav", "video-url": "video/mp4", "document-url": UNKNOWN}
_KINDS = {"image": "image-url", "audio": "audio-url", "video": "video-url"}
_MULTIMODAL = frozenset({*_URLS, "binary", "uploaded-file"})


def read_content(content: Any, speech: Speech) -> None:
    """Says a content: a text, or a list of texts and of what else there is."""
    for one in content if isinstance(content, list) else [content]:
        if isinstance(one, str):
            speech.text(one)
        elif isinstance(one, dict):
            _read(one, speech)


def returned(content: Any) -> str | list[Json]:
    """What a tool gave: parts where it has files, else text, which is JSON where it was no text."""
    listed = content if isinstance(content, list) else [content]
    if not any(isinstance(one, dict) and one.get("kind") in _MULTIMODAL for one in listed):
        return text_of(content)
    told = Speech("tool")
    for one in listed:
        if isinstance(one, dict) and one.get("kind") in _MULTIMODAL:
            _read(one, told)
        else:
            told.text(text_of(one))
    return neutral.content(told.parts) or ""


def write_content(parts: tuple[Part, ...]) -> str | list[str | Json]:
    """Parts as content: the text where there is one only."""
    content = [placeholder(part) if isinstance(part, Reasoning) else content_of(part)[1] for part in parts]
    if not content:
        return ""
    return content[0] if len(content) == 1 and isinstance(content[0], str) else content


def content_of(part: Part) -> tuple[str, str | Json]:
    """A part as content, and its kind: `text` and `reasoning` are texts, the others objects of that kind."""
    match part:
        case Text(text) | Refusal(text):
            return "text", text
        case Reasoning(text):
            return "reasoning", text
        case Image() | Audio() | File():
            return _file(media(part)) or ("text", placeholder(part))


def _read(one: Json, speech: Speech) -> None:
    kind = one.get("kind")
    said = _string(one.get("media_type"))
    match kind:
        case "text-content" | "structured-content":
            speech.text(_string(one.get("content")) or text_of(one.get("value", "")))
        case "binary" if isinstance(one.get("data"), str):
            speech.media(held(one["data"], said or UNKNOWN))
        case str() if kind in _URLS and isinstance(one.get("url"), str):
            speech.media(linked(one["url"], kind=said or _URLS[kind]))
        case "uploaded-file":
            speech.media(Media(said or UNKNOWN, file_id=_string(one.get("file_id"))))
        case _:
            speech.unsaid(kind)


def _file(file: Media) -> tuple[str, Json] | None:
    """A file as content of Pydantic-AI; None for what is no base64, which it would not load."""
    if file.data is not None:
        data = url_safe(file.data)
        return None if data is None else ("binary", {"kind": "binary", "data": data, "media_type": file.type})
    said = {} if file.type == UNKNOWN or file.type.endswith("/*") else {"media_type": file.type}
    if file.url:
        kind = _KINDS.get(file.type.partition("/")[0], "document-url")
        return kind, {"kind": kind, "url": file.url} | said
    if not file.file_id:
        return None
    # Only who gave the id can take it: Anthropic's are `file_…`, OpenAI's `file-…`.
    owner = "anthropic" if file.file_id.startswith("file_") else "openai"
    return "uploaded-file", {"kind": "uploaded-file", "file_id": file.file_id, "provider_name": owner} | said


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
