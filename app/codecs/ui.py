"""Codec of Vercel's AI SDK, versions 5 to 7: `UIMessage`s, which `useChat` holds and `convertToModelMessages` takes.

A part of a tool is a call and, once there is one, its result. See the package `ai`: src/ui/ui-messages.ts.
"""

import re
from typing import Any

from app.codecs import Codec, UndecodableItem, register
from app.codecs.canonical import INSTRUCTION_ROLES, CanonicalMessage, ToolCall, ToolResult, split_steps
from app.codecs.media import UNKNOWN_TYPE, Media
from app.codecs.message_builder import MessageBuilder
from app.codecs.message_json import part_json, tool_output
from app.codecs.parts import Audio, File, Image, Part, Reasoning, Refusal, Text, joined_text
from app.codecs.values import Json, as_text, dict_or_empty, parse_json, string_or_none

_ROLES = ("system", "user", "assistant")
_FILE_TYPE = "data-file"
"""A part of our own, in the form that the SDK has for an application's data: a file that it cannot fetch by a URL."""
_FILE_FIELDS = (("file_id", "fileId"), ("url", "url"), ("filename", "filename"))
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+").fullmatch
_RESULT_ONLY = {"chatkeep": {"resultOnly": True}}
"""The provider metadata of a tool's part whose call is in another message. Models' providers ignore it."""
_RESULT_FIELDS = ("state", "output", "errorText")
_DENIED = "Tool call execution denied."  # the words of convertToModelMessages where no reason is given


def decode(item: Json) -> Json:
    """The message of an item. Raises UndecodableItem for one without a role or without parts."""
    role = item.get("role")
    if role not in _ROLES:
        raise UndecodableItem("the role of a UI message is system, user or assistant", "role")
    if not isinstance(item.get("id", ""), str):
        raise UndecodableItem("the id of a UI message is a text", "id")
    parts = item.get("parts")
    if not isinstance(parts, list):
        raise UndecodableItem("a UI message has a list of parts", "parts")
    builder = MessageBuilder(role, details={"metadata": dict_or_empty(item.get("metadata")) or None})
    for index, part in enumerate(parts):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise UndecodableItem("a part of a UI message is an object with a type", "parts", index)
        _decode_part(part, builder)
    return builder.build()


def encode(message: CanonicalMessage) -> list[Json]:
    """The items of a message: one, or two for a user's that also holds results of tools."""
    message_id = str(message.fields.get("message_id", ""))
    if message.role == "assistant":
        parts = _encode_assistant(message)
        return [_item(message, message_id, "assistant", parts)] if parts or message.type == "message" else []
    role = "system" if message.role in INSTRUCTION_ROLES else "user"
    results = [_encode_tool(None, result) for result in message.results]
    parts = [_encode_part(part) for part in message.parts]
    if not results:
        if not parts and message.type != "message":
            return []
        # The SDK takes no message of a user or of the system without a part.
        return [_item(message, message_id, role, parts or [{"type": "text", "text": ""}])]
    if not parts:
        return [_item(message, message_id, "assistant", results)]
    results_item = _item(message, f"{message_id}-results", "assistant", results)
    return [results_item, _item(message, message_id, role, parts)]


def join(items: list[Json]) -> list[Json]:
    """Moves results that stand alone into the parts of their calls, where those are in an earlier item.

    The SDK knows no result without its call: it would give the model the call again, and the first without a result.
    """
    joined: list[Json] = []
    open_calls: dict[str, tuple[int, int]] = {}  # call id -> the item in `joined` and the part in it that calls
    for item in items:
        results = [part for part in item["parts"] if _is_result_only(part)]
        ids = {part["toolCallId"] for part in results}
        if results and len(ids) == len(item["parts"]) and ids <= open_calls.keys():
            for part in results:
                position, index = open_calls.pop(part["toolCallId"])
                parts = list(joined[position]["parts"])
                parts[index] = parts[index] | {name: part[name] for name in _RESULT_FIELDS if name in part}
                joined[position] = joined[position] | {"parts": parts}
            continue
        joined.append(item)
        for index, part in enumerate(item["parts"]):
            if part.get("state") == "input-available" and isinstance(part.get("toolCallId"), str):
                open_calls[part["toolCallId"]] = (len(joined) - 1, index)
    return joined


def _is_result_only(part: Json) -> bool:
    return part.get("callProviderMetadata") == _RESULT_ONLY and isinstance(part.get("toolCallId"), str)


def _decode_part(part: Json, builder: MessageBuilder) -> None:
    kind = part["type"]
    match kind:
        case "text":
            builder.add_text(part.get("text"))
        case "reasoning":
            builder.add_reasoning(part.get("text"))
        case "file" if isinstance(part.get("url"), str):
            media_type, filename = string_or_none(part.get("mediaType")), string_or_none(part.get("filename"))
            builder.add_media(Media.from_url(part["url"], kind=media_type, filename=filename))
        case "data-file" if isinstance(data := part.get("data"), dict):
            fields = {name: string_or_none(data.get(key)) for name, key in _FILE_FIELDS}
            builder.add_media(Media(string_or_none(data.get("mediaType")) or UNKNOWN_TYPE, **fields))
        case _ if builder.role == "assistant" and (name := _tool_name(part)):
            _decode_tool(part, name, builder)
        case _:
            builder.add_unsupported(kind)


def _tool_name(part: Json) -> str | None:
    """The name of a part's tool. As in the SDK, a call that is still being written is none yet."""
    if not isinstance(part.get("toolCallId"), str) or part.get("state") == "input-streaming":
        return None
    kind: str = part["type"]
    if kind == "dynamic-tool":
        return string_or_none(part.get("toolName"))
    return kind.removeprefix("tool-") if kind.startswith("tool-") else None


def _decode_tool(part: Json, name: str, builder: MessageBuilder) -> None:
    call_id, state = part["toolCallId"], part.get("state")
    result_name = name
    if part.get("callProviderMetadata") != _RESULT_ONLY:
        # The call has the name already.
        arguments, result_name, call_id = part.get("input"), "", call_id or name
        builder.add_call(call_id, name, part.get("rawInput") if arguments is None else arguments)
    if state == "output-available":
        builder.add_result(call_id, result_name, tool_output(part.get("output")))
    elif state == "output-error":
        builder.add_result(call_id, result_name, as_text(part.get("errorText", "")), is_error=True)
    elif state == "output-denied":
        approval = part.get("approval")
        reason = approval.get("reason") if isinstance(approval, dict) else None
        builder.add_result(call_id, result_name, string_or_none(reason) or _DENIED, is_error=True)


def _item(message: CanonicalMessage, message_id: str, role: str, parts: list[Json]) -> Json:
    metadata = message.fields.get("metadata")
    return {"id": message_id, "role": role} | ({"metadata": metadata} if metadata else {}) | {"parts": parts}


def _encode_assistant(message: CanonicalMessage) -> list[Json]:
    parts: list[Json] = []
    for step in split_steps(message):
        if parts:
            parts.append({"type": "step-start"})
        parts += [_encode_part(part) for part in step.parts]
        unmatched = list(step.results)
        for call in step.calls:
            result = next((result for result in unmatched if result.call_id == call.id), None)
            unmatched = [other for other in unmatched if other is not result]
            parts.append(_encode_tool(call, result))
        parts += [_encode_tool(None, result) for result in unmatched]
    return parts


def _encode_part(part: Part) -> Json:
    match part:
        case Text(text) | Refusal(text):
            return {"type": "text", "text": text}
        case Reasoning(text):
            return {"type": "reasoning", "text": text}
        case Image() | Audio() | File():
            return _encode_media(Media.from_part(part))


def _encode_media(media: Media) -> Json:
    name = {"filename": media.filename} if media.filename else {}
    if media.any_url is None or not _URL(media.any_url):
        location = {"fileId": media.file_id} if media.any_url is None else {"url": media.any_url}
        return {"type": _FILE_TYPE, "data": location | {"mediaType": media.type} | name}
    return {"type": "file", "mediaType": media.type} | name | {"url": media.any_url}


def _encode_tool(call: ToolCall | None, result: ToolResult | None) -> Json:
    """The part of a tool. A result alone is that of a dynamic tool, which the SDK need not know, without its input."""
    if call is not None:
        arguments = call.arguments_object() if call.custom else parse_json(call.arguments)
        part: Json = {"type": f"tool-{call.name}", "toolCallId": call.id}
        part |= {"state": "input-available", "input": arguments}
    else:
        assert result is not None
        name = result.tool_name or "tool"
        part = {"type": "dynamic-tool", "toolName": name, "toolCallId": result.call_id, "input": {}}
        part["callProviderMetadata"] = _RESULT_ONLY
    if result is None:
        return part
    if result.is_error:
        return part | {"state": "output-error", "errorText": joined_text(result.parts)}
    return part | {"state": "output-available", "output": _encode_output(result.parts)}


def _encode_output(parts: tuple[Part, ...]) -> Any:
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parse_json(parts[0].text)
    return [part_json(part) for part in parts] or ""


register(Codec("ui", decode, encode, join))
