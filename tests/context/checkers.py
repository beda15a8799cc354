"""What each provider refuses, as its documentation and its error messages say; an AssertionError says what."""

import json
import re
from typing import Any

from tests.callers import Json

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
ANTHROPIC_ID = re.compile(r"[a-zA-Z0-9_-]+")
BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def keys(value: Any, required: str, optional: str = "") -> None:
    """Checks that an object has these fields and no other."""
    assert isinstance(value, dict)
    assert set(required.split()) <= value.keys() <= {*required.split(), *optional.split()}, value


def text(value: Any) -> None:
    """Checks a text that must say something."""
    assert isinstance(value, str), value
    assert value.strip(), "an empty text"


def image_url(url: Any) -> None:
    """Checks an image's address."""
    assert isinstance(url, str)
    assert url.startswith(("https://", "http://", "data:image/")), url


def chat_completions(context: Json) -> None:
    """Checks `messages` of Chat Completions."""
    keys(context, "messages")
    messages = context["messages"]
    assert len(messages) <= 2048
    open_calls: dict[str, bool] = {}
    used: set[str] = set()
    for message in messages:
        assert message["role"] in {"system", "developer", "user", "assistant", "tool"}
        if message["role"] == "tool":
            keys(message, "role tool_call_id content")
            # "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'"
            assert open_calls.pop(message["tool_call_id"], None) is not None, "no such call"
            if isinstance(message["content"], list):
                for part in message["content"]:
                    chat_part(part, {"text"})
            else:
                assert isinstance(message["content"], str)
            continue
        # "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'."
        assert not open_calls, f"calls without result: {open_calls}"
        if "name" in message:
            assert NAME.fullmatch(message["name"])
        if message["role"] == "assistant":
            open_calls = dict.fromkeys(chat_assistant(message), True)
            assert not used & open_calls.keys(), "a call id twice"
            used |= open_calls.keys()
        else:
            keys(message, "role content", "name")
            media = {"text", "image_url", "input_audio", "file"} if message["role"] == "user" else {"text"}
            chat_content(message["content"], media)
    assert not open_calls, f"calls without result: {open_calls}"
    assert not {"system", "developer"} <= {message["role"] for message in messages}
    roles = [message["role"] for message in messages]
    conversation = [role for role in roles if role not in {"system", "developer"}]
    assert roles[len(roles) - len(conversation) :] == conversation, "instructions come first"
    assert conversation[:1] in ([], ["user"])


def chat_assistant(message: Json) -> list[str]:
    """Checks an answer; gives its call ids."""
    keys(message, "role content", "name tool_calls")
    calls = message.get("tool_calls")
    if message["content"] is None:
        assert calls, "neither content nor calls"
    else:
        chat_content(message["content"], {"text", "refusal"})
    if calls is None:
        return []
    assert isinstance(calls, list)
    assert calls, "[] is too short - 'tool_calls'"
    for call in calls:
        assert isinstance(call["id"], str)
        assert 0 < len(call["id"]) <= 40, "string too long: tool_calls[].id"
        if call["type"] == "custom":
            keys(call, "id type custom")
            keys(call["custom"], "name input")
            assert NAME.fullmatch(call["custom"]["name"])
        else:
            keys(call, "id type function")
            keys(call["function"], "name arguments")
            assert NAME.fullmatch(call["function"]["name"])
            assert isinstance(call["function"]["arguments"], str)
            assert call["function"]["arguments"]
    ids = [call["id"] for call in calls]
    assert len(ids) == len(set(ids))
    return ids


def chat_content(content: Any, kinds: set[str]) -> None:
    """Checks a text or a list of parts of these kinds."""
    if isinstance(content, str):
        text(content)
        return
    assert isinstance(content, list)
    assert content, "no parts"
    for part in content:
        chat_part(part, kinds)


def chat_part(part: Json, kinds: set[str]) -> None:
    """Checks a part."""
    assert part["type"] in kinds, part
    match part["type"]:
        case "text":
            keys(part, "type text")
            text(part["text"])
        case "refusal":
            keys(part, "type refusal")
            text(part["refusal"])
        case "image_url":
            keys(part["image_url"], "url", "detail")
            image_url(part["image_url"]["url"])
            assert part["image_url"].get("detail", "auto") in {"auto", "low", "high", "original"}
        case "input_audio":
            keys(part["input_audio"], "data format")
            assert part["input_audio"]["format"] in {"wav", "mp3"}
        case "file":
            assert part["file"].keys() in ({"file_id"}, {"file_data", "filename"})
            assert all(isinstance(value, str) and value for value in part["file"].values())


def responses(context: Json) -> None:
    """Checks `input` of Responses."""
    keys(context, "input")
    calls: dict[str, str] = {}
    answered: set[str] = set()
    spoke: list[str] = []
    for item in context["input"]:
        match item["type"]:
            case "message":
                keys(item, "type role content")
                spoke.append(item["role"])
                # "No tool output found for function call …"
                assert calls.keys() == answered, "calls without output"
                if item["role"] in {"assistant", "system", "developer"}:
                    text(item["content"])
                else:
                    assert item["role"] == "user"
                    response_content(item["content"])
            case "function_call" | "custom_tool_call":
                said = "arguments" if item["type"] == "function_call" else "input"
                keys(item, f"type call_id name {said}")
                assert NAME.fullmatch(item["name"])
                assert isinstance(item[said], str)
                assert 0 < len(item["call_id"]) <= 64, "string too long: call_id"
                assert item["call_id"] not in calls, "a call id twice"
                calls[item["call_id"]] = item["type"]
                spoke.append("assistant")
            case "function_call_output" | "custom_tool_call_output":
                keys(item, "type call_id output")
                # "No tool call found for function call output with call_id …"
                assert calls.get(item["call_id"]) == item["type"].removesuffix("_output")
                assert item["call_id"] not in answered, "a second output"
                answered.add(item["call_id"])
                if item["output"] != "":
                    response_content(item["output"])
            case kind:
                raise AssertionError(kind)
    assert calls.keys() == answered, "calls without output"
    assert not {"system", "developer"} <= set(spoke)
    conversation = [role for role in spoke if role not in {"system", "developer"}]
    assert spoke[len(spoke) - len(conversation) :] == conversation, "instructions come first"
    assert conversation[:1] in ([], ["user"])


def response_content(content: Any) -> None:
    """Checks what is put into the model: a text, or a list of parts."""
    if isinstance(content, str):
        text(content)
        return
    assert isinstance(content, list)
    assert content
    for part in content:
        match part["type"]:
            case "input_text":
                keys(part, "type text")
                text(part["text"])
            case "input_image":
                assert part.keys() in ({"type", "detail", "image_url"}, {"type", "detail", "file_id"})
                assert part["detail"] in {"auto", "low", "high", "original"}
                if "image_url" in part:
                    image_url(part["image_url"])
            case "input_file":
                sources = ({"type", "file_id"}, {"type", "file_url"}, {"type", "file_data", "filename"})
                assert part.keys() in sources
            case kind:
                raise AssertionError(kind)


def anthropic(context: Json) -> None:
    """Checks `system` and `messages` of Anthropic's Messages."""
    keys(context, "system messages")
    for block in context["system"]:
        keys(block, "type text")
        text(block["text"])
    messages = context["messages"]
    ids: set[str] = set()
    waiting: set[str] = set()
    for place, message in enumerate(messages):
        keys(message, "role content")
        # "first message must use the user role", "roles must alternate between user and assistant"
        assert message["role"] == ("user" if place % 2 == 0 else "assistant")
        assert message["content"], "all messages must have non-empty content"
        kinds = [block["type"] for block in message["content"]]
        # tool_result blocks come first, and right after the call.
        assert kinds == sorted(kinds, key=lambda kind: kind != "tool_result")
        for block in message["content"]:
            anthropic_block(message["role"], block)
        results = [block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"]
        assert len(results) == len(set(results)), "each tool_use must have a single result"
        # "tool_use ids were found without tool_result blocks immediately after", "unexpected tool_use_id found"
        assert set(results) == waiting
        calls = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        waiting = set(calls)
        assert len(calls) == len(waiting)
        assert not ids & waiting, "tool_use ids must be unique"
        ids |= waiting
    assert not waiting, "tool_use without tool_result"
    if messages and messages[-1]["role"] == "assistant":
        last = messages[-1]["content"][-1]
        assert last["text"] == last["text"].rstrip(), "final assistant content cannot end with trailing whitespace"


def anthropic_block(role: str, block: Json) -> None:
    """Checks a block."""
    match role, block["type"]:
        case _, "text":
            keys(block, "type text")
            text(block["text"])
        case "assistant", "tool_use":
            keys(block, "type id name input")
            assert ANTHROPIC_ID.fullmatch(block["id"])
            assert NAME.fullmatch(block["name"])
            assert isinstance(block["input"], dict)
            json.dumps(block["input"], allow_nan=False)
        case "user", "tool_result":
            keys(block, "type tool_use_id", "content is_error")
            for inner in block.get("content", [{"type": "text", "text": "x"}]):
                assert inner["type"] in {"text", "image", "document"}
                anthropic_block("user", inner)
        case "user", "image" | "document":
            keys(block, "type source")
            anthropic_source(block["type"], block["source"])
        case kind:
            raise AssertionError(kind)


def anthropic_source(kind: str, source: Json) -> None:
    """Checks where an image's or a document's bytes are."""
    if source["type"] == "url":
        keys(source, "type url")
        assert source["url"].startswith("https://")
    else:
        keys(source, "type media_type data")
        images = {"image/jpeg", "image/png", "image/gif", "image/webp"}
        assert source["media_type"] in (images if kind == "image" else {"application/pdf"})
        assert BASE64.fullmatch(source["data"])


CHECKERS = {"chat_completions": chat_completions, "responses": responses, "anthropic": anthropic}
