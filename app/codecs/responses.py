"""The items of OpenAI's Responses and Conversations: what is put in and what comes out.

https://platform.openai.com/docs/api-reference/responses/create and the types of the `openai` package.
"""

from collections.abc import Sequence
from typing import Any

from app.codecs import Codec, Untranslatable, neutral, register
from app.codecs.chat_completions import IMAGE_URLS
from app.codecs.parts import File, Image, Part, Reasoning, Refusal, Text, placeholder
from app.codecs.said import Call, Result, Said, steps

Json = dict[str, Any]

_ROLES = ("user", "assistant", "system", "developer")
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS = ("function_call_output", "custom_tool_call_output")


def read(item: Json) -> Json:
    """The message that an item is, or that stands for one which a message cannot say: it has the item's type."""
    kind = _type(item)
    if kind == "message":
        if item.get("role") not in _ROLES:
            raise Untranslatable(f"it must be one of {', '.join(_ROLES)}", "role")
        blocks = neutral.known(neutral.blocks_of(item.get("content"), "content"))
        return neutral.message(item["role"], blocks)
    if kind in _CALLS:
        return _call(item, kind)
    if kind in _OUTPUTS:
        return _output(item)
    if kind == "reasoning":
        return _thought(item)
    role = item.get("role")
    if role not in (*_ROLES, "tool"):
        role = "tool" if kind.endswith("_output") else "assistant"
    return {"role": role, "type": kind[: neutral.LONGEST_TYPE]}


def write(one: Said) -> list[Json]:
    """The items that say what a message says: each call and each result is one."""
    if one.type != "message":
        return []
    return [item for step in steps(one) for item in _step(step)]


def input_part(part: Part) -> Json:
    """A part of what is put in; what the API does not take has a text in its place."""
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


def input_content(parts: Sequence[Part]) -> str | list[Json]:
    """Parts that are put in: a text where they are one."""
    told = [part for part in parts if not isinstance(part, Reasoning)]
    if len(told) == 1 and isinstance(told[0], Text):
        return told[0].text
    return [input_part(part) for part in told]


def tool_call(call: Call) -> Json:
    """A call of a tool."""
    if call.custom:
        return {"type": "custom_tool_call", "call_id": call.id, "name": call.name, "input": call.arguments}
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _step(step: Said) -> list[Json]:
    calls = [tool_call(call) for call in step.calls]
    results = [_result(result) for result in step.results]
    told = [part for part in step.parts if not isinstance(part, Reasoning)]
    if not told and step.message.get("content") == "" and not (calls or results):
        told = [Text("")]
    if not told:
        return [*calls, *results]
    if step.role == "assistant":
        said = {"type": "message", "role": "assistant", "content": [_output_part(part) for part in told]}
        return [said, *calls, *results]
    return [*results, {"type": "message", "role": step.role, "content": [input_part(part) for part in told]}]


def _output_part(part: Part) -> Json:
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    return {"type": "output_text", "text": placeholder(part), "annotations": []}


def _result(result: Result) -> Json:
    output = input_content(result.parts) or ""
    return {"type": "function_call_output", "call_id": result.call_id, "output": output}


def _type(item: Json) -> str:
    kind = item.get("type")
    if kind is None:
        if "role" in item:
            return "message"
        if isinstance(item.get("id"), str):
            return "item_reference"
    if not isinstance(kind, str) or not kind:
        raise Untranslatable("an item has a type, or a role where it is a message", "type")
    return kind


def _call(item: Json, kind: str) -> Json:
    given = _CALLS[kind]
    for name in ("call_id", "name", given):
        if not isinstance(item.get(name), str) or (name != given and not item[name]):
            raise Untranslatable("it must be a text", name)
    make = neutral.custom_call if kind == "custom_tool_call" else neutral.function_call
    return neutral.message("assistant", [], [make(item["call_id"], item["name"], item[given])])


def _output(item: Json) -> Json:
    blocks = neutral.blocks_of(item.get("output"), "output")
    call_id = item.get("call_id")
    if call_id is not None and not isinstance(call_id, str):
        raise Untranslatable("it must be a text", "call_id")
    said = neutral.content(neutral.known(blocks))
    if not call_id:
        return {"role": "tool", "content": said}
    return neutral.message("tool", [neutral.result(call_id, said)])


def _thought(item: Json) -> Json:
    """Reasoning: what was thought, or else its summary. What is encrypted stays in the item."""
    made: Json = {"role": "assistant", "type": "reasoning"}
    for name in ("content", "summary"):
        blocks = neutral.known(neutral.blocks_of(item.get(name), name))
        texts = [block["text"] for block in blocks if block.get("type") in ("reasoning", "text")]
        if any(texts):
            made["content"] = [{"type": "reasoning", "text": text} for text in texts if text]
            break
    return made


register(Codec("responses", read, write))
