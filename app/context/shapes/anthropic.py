"""The system blocks and messages of Anthropic's Messages."""

import re
from typing import Any

import orjson

from app.context.names import CallIds, function_name
from app.context.reading import Unit
from app.context.shapes import shape
from app.context.window import Context
from app.messages.parts import File, Image, Part, placeholder
from app.messages.said import Call

LONGEST_CALL_ID = 64
_DATA_URL = re.compile(r"data:([a-z0-9.+-]+/[a-z0-9.+-]+);base64,([A-Za-z0-9+/]+={0,2})")
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})

Block = dict[str, Any]


@shape("anthropic")
def write(context: Context) -> dict[str, Any]:
    """`system` and `messages`; what has the same role is one message."""
    ids = CallIds(LONGEST_CALL_ID)
    system = [{"type": "text", "text": placeholder(part)} for one in context.instructions for part in one.parts]
    messages: list[dict[str, Any]] = []
    for unit in context.units:
        for role, blocks in _unit(unit, ids):
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"] += blocks
            else:
                messages.append({"role": role, "content": blocks})
    if messages and messages[-1]["role"] == "assistant":
        # Refused: "final assistant content cannot end with trailing whitespace".
        last = messages[-1]["content"][-1]
        last["text"] = last["text"].rstrip()
    return {"system": system, "messages": messages}


def _unit(unit: Unit, ids: CallIds) -> list[tuple[str, list[Block]]]:
    """A message as its blocks and, if it called tools, the results as a message of the user."""
    if unit.is_user:
        return [("user", [_block(part) for part in unit.said.parts])]
    exchanges = ids.of(unit)
    blocks = [_text(part) for part in unit.said.parts]
    blocks += [
        {"type": "tool_use", "id": call_id, "name": function_name(e.call.name), "input": _input(e.call)}
        for call_id, e in exchanges
    ]
    results: list[Block] = []
    for call_id, exchange in exchanges:
        result: Block = {"type": "tool_result", "tool_use_id": call_id}
        if exchange.result.parts:
            result["content"] = [_block(part) for part in exchange.result.parts]
        if exchange.result.is_error:
            result["is_error"] = True
        results.append(result)
    return [("assistant", blocks), ("user", results)] if results else [("assistant", blocks)]


def _text(part: Part) -> Block:
    return {"type": "text", "text": placeholder(part)}


def _block(part: Part) -> Block:
    match part:
        case Image(url=str(url)):
            source = _source(url)
            if source is not None and source.get("media_type", "image/png") in _IMAGES:
                return {"type": "image", "source": source}
        case File(data=str(given)) | File(url=str(given)):
            source = _source(given)
            if source is not None and source.get("media_type", "application/pdf") == "application/pdf":
                return {"type": "document", "source": source}
    return _text(part)


def _source(url: str) -> dict[str, str] | None:
    """Where the bytes of an image or a document are: in the URL itself, or behind it."""
    if url.startswith("https://"):
        return {"type": "url", "url": url}
    found = _DATA_URL.fullmatch(url)
    if found is None or len(found[2]) % 4:
        return None
    return {"type": "base64", "media_type": found[1], "data": found[2]}


def _input(call: Call) -> dict[str, Any]:
    """A call's arguments as the object that they must be; what is none comes under a name of ours."""
    if call.custom:
        return {"input": call.arguments}
    try:
        value = orjson.loads(call.arguments)
        # The answer's own depth comes on top: JSON that is too deep for it stays a text.
        orjson.dumps([[[[[[[[value]]]]]]]])
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        value = call.arguments
    return value if isinstance(value, dict) else {"arguments": value}
