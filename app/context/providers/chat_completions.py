"""Requests of OpenAI's Chat Completions: messages, which many other providers take too."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.codecs.canonical import CanonicalMessage
from app.codecs.chat_completions import encode_call, encode_parts
from app.codecs.parts import Part
from app.context.groups import MessageGroup
from app.context.identifiers import CallIds, function_name, participant_name
from app.context.providers import provider_format
from app.context.window import Context

MAX_CALL_ID_LENGTH = 40


@provider_format("chat_completions")
def encode(context: Context) -> dict[str, Any]:
    """`messages`, the instructions among them."""
    ids = CallIds(MAX_CALL_ID_LENGTH)
    role = instruction_role(context.instructions)
    messages = [_message(role or each.role, each.fields.get("name"), each.parts) for each in context.instructions]
    for group in context.groups:
        messages += _encode_group(group, ids)
    return {"messages": messages}


def instruction_role(instructions: list[CanonicalMessage]) -> str | None:
    """The role for all instructions: models that know `developer` want no `system` beside it. None: each its own."""
    return "developer" if any(message.role == "developer" for message in instructions) else None


def _encode_group(group: MessageGroup, ids: CallIds) -> list[dict[str, Any]]:
    messages = []
    for step in group.steps:
        message = _message(group.role, group.name, step.parts)
        messages.append(message)
        for call_id, answered in ids.assign(step):
            call = replace(answered.call, id=call_id, name=function_name(answered.call.name))
            message.setdefault("tool_calls", []).append(encode_call(call))
            content = encode_parts(answered.result.parts, "tool") or ""
            messages.append({"role": "tool", "tool_call_id": call_id, "content": content})
    return messages


def _message(role: str, name: object, parts: Sequence[Part]) -> dict[str, Any]:
    allowed = participant_name(name)
    return {"role": role} | ({"name": allowed} if allowed else {}) | {"content": encode_parts(parts, role) or None}
