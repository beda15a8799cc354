"""The parts of a message's content, whichever API they were written for, as the few kinds that there are."""

from dataclasses import dataclass
from typing import Any

_DETAILS = frozenset({"auto", "low", "high", "original"})


@dataclass(frozen=True, slots=True)
class Text:
    """A text, never an empty one. What is only white space is refused by providers; see `app.context`."""

    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the model said where it refused."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What the model thought before it spoke. Providers take their own back, as they gave it, and nobody else's."""

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


def parts_of(content: Any) -> tuple[Part, ...]:
    """What a content says, without what says nothing: empty texts, and parts of unknown or broken shape."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    if not isinstance(content, list):
        return ()
    return tuple(part for one in content if isinstance(one, dict) and (part := _part(one)) is not None)


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


def texts(parts: tuple[Part, ...]) -> str:
    """All parts as one text, each on a line of its own."""
    return "\n".join(map(placeholder, parts))


def _part(one: dict[str, Any]) -> Part | None:
    match one.get("type"):
        case "text" | "input_text" | "output_text":
            return _text(one.get("text"))
        case "refusal":
            refusal = _string(one.get("refusal"))
            return Refusal(refusal) if refusal else None
        case "reasoning" | "reasoning_text" | "summary_text":
            return _reasoning(one.get("text"))
        case "thinking":
            return _reasoning(one.get("thinking"))
        case "image_url" | "input_image" | "computer_screenshot":
            return _image(one)
        case "image":
            return _image_from(_object(one.get("source")))
        case "input_audio":
            audio = _object(one.get("input_audio"))
            data, kind = _string(audio.get("data")), _string(audio.get("format"))
            return Audio(data, kind) if data and kind else None
        case "file" | "input_file":
            return _file(_object(one.get("file")) or one)
        case "document":
            return _document(one, _object(one.get("source")))
    return None


def _text(value: object) -> Text | None:
    return Text(value) if isinstance(value, str) and value else None


def _reasoning(value: object) -> Reasoning | None:
    return Reasoning(value) if isinstance(value, str) and value else None


def _image(one: dict[str, Any]) -> Image | None:
    """`image_url` of Chat Completions holds an object, `input_image` of Responses a text."""
    given = one.get("image_url")
    inner = _object(given)
    detail = _string(inner.get("detail") or one.get("detail"))
    url, file_id = _string(inner.get("url") or given), _string(one.get("file_id"))
    if url is None and file_id is None:
        return None
    return Image(url, None if url else file_id, detail if detail in _DETAILS else None)


def _image_from(source: dict[str, Any]) -> Image | None:
    """An image of Anthropic's: `{type: base64, media_type, data}`, `{type: url, url}` or `{type: file, file_id}`."""
    url, file_id = _data_url(source) or _string(source.get("url")), _string(source.get("file_id"))
    return Image(url, None if url else file_id) if url or file_id else None


def _file(one: dict[str, Any]) -> File | None:
    file = File(*(_string(one.get(name)) for name in ("file_id", "file_data", "file_url", "filename")))
    return file if file.file_id or file.data or file.url else None


def _document(one: dict[str, Any], source: dict[str, Any]) -> File | Text | None:
    """A document of Anthropic's; one of plain text is its text."""
    if source.get("type") == "text":
        return _text(source.get("data"))
    file = File(
        _string(source.get("file_id")), _data_url(source), _string(source.get("url")), _string(one.get("title"))
    )
    return file if file.file_id or file.data or file.url else None


def _data_url(source: dict[str, Any]) -> str | None:
    kind, data = _string(source.get("media_type")), _string(source.get("data"))
    return f"data:{kind};base64,{data}" if kind and data else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
