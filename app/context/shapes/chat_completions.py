"""The messages of OpenAI's Chat Completions, which many other providers take too."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.codecs.chat_completions import content, tool_call
from app.codecs.parts import Part
from app.codecs.said import Said
from app.context.names import CallIds, function_name, participant
from app.context.reading import Unit
from app.context.shapes import shape
from app.context.window import Context

LONGEST_CALL_ID = 40


@shape("chat_completions")
def write(context: Context) -> dict[str, Any]:
    """`messages`, the instructions among them."""
    ids = CallIds(LONGEST_CALL_ID)
    role = instructing_role(context.instructions)
    messages = [_message(role or one.role, one.message.get("name"), one.parts) for one in context.instructions]
    for unit in context.units:
        messages += _unit(unit, ids)
    return {"messages": messages}


def instructing_role(instructions: list[Said]) -> str | None:
    """The role for all instructions: models that know `developer` want no `system` beside it. None: each its own."""
    return "developer" if any(one.role == "developer" for one in instructions) else None


def _unit(unit: Unit, ids: CallIds) -> list[dict[str, Any]]:
    messages = []
    for step in unit.steps:
        message = _message(unit.role, unit.name, step.parts)
        exchanges = ids.of(step)
        if exchanges:
            message["tool_calls"] = [
                tool_call(replace(exchange.call, id=call_id, name=function_name(exchange.call.name)))
                for call_id, exchange in exchanges
            ]
        messages.append(message)
        messages += [
            {"role": "tool", "tool_call_id": call_id, "content": content(exchange.result.parts, "tool") or ""}
            for call_id, exchange in exchanges
        ]
    return messages


def _message(role: str, name: object, parts: Sequence[Part]) -> dict[str, Any]:
    allowed = participant(name)
    return {"role": role} | ({"name": allowed} if allowed else {}) | {"content": content(parts, role) or None}
