"""The system blocks and messages of Anthropic's Messages."""

from typing import Any

from app.codecs.anthropic import block, input_of, text_block
from app.context.names import CallIds, function_name
from app.context.reading import Unit
from app.context.shapes import shape
from app.context.window import Context

LONGEST_CALL_ID = 64

Block = dict[str, Any]


@shape("anthropic")
def write(context: Context) -> dict[str, Any]:
    """`system` and `messages`; what has the same role is one message."""
    ids = CallIds(LONGEST_CALL_ID)
    system = [text_block(part) for one in context.instructions for part in one.parts]
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
    """A message as its blocks and, if it called tools, the results as a message of the user; so for each step."""
    if unit.is_user:
        return [("user", [block(part) for step in unit.steps for part in step.parts])]
    messages = []
    for step in unit.steps:
        exchanges = ids.of(step)
        blocks = [text_block(part) for part in step.parts]
        blocks += [
            {"type": "tool_use", "id": call_id, "name": function_name(e.call.name), "input": input_of(e.call)}
            for call_id, e in exchanges
        ]
        results: list[Block] = []
        for call_id, exchange in exchanges:
            result: Block = {"type": "tool_result", "tool_use_id": call_id}
            if exchange.result.parts:
                result["content"] = [block(part) for part in exchange.result.parts]
            if exchange.result.is_error:
                result["is_error"] = True
            results.append(result)
        messages += [("assistant", blocks), ("user", results)] if results else [("assistant", blocks)]
    return messages
