"""The `UIMessage` of Vercel's AI SDK, versions 5 to 7: what `useChat` holds and `convertToModelMessages` takes.

A part of a tool is a call and, once there is one, its result. See the package `ai`: src/ui/ui-messages.ts.
"""

import re
from typing import Any

from app.codecs import Codec, Untranslatable, neutral, register
from app.codecs.media import UNKNOWN, Media, linked, media
from app.codecs.neutral import Json
from app.codecs.parts import Audio, File, Image, Part, Reasoning, Refusal, Text, parts_of, texts
from app.codecs.said import INSTRUCTING, Call, Result, Said, steps
from app.codecs.speech import Speech, object_given, tool_of
from app.codecs.values import text_of, value_of

_ROLES = ("system", "user", "assistant")
_FILE = "data-file"
"""A part of our own, in the form that the SDK has for an application's data: a file that it cannot fetch by a URL."""
_FILE_FIELDS = (("file_id", "fileId"), ("url", "url"), ("filename", "filename"))
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+").fullmatch
_RESULT_ONLY = {"chatkeep": {"resultOnly": True}}
"""What a provider's metadata say of a part of a tool whose call is in another message: models' providers pass it by."""
_OUTCOME = ("state", "output", "errorText")
_DENIED = "Tool call execution denied."  # as convertToModelMessages says where there is no reason


def read(item: Json) -> Json:
    """The message that a UIMessage says. Raises Untranslatable for one without a role or without parts."""
    role = item.get("role")
    if role not in _ROLES:
        raise Untranslatable("the role of a UI message is system, user or assistant", "role")
    if not isinstance(item.get("id", ""), str):
        raise Untranslatable("the id of a UI message is a text", "id")
    parts = item.get("parts")
    if not isinstance(parts, list):
        raise Untranslatable("a UI message has a list of parts", "parts")
    metadata = item.get("metadata")
    speech = Speech(role, details={"metadata": metadata if isinstance(metadata, dict) and metadata else None})
    for index, part in enumerate(parts):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise Untranslatable("a part of a UI message is an object with a type", "parts", index)
        _read(part, speech)
    return speech.message()


def write(said: Said) -> list[Json]:
    """What a message says as one UIMessage; one of a user's that brings results of tools is two."""
    message_id = str(said.message.get("message_id", ""))
    if said.role == "assistant":
        parts = _assistant(said)
        return [_message(said, message_id, "assistant", parts)] if parts or said.type == "message" else []
    role = "system" if said.role in INSTRUCTING else "user"
    results = [_tool(None, result) for result in said.results]
    spoken = [_part(part) for part in said.parts]
    if not results:
        if not spoken and said.type != "message":
            return []
        # The SDK takes no message of a user or of the system without a part.
        return [_message(said, message_id, role, spoken or [{"type": "text", "text": ""}])]
    if not spoken:
        return [_message(said, message_id, "assistant", results)]
    given = _message(said, f"{message_id}-results", "assistant", results)
    return [given, _message(said, message_id, role, spoken)]


def join(items: list[Json]) -> list[Json]:
    """UIMessages that follow each other, with the results that stand by themselves put to their calls before them.

    The SDK knows no result without its call: it would say the call again, and the first one had none.
    """
    joined: list[Json] = []
    waiting: dict[str, tuple[int, int]] = {}  # call id -> the message and the part in it that calls
    for item in items:
        results = [part for part in item["parts"] if _is_result_only(part)]
        ids = {part["toolCallId"] for part in results}
        if results and len(ids) == len(item["parts"]) and ids <= waiting.keys():
            for part in results:
                message, index = waiting.pop(part["toolCallId"])
                parts = list(joined[message]["parts"])
                parts[index] = parts[index] | {name: part[name] for name in _OUTCOME if name in part}
                joined[message] = joined[message] | {"parts": parts}
            continue
        joined.append(item)
        for index, part in enumerate(item["parts"]):
            if part.get("state") == "input-available" and isinstance(part.get("toolCallId"), str):
                waiting[part["toolCallId"]] = (len(joined) - 1, index)
    return joined


def _is_result_only(part: Json) -> bool:
    return part.get("callProviderMetadata") == _RESULT_ONLY and isinstance(part.get("toolCallId"), str)


def _read(part: Json, speech: Speech) -> None:
    kind = part["type"]
    match kind:
        case "text":
            speech.text(part.get("text"))
        case "reasoning":
            speech.reasoning(part.get("text"))
        case "file" if isinstance(part.get("url"), str):
            speech.media(
                linked(part["url"], kind=_string(part.get("mediaType")), filename=_string(part.get("filename")))
            )
        case "data-file" if isinstance(data := part.get("data"), dict):
            given = {name: _string(data.get(key)) for name, key in _FILE_FIELDS}
            speech.media(Media(_string(data.get("mediaType")) or UNKNOWN, **given))
        case _ if speech.role == "assistant" and (name := _called(part)):
            _read_tool(part, name, speech)
        case _:
            speech.unsaid(kind)


def _called(part: Json) -> str | None:
    """The name of the tool that a part is of. What is still being written calls nothing yet, as in the SDK itself."""
    if not isinstance(part.get("toolCallId"), str) or part.get("state") == "input-streaming":
        return None
    kind: str = part["type"]
    return _string(part.get("toolName")) if kind == "dynamic-tool" else kind[5:] if kind.startswith("tool-") else None


def _read_tool(part: Json, name: str, speech: Speech) -> None:
    call_id, state = part["toolCallId"], part.get("state")
    named = name
    if part.get("callProviderMetadata") != _RESULT_ONLY:
        given, named, call_id = part.get("input"), "", call_id or name  # the name stands at the call
        speech.call(call_id, name, part.get("rawInput") if given is None else given)
    if state == "output-available":
        speech.result(call_id, named, _output(part.get("output")))
    elif state == "output-error":
        speech.result(call_id, named, text_of(part.get("errorText", "")), is_error=True)
    elif state == "output-denied":
        approval = part.get("approval")
        reason = approval.get("reason") if isinstance(approval, dict) else None
        speech.result(call_id, named, _string(reason) or _DENIED, is_error=True)


def _output(output: Any) -> str | list[Json]:
    """What a tool gave, as parts where it is a list of what we know as parts."""
    if isinstance(output, list) and output:
        known = [parts_of([one]) for one in output]
        if all(known):
            return [neutral.part(parts[0]) for parts in known]
    return text_of(output)


def _message(said: Said, message_id: str, role: str, parts: list[Json]) -> Json:
    metadata = said.message.get("metadata")
    return {"id": message_id, "role": role} | ({"metadata": metadata} if metadata else {}) | {"parts": parts}


def _assistant(said: Said) -> list[Json]:
    written: list[Json] = []
    for step in steps(said):
        if written:
            written.append({"type": "step-start"})
        written += [_part(part) for part in step.parts]
        left = list(step.results)
        for call in step.calls:
            result = next((one for one in left if one.call_id == call.id), None)
            left = [one for one in left if one is not result]
            written.append(_tool(call, result))
        written += [_tool(None, result) for result in left]
    return written


def _part(part: Part) -> Json:
    match part:
        case Text(text) | Refusal(text):
            return {"type": "text", "text": text}
        case Reasoning(text):
            return {"type": "reasoning", "text": text}
        case Image() | Audio() | File():
            return _file(media(part))


def _file(held: Media) -> Json:
    name = {"filename": held.filename} if held.filename else {}
    if held.link is None or not _URL(held.link):
        where = {"fileId": held.file_id} if held.link is None else {"url": held.link}
        return {"type": _FILE, "data": where | {"mediaType": held.type} | name}
    return {"type": "file", "mediaType": held.type} | name | {"url": held.link}


def _tool(call: Call | None, result: Result | None) -> Json:
    """A part of a tool. A result by itself is one of a tool that the SDK need not know, whose input nobody knows."""
    if call is not None:
        given = object_given(call) if call.custom else value_of(call.arguments)
        part: Json = {"type": f"tool-{call.name}", "toolCallId": call.id, "state": "input-available", "input": given}
    else:
        assert result is not None
        name = tool_of(result) or "tool"
        part = {"type": "dynamic-tool", "toolName": name, "toolCallId": result.call_id, "input": {}}
        part["callProviderMetadata"] = _RESULT_ONLY
    if result is None:
        return part
    if result.is_error:
        return part | {"state": "output-error", "errorText": texts(result.parts)}
    return part | {"state": "output-available", "output": _given(result.parts)}


def _given(parts: tuple[Part, ...]) -> Any:
    if len(parts) == 1 and isinstance(parts[0], Text):
        return value_of(parts[0].text)
    return [neutral.part(part) for part in parts] or ""


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


register(Codec("ui", read, write, join))
