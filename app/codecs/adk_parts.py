"""The parts that the content of Google's models is made of."""

from collections.abc import Mapping
from typing import Any

from app.codecs import neutral
from app.codecs.media import UNKNOWN, Media, held, linked, media, url_safe
from app.codecs.neutral import Json
from app.codecs.parts import Audio, File, Image, Part, Reasoning, Refusal, Text, placeholder, texts
from app.codecs.said import Result
from app.codecs.speech import Speech, tool_of
from app.codecs.values import object_of, text_of


def get(one: Json, name: str) -> Any:
    """A field by its name in Python, or by its alias."""
    if name in one:
        return one[name]
    first, *others = name.split("_")
    return one.get(first + "".join(other.capitalize() for other in others))


def read_part(part: Json, speech: Speech) -> None:
    """Says what a part says; code that the model ran, and what came of it, as a text with a fence around it."""
    text = part.get("text")
    if isinstance(text, str):
        if part.get("thought") is True:
            speech.reasoning(text)
        else:
            speech.text(text)
    for name, say in _PARTS.items():
        if isinstance(one := get(part, name), dict):
            say(one, speech)


def write_part(part: Part) -> Json:
    """A part of a message as one of Google's."""
    match part:
        case Text(text) | Refusal(text):
            return {"text": text}
        case Reasoning(text):
            return {"text": text, "thought": True}
        case Image() | Audio() | File():
            return _file(media(part)) or {"text": placeholder(part)}


def write_result(result: Result, named: Mapping[str, str]) -> Json:
    """A result as a function's response, with its files beside; `named` are the names of the functions by call id."""
    spoken = tuple(part for part in result.parts if isinstance(part, Text | Refusal | Reasoning))
    files = [(part, _file(media(part))) for part in result.parts if isinstance(part, Image | Audio | File)]
    text = texts(spoken + tuple(part for part, file in files if file is None))
    said = object_of(text)
    response = {"error": text} if result.is_error else {"result": text} if said is None else said
    name = tool_of(result) or named.get(result.call_id) or "tool"
    written: Json = {"id": result.call_id, "name": name, "response": response}
    beside = [file for _, file in files if file is not None]
    return {"function_response": written | ({"parts": beside} if beside else {})}


def _inline(one: Json, speech: Speech) -> None:
    kind = _string(get(one, "mime_type")) or UNKNOWN
    if isinstance(data := one.get("data"), str):
        speech.media(held(data, kind, _string(get(one, "display_name"))))


def _linked(one: Json, speech: Speech) -> None:
    if uri := _string(get(one, "file_uri")):
        kind, name = _string(get(one, "mime_type")) or UNKNOWN, _string(get(one, "display_name"))
        speech.media(linked(uri, kind=kind, filename=name))


def _function_call(one: Json, speech: Speech) -> None:
    speech.call(one.get("id"), one.get("name"), one.get("args"))


def _function_response(one: Json, speech: Speech) -> None:
    """A response, whose only `result`, `output` or `error` is what the tool gave."""
    response = one.get("response")
    said, failed = response, False
    if isinstance(response, dict) and len(response) == 1:
        (key, value), *_ = response.items()
        if key in ("result", "output", "error"):
            said, failed = value, key == "error"
    text = "" if said is None else text_of(said)
    told = Speech("tool")
    if text:
        told.text(text)
    for part in one["parts"] if isinstance(one.get("parts"), list) else ():
        if isinstance(part, dict):
            read_part(part, told)
    speech.result(one.get("id"), one.get("name"), neutral.content(told.parts) or "", is_error=failed)


def _tool_call(one: Json, speech: Speech) -> None:
    """A call of a tool that Google runs itself."""
    speech.call(one.get("id"), get(one, "tool_type"), one.get("args"))


def _tool_response(one: Json, speech: Speech) -> None:
    response = one.get("response")
    speech.result(one.get("id"), get(one, "tool_type"), "" if response is None else text_of(response))


def _code(one: Json, speech: Speech) -> None:
    language = _string(one.get("language")) or ""
    speech.text(f"```{language.lower() if language == 'PYTHON' else ''}\n{one.get('code') or ''}\n```")


def _ran(one: Json, speech: Speech) -> None:
    speech.text(f"```\n{one.get('output') or one.get('outcome') or ''}\n```")


_PARTS = {
    "inline_data": _inline,
    "file_data": _linked,
    "function_call": _function_call,
    "function_response": _function_response,
    "tool_call": _tool_call,
    "tool_response": _tool_response,
    "executable_code": _code,
    "code_execution_result": _ran,
}


def _file(file: Media) -> Json | None:
    """A file as a part; None for an upload, which Google does not know, and for what is no base64."""
    name = {"display_name": file.filename} if file.filename else {}
    if file.data is not None:
        data = url_safe(file.data)
        return None if data is None else {"inline_data": {"data": data, "mime_type": file.type} | name}
    # Google looks at the image itself, but asks for a type.
    kind = "image/jpeg" if file.type == "image/*" else file.type
    said = {} if kind == UNKNOWN else {"mime_type": kind}
    return {"file_data": {"file_uri": file.url} | said | name} if file.url else None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
