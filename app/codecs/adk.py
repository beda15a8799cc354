"""Codec of Google's Agent Development Kit: `Event`s as `model_dump(mode="json", exclude_none=True)` gives them.

`{"author": "user" | <an agent>, "content": {"role": "user" | "model", "parts": […]}, "actions": {…}, …}`: see
google/adk/events/event.py and google/genai/types.py. Names may be those of Python (`function_call`) or, by alias, those
of the REST API (`functionCall`); we write those of Python.
"""

from app.codecs import Codec, UndecodableItem, register
from app.codecs.adk_parts import decode_part, encode_part, encode_result, get_field
from app.codecs.canonical import INSTRUCTION_ROLES, CanonicalMessage, ToolCall, encode_steps
from app.codecs.message_builder import MessageBuilder
from app.codecs.message_json import short_name, token_count
from app.codecs.parts import Reasoning
from app.codecs.values import Json, dict_or_empty, seconds_from_timestamp, timestamp_from_seconds

_DEFAULT_AGENT = "assistant"  # the author of an answer whose agent has no name


def decode(item: Json) -> Json:
    """The message of an event; one that says nothing, such as a change of state, is of the type `event`.

    Raises UndecodableItem for what has neither author nor content, and for content whose parts are no list.
    """
    author, content = item.get("author", ""), item.get("content")
    if not isinstance(author, str) or ("author" not in item and content is None):
        raise UndecodableItem("an event has an author", "author")
    if content is not None and not isinstance(content, dict):
        raise UndecodableItem("the content of an event is an object", "content")
    parts = content.get("parts") if content else None
    if parts is not None and not isinstance(parts, list):
        raise UndecodableItem("the content of an event has a list of parts", "content", "parts")
    builder = MessageBuilder(_role(author, content or {}), details=_details(item, author))
    for index, part in enumerate(parts or ()):
        if not isinstance(part, dict):
            raise UndecodableItem("a part of an event's content is an object", "content", "parts", index)
        decode_part(part, builder)
    if content is None:
        _decode_transcriptions(item, builder)
    if not builder.parts and not builder.calls:
        builder.add_unsupported("event")
    return builder.build()


def encode(message: CanonicalMessage) -> list[Json]:
    """The events of a message; results of tools are events of their own, beside what else it says."""
    events = encode_steps(message, _encode_speech, lambda step: [_encode_results(step)])
    for index, event in enumerate(events):
        if index and event["id"]:
            event["id"] += f"-{index}"
    return events


def _role(author: str, content: Json) -> str:
    if author in INSTRUCTION_ROLES and content.get("role") == "user":
        return author
    return "user" if author == "user" or (not author and content.get("role") == "user") else "assistant"


def _details(item: Json, author: str) -> Json:
    usage = dict_or_empty(get_field(item, "usage_metadata"))
    counts = [token_count(get_field(usage, name)) for name in ("candidates_token_count", "thoughts_token_count")]
    output_counts = [count for count in counts if count is not None]
    return {
        "name": None if author in ("user", _DEFAULT_AGENT, *INSTRUCTION_ROLES) else short_name(author),
        "model": short_name(get_field(item, "model_version")),
        "created_at": timestamp_from_seconds(item.get("timestamp")),
        "input_tokens": token_count(get_field(usage, "prompt_token_count")),
        "output_tokens": token_count(sum(output_counts)) if output_counts else None,
        "metadata": dict_or_empty(get_field(item, "custom_metadata")) or None,
    }


def _decode_transcriptions(item: Json, builder: MessageBuilder) -> None:
    """The transcript of what was said aloud in a live session."""
    for name in ("input_transcription", "output_transcription"):
        transcription = get_field(item, name)
        if isinstance(transcription, dict) and transcription.get("text"):
            builder.add_text(transcription["text"])


def _encode_speech(message: CanonicalMessage) -> Json:
    if message.role == "assistant":
        return _encode_answer(message)
    parts = [encode_part(part) for part in message.parts if not isinstance(part, Reasoning)]
    return _event(message, message.role if message.role in INSTRUCTION_ROLES else "user", "user", parts)


def _encode_answer(step: CanonicalMessage) -> Json:
    fields = step.fields
    parts = [encode_part(part) for part in step.parts] + [_encode_call(call) for call in step.calls]
    event = _event(step, str(fields.get("name") or _DEFAULT_AGENT), "model", parts)
    if fields.get("model"):
        event["model_version"] = fields["model"]
    counts = (("prompt_token_count", "input_tokens"), ("candidates_token_count", "output_tokens"))
    if usage := {name: fields[field] for name, field in counts if fields.get(field) is not None}:
        event["usage_metadata"] = usage
    return event


def _encode_results(step: CanonicalMessage) -> Json:
    """Results, as ADK has them: in the user's role, by the agent that made the calls."""
    tool_names = {call.id: call.name for call in step.calls}
    author = str(step.fields.get("name") or _DEFAULT_AGENT) if step.role == "assistant" else _DEFAULT_AGENT
    return _event(step, author, "user", [encode_result(result, tool_names) for result in step.results])


def _encode_call(call: ToolCall) -> Json:
    return {"function_call": {"id": call.id, "name": call.name, "args": call.arguments_object()}}


def _event(message: CanonicalMessage, author: str, role: str, parts: list[Json]) -> Json:
    fields = message.fields
    message_id = str(fields.get("message_id", ""))
    event: Json = {"content": {"parts": parts, "role": role}, "invocation_id": message_id, "author": author}
    event["id"] = message_id
    if fields.get("created_at"):
        event["timestamp"] = seconds_from_timestamp(fields["created_at"])
    return event | ({"custom_metadata": fields["metadata"]} if fields.get("metadata") else {})


register(Codec("adk", decode, encode))
