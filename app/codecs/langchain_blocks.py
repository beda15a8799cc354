"""The blocks that the content of LangChain's messages is made of."""

from typing import Any

from app.codecs import neutral
from app.codecs.media import UNKNOWN, Media, held, linked, media
from app.codecs.neutral import Json
from app.codecs.parts import Audio, File, Image, Part, Reasoning, Refusal, Text, parts_of
from app.codecs.speech import Speech
from app.codecs.values import text_of

_MEDIA = {"image": "image/*", "audio": "audio/wav", "video": "video/mp4", "file": UNKNOWN, "text-plain": "text/plain"}


def read_block(block: Json, speech: Speech) -> None:
    """Says what a block says. One that no message can say is not said."""
    kind = block.get("type")
    match kind:
        case "text":
            speech.text(block.get("text"))
        case "reasoning":
            speech.reasoning(block.get("reasoning"))
        case "tool_call" | "invalid_tool_call" | "server_tool_call":
            speech.call(block.get("id"), block.get("name"), block.get("args"))
        case "tool_use" | "server_tool_use":
            speech.call(block.get("id"), block.get("name"), block.get("input"))
        case "server_tool_result":
            failed = block.get("status") == "error"
            speech.result(block.get("tool_call_id"), None, _given(block.get("output")), is_error=failed)
        case "tool_result":
            failed = block.get("is_error") is True
            speech.result(block.get("tool_use_id"), None, _given(block.get("content")), is_error=failed)
        case "text-plain" if isinstance(block.get("text"), str):
            speech.text(block["text"])
        case "media":
            _say(_media(block, _string(block.get("mime_type")) or UNKNOWN), block, speech)
        case str() if kind in _MEDIA:
            _say(_media(block, _MEDIA[kind]), block, speech)
        case _:
            _say(None, block, speech)


def write_content(parts: tuple[Part, ...]) -> str | list[Json]:
    """Content that says these parts: a text, or a list of standard blocks."""
    if not parts:
        return ""
    return parts[0].text if len(parts) == 1 and isinstance(parts[0], Text) else [_block(part) for part in parts]


def _say(found: Media | None, block: Json, speech: Speech) -> None:
    """Says what a block holds, or what a block of a provider's form says."""
    if found is not None:
        speech.media(found)
    elif known := parts_of([block]):
        speech.parts.append(neutral.part(known[0]))
    else:
        speech.unsaid(block.get("type"))


def _media(block: Json, default: str) -> Media | None:
    """An image, a recording or a file in the form of version 1, or of version 0, which has a `source_type`."""
    kind = _string(block.get("mime_type")) or default
    extras = block.get("extras")
    more = {**extras, **block} if isinstance(extras, dict) else block
    filename = next((name for key in ("filename", "name", "title") if (name := _string(more.get(key)))), None)
    if data := _string(block.get("base64")) or _string(block.get("data")):
        return held(data, kind, filename)
    if url := _string(block.get("url")):
        return linked(url, kind=kind, filename=filename)
    if file_id := _string(block.get("file_id")) or (_string(block.get("id")) if _is_by_id(block) else None):
        return Media(kind, file_id=file_id, filename=filename)
    return None


def _is_by_id(block: Json) -> bool:
    return block.get("source_type") == "id"


def _given(content: Any) -> str | list[Json]:
    """What a tool gave: parts where it is a list of what we know as parts."""
    if isinstance(content, list) and content:
        known = [parts_of([one]) for one in content]
        if all(known):
            return neutral.content([neutral.part(parts[0]) for parts in known]) or ""
    return "" if content is None else text_of(content)


def _block(part: Part) -> Json:
    match part:
        case Text(text) | Refusal(text):
            return {"type": "text", "text": text}
        case Reasoning(text):
            return {"type": "reasoning", "reasoning": text}
        case Image() | Audio() | File():
            return _held(media(part))


def _held(held: Media) -> Json:
    main = held.type.partition("/")[0]
    block: Json = {"type": main if main in ("image", "audio", "video") else "file"}
    if held.data is not None:
        block |= {"base64": held.data, "mime_type": held.type}
    else:
        block |= {"url": held.url} if held.url else {"file_id": held.file_id}
        if held.type != UNKNOWN and not held.type.endswith("/*"):
            block["mime_type"] = held.type
    # Where langchain-openai looks for it.
    return block | ({"extras": {"filename": held.filename}} if held.filename else {})


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
