"""Content parts: what a message's content holds, whichever API it was written for, as a few classes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from app.codecs.values import Json, dict_or_empty, string_or_none

_DETAILS = frozenset({"auto", "low", "high", "original"})


@dataclass(frozen=True, slots=True)
class Text:
    """A text, never an empty one. One of white space alone is refused by providers; see `app.context`."""

    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The text with which the model refused."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What the model thought before it spoke. Providers take back only their own, unchanged."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image: by `url` (a `data:` one holds it) or by the `file_id` of an upload; one of them is None."""

    url: str | None
    file_id: str | None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Audio:
    """A recording: base64 `data`, and its format such as `wav`."""

    data: str
    format: str


@dataclass(frozen=True, slots=True)
class File:
    """A file: by the `file_id` of an upload, by its content as a `data:` URL or base64, or by `url`."""

    file_id: str | None
    data: str | None
    url: str | None
    filename: str | None


Part = Text | Refusal | Reasoning | Image | Audio | File


def parse_parts(content: Any) -> tuple[Part, ...]:
    """The parts of a content. Empty texts and blocks of an unknown or broken shape are left out."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    if not isinstance(content, list):
        return ()
    return tuple(part for block in content if isinstance(block, dict) and (part := _parse_block(block)) is not None)


def encode_content(parts: Iterable[Part], encode_part: Callable[[Part], Json]) -> str | list[Json]:
    """Parts as a content: a string for a single text, else a list of blocks. Reasoning is left out."""
    parts = [part for part in parts if not isinstance(part, Reasoning)]
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return [encode_part(part) for part in parts]


def placeholder(part: Part) -> str:
    """A text in the place of a part, for a provider that does not take the part itself."""
    match part:
        case Text(text) | Refusal(text):
            return text
        case Reasoning():
            return "[reasoning]"
        case Image():
            return "[image]"
        case Audio():
            return "[audio]"
        case File(filename=name):
            return f"[file {name}]" if name else "[file]"


def joined_text(parts: tuple[Part, ...]) -> str:
    """All parts as one text, each on a line of its own, with placeholders."""
    return "\n".join(map(placeholder, parts))


def _parse_block(block: Json) -> Part | None:
    match block.get("type"):
        case "text" | "input_text" | "output_text":
            return _text_part(Text, block.get("text"))
        case "refusal":
            return _text_part(Refusal, block.get("refusal"))
        case "reasoning" | "reasoning_text" | "summary_text":
            return _text_part(Reasoning, block.get("text"))
        case "thinking":
            return _text_part(Reasoning, block.get("thinking"))
        case "image_url" | "input_image" | "computer_screenshot":
            return _openai_image(block)
        case "image":
            return _anthropic_image(dict_or_empty(block.get("source")))
        case "input_audio":
            audio = dict_or_empty(block.get("input_audio"))
            data, kind = string_or_none(audio.get("data")), string_or_none(audio.get("format"))
            return Audio(data, kind) if data and kind else None
        case "file" | "input_file":
            file = dict_or_empty(block.get("file")) or block
            return _file(*(file.get(name) for name in ("file_id", "file_data", "file_url", "filename")))
        case "document":
            return _document(block, dict_or_empty(block.get("source")))
    return None


def _text_part(kind: type[Text | Refusal | Reasoning], value: object) -> Part | None:
    return kind(value) if isinstance(value, str) and value else None


def _openai_image(block: Json) -> Image | None:
    """`image_url` of Chat Completions holds an object, `input_image` of Responses a text."""
    image_url = block.get("image_url")
    inner = dict_or_empty(image_url)
    detail = string_or_none(inner.get("detail") or block.get("detail"))
    url, file_id = string_or_none(inner.get("url") or image_url), string_or_none(block.get("file_id"))
    if url is None and file_id is None:
        return None
    return Image(url, None if url else file_id, detail if detail in _DETAILS else None)


def _anthropic_image(source: Json) -> Image | None:
    """An image of Anthropic's: `{type: base64, media_type, data}`, `{type: url, url}` or `{type: file, file_id}`."""
    url, file_id = _data_url(source) or string_or_none(source.get("url")), string_or_none(source.get("file_id"))
    return Image(url, None if url else file_id) if url or file_id else None


def _document(block: Json, source: Json) -> Part | None:
    """A document of Anthropic's; one of plain text is its text."""
    if source.get("type") == "text":
        return _text_part(Text, source.get("data"))
    return _file(source.get("file_id"), _data_url(source), source.get("url"), block.get("title"))


def _file(*values: object) -> File | None:
    file = File(*map(string_or_none, values))
    return file if file.file_id or file.data or file.url else None


def _data_url(source: Json) -> str | None:
    kind, data = string_or_none(source.get("media_type")), string_or_none(source.get("data"))
    return f"data:{kind};base64,{data}" if kind and data else None
