"""Requests of OpenAI's Responses: input items."""

from dataclasses import replace
from typing import Any

from app.codecs.parts import joined_text
from app.codecs.responses import encode_call, encode_input
from app.context.groups import AnsweredCall, MessageGroup
from app.context.identifiers import CallIds, function_name
from app.context.providers import provider_format
from app.context.providers.chat_completions import instruction_role
from app.context.window import Context

MAX_CALL_ID_LENGTH = 64


@provider_format("responses")
def encode(context: Context) -> dict[str, Any]:
    """`input`, the instructions among it."""
    ids = CallIds(MAX_CALL_ID_LENGTH)
    role = instruction_role(context.instructions)
    items = [_message(role or message.role, joined_text(message.parts)) for message in context.instructions]
    for group in context.groups:
        items += _encode_group(group, ids)
    return {"input": items}


def _encode_group(group: MessageGroup, ids: CallIds) -> list[dict[str, Any]]:
    items = []
    for step in group.steps:
        if group.is_user:
            items.append(_message("user", encode_input(step.parts)))
        elif step.parts:
            # An answer with parts of its own would need the id that the provider gave it: as a text it needs none.
            items.append(_message("assistant", joined_text(step.parts)))
        calls = ids.assign(step)
        items += [
            encode_call(replace(answered.call, id=call_id, name=function_name(answered.call.name)))
            for call_id, answered in calls
        ]
        items += [_output(call_id, answered) for call_id, answered in calls]
    return items


def _message(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def _output(call_id: str, answered: AnsweredCall) -> dict[str, Any]:
    kind = "custom_tool_call_output" if answered.call.custom else "function_call_output"
    return {"type": kind, "call_id": call_id, "output": encode_input(answered.result.parts) or ""}
