"""Requests of Anthropic's Messages: system blocks and messages."""

from typing import Any

from app.codecs.anthropic import encode_input, encode_part, encode_text
from app.context.groups import MessageGroup
from app.context.identifiers import CallIds, function_name
from app.context.providers import provider_format
from app.context.window import Context

MAX_CALL_ID_LENGTH = 64

Block = dict[str, Any]


@provider_format("anthropic")
def encode(context: Context) -> dict[str, Any]:
    """`system` and `messages`; consecutive messages of one role become one."""
    ids = CallIds(MAX_CALL_ID_LENGTH)
    system = [encode_text(part) for message in context.instructions for part in message.parts]
    messages: list[dict[str, Any]] = []
    for group in context.groups:
        for role, blocks in _encode_group(group, ids):
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"] += blocks
            else:
                messages.append({"role": role, "content": blocks})
    if messages and messages[-1]["role"] == "assistant":
        # Refused: "final assistant content cannot end with trailing whitespace".
        last = messages[-1]["content"][-1]
        last["text"] = last["text"].rstrip()
    return {"system": system, "messages": messages}


def _encode_group(group: MessageGroup, ids: CallIds) -> list[tuple[str, list[Block]]]:
    """Roles with their blocks: each step's parts and calls, then its results as the user's."""
    if group.is_user:
        return [("user", [encode_part(part) for step in group.steps for part in step.parts])]
    messages: list[tuple[str, list[Block]]] = []
    for step in group.steps:
        blocks = [encode_text(part) for part in step.parts]
        results: list[Block] = []
        for call_id, answered in ids.assign(step):
            call, result = answered.call, answered.result
            name = function_name(call.name)
            blocks.append({"type": "tool_use", "id": call_id, "name": name, "input": encode_input(call)})
            block: Block = {"type": "tool_result", "tool_use_id": call_id}
            if result.parts:
                block["content"] = [encode_part(part) for part in result.parts]
            results.append(block | ({"is_error": True} if result.is_error else {}))
        messages += [("assistant", blocks), ("user", results)] if results else [("assistant", blocks)]
    return messages
