"""The `Event` of Google's Agent Development Kit, as its `model_dump(mode="json", exclude_none=True)` gives it.

`{"author": "user" | <an agent>, "content": {"role": "user" | "model", "parts": […]}, "actions": {…}, …}`: see
google/adk/events/event.py and google/genai/types.py. Names may be those of Python (`function_call`) or, by alias, those
of the REST API (`functionCall`); we write those of Python.
"""

from app.codecs import Codec, Untranslatable, neutral, register
from app.codecs.adk_parts import get, read_part, write_part, write_result
from app.codecs.neutral import Json
from app.codecs.parts import Reasoning
from app.codecs.said import INSTRUCTING, Call, Said, steps
from app.codecs.speech import Speech, object_given
from app.codecs.values import moment_at, seconds_at

_AGENT = "assistant"  # whoever speaks for the model where no agent is named
_NOTHING_SAID = "event"


def read(item: Json) -> Json:
    """The message that an event says; one that says nothing, such as a change of state, is of the type `event`.

    Raises Untranslatable for what has neither author nor content, and for content whose parts are no list.
    """
    author, content = item.get("author", ""), item.get("content")
    if not isinstance(author, str) or ("author" not in item and content is None):
        raise Untranslatable("an event has an author", "author")
    if content is not None and not isinstance(content, dict):
        raise Untranslatable("the content of an event is an object", "content")
    parts = content.get("parts") if content else None
    if parts is not None and not isinstance(parts, list):
        raise Untranslatable("the content of an event has a list of parts", "content", "parts")
    speech = Speech(_role(author, content or {}), details=_details(item, author))
    for index, part in enumerate(parts or ()):
        if not isinstance(part, dict):
            raise Untranslatable("a part of an event's content is an object", "content", "parts", index)
        read_part(part, speech)
    if content is None:
        _read_transcriptions(item, speech)
    if not speech.parts and not speech.calls:
        speech.unsaid(_NOTHING_SAID)
    return speech.message()


def write(said: Said) -> list[Json]:
    """What a message says as events; results of tools are events of their own, beside what else a message says."""
    written: list[Json] = []
    if said.role == "assistant":
        for step in steps(said):
            if step.parts or step.calls or (not step.results and said.type == "message"):
                written.append(_answer(step))
            if step.results:
                written.append(_results(step))
    else:
        if said.results:
            written.append(_results(said))
        if said.parts or (not written and said.type == "message"):
            parts = [write_part(part) for part in said.parts if not isinstance(part, Reasoning)]
            author = said.role if said.role in INSTRUCTING else "user"
            written.append(_event(said, author, "user", parts))
    for index, event in enumerate(written):
        if index and event["id"]:
            event["id"] += f"-{index}"
    return written


def _role(author: str, content: Json) -> str:
    if author in INSTRUCTING and content.get("role") == "user":
        return author
    return "user" if author == "user" or (not author and content.get("role") == "user") else "assistant"


def _details(item: Json, author: str) -> Json:
    used, metadata = get(item, "usage_metadata"), get(item, "custom_metadata")
    used = used if isinstance(used, dict) else {}
    made = [neutral.tokens(get(used, name)) for name in ("candidates_token_count", "thoughts_token_count")]
    counted = [count for count in made if count is not None]
    return {
        "name": None if author in ("user", _AGENT, *INSTRUCTING) else neutral.short(author),
        "model": neutral.short(get(item, "model_version")),
        "created_at": moment_at(item.get("timestamp")),
        "input_tokens": neutral.tokens(get(used, "prompt_token_count")),
        "output_tokens": neutral.tokens(sum(counted)) if counted else None,
        "metadata": metadata if isinstance(metadata, dict) and metadata else None,
    }


def _read_transcriptions(item: Json, speech: Speech) -> None:
    """What was said aloud in a live session, as it was understood."""
    for name in ("input_transcription", "output_transcription"):
        heard = get(item, name)
        if isinstance(heard, dict) and heard.get("text"):
            speech.text(heard["text"])


def _answer(step: Said) -> Json:
    message = step.message
    parts = [write_part(part) for part in step.parts] + [_call(call) for call in step.calls]
    event = _event(step, str(message.get("name") or _AGENT), "model", parts)
    if message.get("model"):
        event["model_version"] = message["model"]
    given, made = message.get("input_tokens"), message.get("output_tokens")
    usage = {"prompt_token_count": given, "candidates_token_count": made}
    if usage := {name: count for name, count in usage.items() if count is not None}:
        event["usage_metadata"] = usage
    return event


def _results(step: Said) -> Json:
    """Results, as ADK has them: said in the user's role, by the agent that made the calls."""
    named = {call.id: call.name for call in step.calls}
    author = str(step.message.get("name") or _AGENT) if step.role == "assistant" else _AGENT
    return _event(step, author, "user", [write_result(result, named) for result in step.results])


def _call(call: Call) -> Json:
    """A call, whose arguments are an object here."""
    return {"function_call": {"id": call.id, "name": call.name, "args": object_given(call)}}


def _event(said: Said, author: str, role: str, parts: list[Json]) -> Json:
    message = said.message
    message_id = str(message.get("message_id", ""))
    event: Json = {"content": {"parts": parts, "role": role}, "invocation_id": message_id, "author": author}
    event["id"] = message_id
    if message.get("created_at"):
        event["timestamp"] = seconds_at(message["created_at"])
    return event | ({"custom_metadata": message["metadata"]} if message.get("metadata") else {})


register(Codec("adk", read, write))
