"""The messages of OpenAI's Chat Completions, which many other providers take too."""

from typing import Any

from app.context.names import CallIds, function_name, participant
from app.context.reading import Unit
from app.context.shapes import shape
from app.context.window import Context
from app.messages.parts import Audio, File, Image, Part, Refusal, Text, placeholder
from app.messages.said import Call, Said

LONGEST_CALL_ID = 40
IMAGE_URLS = ("https://", "http://", "data:image/")


@shape("chat_completions")
def write(context: Context) -> dict[str, Any]:
    """`messages`, the instructions among them."""
    ids = CallIds(LONGEST_CALL_ID)
    role = instructing_role(context.instructions)
    messages = [_message(one, role or one.role) for one in context.instructions]
    for unit in context.units:
        messages += _unit(unit, ids)
    return {"messages": messages}


def instructing_role(instructions: list[Said]) -> str | None:
    """The role for all instructions: models that know `developer` want no `system` beside it. None: each its own."""
    return "developer" if any(one.role == "developer" for one in instructions) else None


def _unit(unit: Unit, ids: CallIds) -> list[dict[str, Any]]:
    message = _message(unit.said, unit.said.role)
    exchanges = ids.of(unit)
    if exchanges:
        message["tool_calls"] = [_call(call_id, exchange.call) for call_id, exchange in exchanges]
    results = [
        {"role": "tool", "tool_call_id": call_id, "content": _texts(exchange.result.parts) or ""}
        for call_id, exchange in exchanges
    ]
    return [message, *results]


def _message(one: Said, role: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": role}
    name = participant(one.message.get("name"))
    if name is not None:
        message["name"] = name
    if role == "user":
        message["content"] = _plain(one.parts) or [_user_part(part) for part in one.parts]
    elif role == "assistant":
        message["content"] = _plain(one.parts) or [_assistant_part(part) for part in one.parts] or None
    else:
        message["content"] = _texts(one.parts)
    return message


def _plain(parts: tuple[Part, ...]) -> str | None:
    return parts[0].text if len(parts) == 1 and isinstance(parts[0], Text) else None


def _texts(parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
    return _plain(parts) or [_text(part) for part in parts]


def _text(part: Part) -> dict[str, Any]:
    return {"type": "text", "text": placeholder(part)}


def _assistant_part(part: Part) -> dict[str, Any]:
    return {"type": "refusal", "refusal": part.text} if isinstance(part, Refusal) else _text(part)


def _user_part(part: Part) -> dict[str, Any]:
    match part:
        case Image(url=str(url), detail=detail) if url.startswith(IMAGE_URLS):
            return {"type": "image_url", "image_url": {"url": url} | ({"detail": detail} if detail else {})}
        case Audio(data, "wav" | "mp3" as kind):
            return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}
        case File(file_id=str(file_id)):
            return {"type": "file", "file": {"file_id": file_id}}
        case File(data=str(data), filename=name):
            return {"type": "file", "file": {"file_data": data, "filename": name or "file"}}
    return _text(part)


def _call(call_id: str, call: Call) -> dict[str, Any]:
    name = function_name(call.name)
    if call.custom:
        return {"id": call_id, "type": "custom", "custom": {"name": name, "input": call.arguments}}
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": call.arguments}}
