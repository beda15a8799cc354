"""LangChain's messages, as `message_to_dict` of langchain-core gives them and `messages_from_dict` loads them.

`{"type": "human" | "ai" | "system" | "tool" | …, "data": {"content": …, …}}`. Content is a text or a list of blocks:
the standard ones of version 1 (langchain_core/messages/content.py), those of version 0, and those of the providers.
"""

from typing import Any

from app.codecs import Codec, Untranslatable, neutral, register
from app.codecs.langchain_blocks import read_block, write_content
from app.codecs.neutral import Json
from app.codecs.parts import Part, Refusal
from app.codecs.said import INSTRUCTING, Call, Result, Said, steps
from app.codecs.speech import Speech, object_given, tool_of
from app.codecs.values import object_of

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool"}
_CHAT_ROLES = {"ai": "assistant", "model": "assistant"} | {role: role for role in ("assistant", "system", "developer")}
_OPENAI_ROLE = "__openai_role__"
"""Where langchain-openai keeps that a system message is a developer's."""


def read(item: Json) -> Json:
    """The message that one of LangChain's says; of a type that LangChain has not, its type alone.

    Raises Untranslatable for what has no type or no data, and for content that is neither a text nor a list.
    """
    kind, data = item.get("type"), item.get("data")
    if not isinstance(kind, str) or not kind:
        raise Untranslatable("a message of LangChain has a type", "type")
    if not isinstance(data, dict):
        raise Untranslatable("a message of LangChain has its fields in data", "data")
    if kind.endswith("MessageChunk"):
        kind = kind.removesuffix("MessageChunk").lower()
    if kind not in _ROLES and kind != "chat":
        speech = Speech("assistant")
        speech.unsaid(kind)
        return speech.message()
    content = data.get("content")
    if not isinstance(content, str | list):
        raise Untranslatable("the content of a message is a text or a list of blocks", "data", "content")
    speech = Speech(_role(kind, data), details=_details(kind, data))
    _read_content(content, speech)
    if speech.role == "assistant":
        _read_assistant(data, speech)
    if kind in ("tool", "function"):
        return _result(kind, data, speech)
    return speech.message()


def write(said: Said) -> list[Json]:
    """What a message says as messages of LangChain: one for what is spoken, and one for each result."""
    written: list[Json] = []
    if said.role == "assistant":
        for step in steps(said):
            if step.parts or step.calls or (not step.results and said.type == "message"):
                written.append(_ai(step))
            written += [_tool(result, said) for result in step.results]
    else:
        written += [_tool(result, said) for result in said.results]
        if said.parts or (not written and said.type == "message"):
            written.append(_spoken(said))
    for index, one in enumerate(written):
        # Two messages with one id would be one to LangChain's `add_messages`.
        message_id = said.message.get("message_id")
        one["data"]["id"] = f"{message_id}-{index}" if index and message_id else message_id
    return written


def _role(kind: str, data: Json) -> str:
    if kind == "chat":
        return _CHAT_ROLES.get(str(data.get("role")).lower(), "user")
    if kind == "system" and _object(data.get("additional_kwargs")).get(_OPENAI_ROLE) == "developer":
        return "developer"
    return _ROLES[kind]


def _details(kind: str, data: Json) -> Json:
    used, response = _object(data.get("usage_metadata")), _object(data.get("response_metadata"))
    name = data.get("name")
    if kind == "chat" and not name and data.get("role") not in ("user", "human", *_CHAT_ROLES):
        name = data.get("role")
    return {
        "name": neutral.short(name),
        "model": neutral.short(response.get("model_name") or response.get("model") or response.get("model_id")),
        "input_tokens": neutral.tokens(used.get("input_tokens")),
        "output_tokens": neutral.tokens(used.get("output_tokens")),
    }


def _read_content(content: Any, speech: Speech) -> None:
    if isinstance(content, str):
        if content:
            speech.text(content)
        return
    for index, block in enumerate(content):
        if isinstance(block, str):
            speech.text(block)
        elif isinstance(block, dict):
            read_block(block, speech)
        else:
            raise Untranslatable("a block of content is a text or an object", "data", "content", index)


def _read_assistant(data: Json, speech: Speech) -> None:
    """What LangChain keeps of an answer outside its content. Calls that stand in the content, too, are one."""
    more = _object(data.get("additional_kwargs"))
    if not any(part["type"] == "reasoning" for part in speech.parts) and (thought := more.get("reasoning_content")):
        speech.reasoning(thought)
        speech.parts.insert(0, speech.parts.pop())
    speech.refusal(more.get("refusal"))
    inside, speech.calls = speech.calls, []
    for call in [*_list(data.get("tool_calls")), *_list(data.get("invalid_tool_calls"))]:
        speech.call(call.get("id"), call.get("name"), call.get("args"))
    if not speech.calls:
        for call in _list(more.get("tool_calls")):
            function = _object(call.get("function"))
            speech.call(call.get("id"), function.get("name"), function.get("arguments"))
    if not speech.calls and not inside:
        called = _object(more.get("function_call"))
        speech.call(None, called.get("name"), called.get("arguments"))
    known = {call["id"] for call in speech.calls}
    speech.calls += [call for call in inside if call["id"] not in known]


def _result(kind: str, data: Json, speech: Speech) -> Json:
    call_id = data.get("tool_call_id") if kind == "tool" else None
    name, content = data.get("name"), neutral.content(speech.parts) or ""
    told = Speech("tool", details=speech.details)
    told.result(call_id, name, content, is_error=data.get("status") == "error")
    return told.message()


def _spoken(said: Said) -> Json:
    kind = "system" if said.role in INSTRUCTING else "human"
    data = _data(kind, said, said.parts)
    if said.role == "developer":
        data["additional_kwargs"][_OPENAI_ROLE] = "developer"
    return {"type": kind, "data": data}


def _ai(step: Said) -> Json:
    refusal = step.parts[-1] if step.parts and isinstance(step.parts[-1], Refusal) else None
    data = _data("ai", step, step.parts[:-1] if refusal else step.parts)
    if refusal:
        data["additional_kwargs"]["refusal"] = refusal.text
    model = step.message.get("model")
    if model:
        data["response_metadata"]["model_name"] = model
    calls = [_call(call) for call in step.calls]
    data["tool_calls"] = [call for call in calls if call["type"] == "tool_call"]
    data["invalid_tool_calls"] = [call for call in calls if call["type"] == "invalid_tool_call"]
    data["usage_metadata"] = _usage(step.message)
    return {"type": "ai", "data": data}


def _call(call: Call) -> Json:
    """A call, as an invalid one where a function's arguments are no object."""
    if not call.custom and object_of(call.arguments) is None:
        return {"name": call.name, "args": call.arguments, "id": call.id, "error": None, "type": "invalid_tool_call"}
    return {"name": call.name, "args": object_given(call), "id": call.id, "type": "tool_call"}


def _usage(message: Json) -> Json | None:
    given, made, both = (message.get(name) for name in ("input_tokens", "output_tokens", "tokens"))
    if given is None and made is None:
        return None
    given, made = given or 0, made or 0
    return {"input_tokens": given, "output_tokens": made, "total_tokens": both if both is not None else given + made}


def _tool(result: Result, said: Said) -> Json:
    data = _data("tool", said, result.parts)
    data["name"] = tool_of(result)
    data |= {"tool_call_id": result.call_id, "artifact": None, "status": "error" if result.is_error else "success"}
    return {"type": "tool", "data": data}


def _data(kind: str, said: Said, parts: tuple[Part, ...]) -> Json:
    return {
        "content": write_content(parts),
        "additional_kwargs": {},
        "response_metadata": {},
        "type": kind,
        "name": said.message.get("name"),
        "id": None,
    }


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


register(Codec("langchain", read, write))
