"""The input items of OpenAI's Responses."""

from dataclasses import replace
from typing import Any

from app.codecs.parts import texts
from app.codecs.responses import input_content, tool_call
from app.context.names import CallIds, function_name
from app.context.reading import Exchange, Unit
from app.context.shapes import shape
from app.context.shapes.chat_completions import instructing_role
from app.context.window import Context

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
    items = []
    for step in unit.steps:
        if unit.is_user:
            items.append(_message("user", input_content(step.parts)))
        elif step.parts:
            # An answer with parts of its own would need the id that the provider gave it: as a text it needs none.
            items.append(_message("assistant", texts(step.parts)))
        exchanges = ids.of(step)
        items += [
            tool_call(replace(exchange.call, id=call_id, name=function_name(exchange.call.name)))
            for call_id, exchange in exchanges
        ]
        items += [_output(call_id, exchange) for call_id, exchange in exchanges]
    return items


def _message(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def _output(call_id: str, exchange: Exchange) -> dict[str, Any]:
    kind = "custom_tool_call_output" if exchange.call.custom else "function_call_output"
    return {"type": kind, "call_id": call_id, "output": input_content(exchange.result.parts) or ""}
