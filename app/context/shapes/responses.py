"""The input items of OpenAI's Responses."""

from typing import Any

from app.context.names import CallIds, function_name
from app.context.reading import Exchange, Unit
from app.context.shapes import shape
from app.context.shapes.chat_completions import IMAGE_URLS, instructing_role
from app.context.window import Context
from app.messages.parts import File, Image, Part, Text, placeholder, texts

LONGEST_CALL_ID = 64


@shape("responses")
def write(context: Context) -> dict[str, Any]:
    """`input`, the instructions among it."""
    ids = CallIds(LONGEST_CALL_ID)
    role = instructing_role(context.instructions)
    items = [_message(role or one.role, texts(one.parts)) for one in context.instructions]
    for unit in context.units:
        items += _unit(unit, ids)
    return {"input": items}


def _unit(unit: Unit, ids: CallIds) -> list[dict[str, Any]]:
    parts = unit.said.parts
    if unit.is_user:
        return [_message("user", _content(parts))]
    # An answer with parts of its own would need the id that the provider gave it: as a text it needs none.
    items = [_message("assistant", texts(parts))] if parts else []
    exchanges = ids.of(unit)
    items += [_call(call_id, exchange) for call_id, exchange in exchanges]
    items += [_output(call_id, exchange) for call_id, exchange in exchanges]
    return items


def _message(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def _content(parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return [_part(part) for part in parts]


def _part(part: Part) -> dict[str, Any]:
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


def _call(call_id: str, exchange: Exchange) -> dict[str, Any]:
    call, name = exchange.call, function_name(exchange.call.name)
    if call.custom:
        return {"type": "custom_tool_call", "call_id": call_id, "name": name, "input": call.arguments}
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": call.arguments}


def _output(call_id: str, exchange: Exchange) -> dict[str, Any]:
    kind = "custom_tool_call_output" if exchange.call.custom else "function_call_output"
    return {"type": kind, "call_id": call_id, "output": _content(exchange.result.parts) or ""}
