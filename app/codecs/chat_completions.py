"""The messages of OpenAI's Chat Completions, and what providers that follow it add to them.

https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Sequence
from typing import Any

from app.codecs import Codec, Untranslatable, neutral, register
from app.codecs.parts import Audio, File, Image, Part, Reasoning, Refusal, Text, placeholder
from app.codecs.said import Call, Result, Said, steps

Json = dict[str, Any]

IMAGE_URLS = ("https://", "http://", "data:image/")
_ROLES = ("user", "assistant", "system", "developer", "tool", "function")
# Under which names other providers tell what their models thought: DeepSeek and vLLM, then OpenRouter and Ollama.
_REASONING = ("reasoning_content", "reasoning")


def read(item: Json) -> Json:
    """The message that an item is."""
    role = item.get("role")
    if role not in _ROLES:
        raise Untranslatable(f"it must be one of {', '.join(_ROLES)}", "role")
    blocks = neutral.known(neutral.blocks_of(item.get("content"), "content"))
    name = neutral.short(item.get("name"))
    if role in ("tool", "function"):
        return _result(item, role, blocks, name)
    if role != "assistant":
        return neutral.message(role, blocks, name=name)
    parts = [{"type": "reasoning", "text": text} for text in _reasoning(item)] + blocks
    if isinstance(item.get("refusal"), str) and item["refusal"]:
        parts.append({"type": "refusal", "refusal": item["refusal"]})
    return neutral.message(role, parts, _calls(item), name=name)


def write(one: Said) -> list[Json]:
    """The messages that say what a message says: results of tools are messages of their own."""
    if one.type != "message":
        return []
    return [item for step in steps(one) for item in _step(step)]


def content(parts: Sequence[Part], role: str) -> str | list[Json]:
    """Parts as the content of a message of this role: a text where they are one, else those kinds that it can have."""
    told = [part for part in parts if not isinstance(part, Reasoning)]
    if len(told) == 1 and isinstance(told[0], Text):
        return told[0].text
    write_part = {"user": user_part, "assistant": assistant_part}.get(role, text_part)
    return [write_part(part) for part in told]


def text_part(part: Part) -> Json:
    """A part as a text: what is none has one in its place."""
    return {"type": "text", "text": placeholder(part)}


def assistant_part(part: Part) -> Json:
    """A part of what the model said."""
    return {"type": "refusal", "refusal": part.text} if isinstance(part, Refusal) else text_part(part)


def user_part(part: Part) -> Json:
    """A part of what the user said; what the API does not take has a text in its place."""
    match part:
        case Image(url=str(url), detail=detail) if url.startswith(IMAGE_URLS):
            return {"type": "image_url", "image_url": {"url": url} | ({"detail": detail} if detail else {})}
        case Audio(data, "wav" | "mp3" as kind):
            return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}
        case File(file_id=str(file_id)):
            return {"type": "file", "file": {"file_id": file_id}}
        case File(data=str(data), filename=name):
            return {"type": "file", "file": {"file_data": data, "filename": name or "file"}}
    return text_part(part)


def tool_call(call: Call) -> Json:
    """A call of a tool."""
    if call.custom:
        return neutral.custom_call(call.id, call.name, call.arguments)
    return neutral.function_call(call.id, call.name, call.arguments)


def _step(step: Said) -> list[Json]:
    results = [_tool(result) for result in step.results]
    if step.role == "tool":
        return results
    head: Json = {"role": step.role}
    if isinstance(step.message.get("name"), str):
        head["name"] = step.message["name"]
    said = content(step.parts, step.role)
    empty = step.message.get("content") == ""
    if step.role != "assistant":
        # Results are first: they must follow the calls they are of.
        return [*results, {**head, "content": said or ""}] if said or empty else results
    if step.calls:
        calls = [tool_call(call) for call in step.calls]
        return [{**head, "content": said or ("" if empty else None), "tool_calls": calls}, *results]
    return [{**head, "content": said or ""}, *results] if said or empty else results


def _tool(result: Result) -> Json:
    return {"role": "tool", "tool_call_id": result.call_id, "content": content(result.parts, "tool") or ""}


def _result(item: Json, role: str, blocks: list[Json], name: str | None) -> Json:
    """A result. Those of functions have no call id: one is made of the function's name, as for the call."""
    given = item.get("tool_call_id") if role == "tool" else _call_id(item.get("name"))
    said = neutral.content(blocks)
    if given is None:
        return {"role": "tool", "content": said} | ({"name": name} if name else {})
    if not isinstance(given, str):
        raise Untranslatable("it must be a text", "tool_call_id")
    return neutral.message("tool", [neutral.result(given, said)], name=name)


def _calls(item: Json) -> list[Json]:
    calls = item.get("tool_calls") or []
    if not isinstance(calls, list):
        raise Untranslatable("it must be a list", "tool_calls")
    for index, call in enumerate(calls):
        if not isinstance(call, dict):
            raise Untranslatable("a tool call must be an object", "tool_calls", index)
    called = item.get("function_call")
    if isinstance(called, dict) and (call_id := _call_id(called.get("name"))):
        arguments = called.get("arguments")
        calls = [
            *calls,
            neutral.function_call(call_id, called["name"], arguments if isinstance(arguments, str) else "{}"),
        ]
    return calls


def _call_id(name: object) -> str | None:
    """What a call without an id is called: functions, which tools replaced, are called one at a time."""
    return f"call_{name}" if isinstance(name, str) and name else None


def _reasoning(item: Json) -> list[str]:
    found = (item.get(name) for name in _REASONING)
    return [text for text in found if isinstance(text, str) and text][:1]


register(Codec("chat_completions", read, write))
