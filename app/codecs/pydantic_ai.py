"""One `ModelMessage` of Pydantic-AI, as its `ModelMessagesTypeAdapter` writes it as JSON.

`{"kind": "request", "parts": [{"part_kind": "user-prompt", …}, …]}` or `{"kind": "response", …}`: see
pydantic_ai/messages.py. A request is all that goes to the model at once, a response all that comes back.
"""

from typing import Any

from app.codecs import Codec, Untranslatable, neutral, register
from app.codecs.neutral import Json
from app.codecs.parts import Part, placeholder, texts
from app.codecs.pydantic_ai_content import content_of, read_content, returned, write_content
from app.codecs.said import INSTRUCTING, Call, Result, Said, steps
from app.codecs.speech import Speech, object_given, tool_of
from app.codecs.values import moment_in, text_of, value_of

_FAILED = ("failed", "denied", "interrupted", "retried")


def read(item: Json) -> Json:
    """The message that a ModelMessage says: a response is the assistant's, a request the user's unless it has others.

    A request's results of tools alone are a tool's, its system prompts alone the system's; system prompts that stand
    beside something else are not said. Raises Untranslatable for what has no kind or no parts.
    """
    kind = item.get("kind")
    if kind not in ("request", "response"):
        raise Untranslatable("the kind of a message of Pydantic-AI is request or response", "kind")
    parts = item.get("parts")
    if not isinstance(parts, list):
        raise Untranslatable("a message of Pydantic-AI has a list of parts", "parts")
    for index, part in enumerate(parts):
        if not isinstance(part, dict) or not isinstance(part.get("part_kind"), str):
            raise Untranslatable("a part of a message is an object with a part_kind", "parts", index)
    return _request(item, parts) if kind == "request" else _response(item, parts)


def write(said: Said) -> list[Json]:
    """What a message says as ModelMessages; the results that an assistant's message holds are requests after it."""
    if said.role != "assistant":
        return _requests(said)
    written: list[Json] = []
    for step in steps(said):
        if step.parts or step.calls or (not step.results and said.type == "message"):
            written.append(_written_response(step))
        if step.results:
            written.append(_written_request(said, [_return(result, said) for result in step.results]))
    return written


def _request(item: Json, parts: list[Json]) -> Json:
    kinds = {part["part_kind"] for part in parts}
    if kinds == {"system-prompt"}:
        speech = Speech("system")
        for part in parts:
            speech.text(part.get("content"))
    else:
        speech = Speech("user")
        for part in parts:
            _read_part(part, speech)
    moments = (moment_in(one.get("timestamp")) for one in [item, *parts])
    speech.details = {"created_at": next(filter(None, moments), None), "metadata": _metadata(item)}
    return speech.message()


def _response(item: Json, parts: list[Json]) -> Json:
    usage = item.get("usage")
    used = usage if isinstance(usage, dict) else {}
    speech = Speech("assistant")
    for part in parts:
        _read_part(part, speech)
    speech.details = {
        "model": neutral.short(item.get("model_name")),
        "created_at": moment_in(item.get("timestamp")),
        # What a provider does not count is 0 here.
        "input_tokens": neutral.tokens(used.get("input_tokens")) or None,
        "output_tokens": neutral.tokens(used.get("output_tokens")) or None,
        "metadata": _metadata(item),
    }
    return speech.message()


def _read_part(part: Json, speech: Speech) -> None:
    content = part.get("content")
    match part["part_kind"]:
        case "user-prompt":
            read_content(content, speech)
        case "text":
            speech.text(content)
        case "thinking":
            speech.reasoning(content)
        case "file":
            read_content([content], speech)
        case "speech":
            _read_speech(part, speech)
        case "tool-call" | "builtin-tool-call":
            speech.call(part.get("tool_call_id"), part.get("tool_name"), part.get("args"))
        case "tool-return" | "builtin-tool-return":
            failed = part.get("outcome") in _FAILED
            speech.result(part.get("tool_call_id"), part.get("tool_name"), returned(content), is_error=failed)
        case "retry-prompt" if part.get("tool_name"):
            speech.result(part.get("tool_call_id"), part["tool_name"], text_of(content or ""), is_error=True)
        case "retry-prompt" | "retry-feedback":
            speech.text(text_of(content or ""))
        case kind:
            speech.unsaid(kind)


def _read_speech(part: Json, speech: Speech) -> None:
    """What was said aloud: what was understood of it, or else the recording."""
    if part.get("transcript"):
        speech.text(part["transcript"])
    else:
        read_content([part.get("audio")], speech)


def _metadata(item: Json) -> Json | None:
    metadata = item.get("metadata")
    return metadata if isinstance(metadata, dict) and metadata else None


def _requests(said: Said) -> list[Json]:
    if said.role in INSTRUCTING:
        parts: list[Json] = [{"part_kind": "system-prompt", "content": texts(said.parts)}]
    else:
        parts = [_return(result, said) for result in said.results]
        if said.parts or not parts:
            parts.append({"part_kind": "user-prompt", "content": write_content(said.parts)})
    if not said.parts and not said.results and said.type != "message":
        return []
    return [_written_request(said, parts)]


def _written_request(said: Said, parts: list[Json]) -> Json:
    moment = _moment(said)
    # A part without a moment would be given that of its loading.
    request: Json = {"kind": "request", "parts": [part | moment for part in parts]} | moment
    return request | ({"metadata": said.message["metadata"]} if said.message.get("metadata") else {})


def _written_response(step: Said) -> Json:
    message = step.message
    response: Json = {"kind": "response", "parts": [_part(part) for part in step.parts]}
    response["parts"] += [_call(call) for call in step.calls]
    response |= _moment(step)
    if message.get("model"):
        response["model_name"] = message["model"]
    if usage := {name: message[name] for name in ("input_tokens", "output_tokens") if message.get(name)}:
        response["usage"] = usage
    return response | ({"metadata": message["metadata"]} if message.get("metadata") else {})


def _part(part: Part) -> Json:
    """A part of a response, which has no files but those that it holds."""
    kind, content = content_of(part)
    if kind == "binary":
        return {"part_kind": "file", "content": content}
    if kind == "reasoning":
        return {"part_kind": "thinking", "content": content}
    return {"part_kind": "text", "content": content if isinstance(content, str) else placeholder(part)}


def _call(call: Call) -> Json:
    args = object_given(call) if call.custom else call.arguments
    return {"part_kind": "tool-call", "tool_name": call.name, "args": args, "tool_call_id": call.id}


def _return(result: Result, said: Said) -> Json:
    name = tool_of(result) or next((call.name for call in said.calls if call.id == result.call_id), "tool")
    part = {"part_kind": "tool-return", "tool_name": name, "tool_call_id": result.call_id}
    part |= {"content": _given(result.parts)}
    return part | ({"outcome": "failed"} if result.is_error else {})


def _given(parts: tuple[Part, ...]) -> Any:
    content = write_content(parts)
    if isinstance(content, str):
        return value_of(content)
    return content if any(isinstance(one, dict) for one in content) else texts(parts)


def _moment(said: Said) -> Json:
    created_at = said.message.get("created_at")
    return {"timestamp": created_at} if created_at else {}


register(Codec("pydantic_ai", read, write))
