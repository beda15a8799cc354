"""The messages of Anthropic's Messages, `system` among them as a role of its own.

https://docs.anthropic.com/en/api/messages and the types of the `anthropic` package.
"""

import re
from collections.abc import Sequence
from typing import Any

from app.codecs import Codec, Untranslatable, neutral, register
from app.codecs.parts import File, Image, Part, Reasoning, Text, placeholder
from app.codecs.said import INSTRUCTING, Call, Result, Said, steps
from app.codecs.values import text_of, value_of

Json = dict[str, Any]

_ROLES = ("user", "assistant", "system")
_DATA_URL = re.compile(r"data:([a-z0-9.+-]+/[a-z0-9.+-]+);base64,([A-Za-z0-9+/]+={0,2})")
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


def read(item: Json) -> Json:
    """The message that an item is: one of a request, or an answer as it came, with its model and its usage."""
    role = item.get("role")
    if role not in _ROLES:
        raise Untranslatable(f"it must be one of {', '.join(_ROLES)}", "role")
    parts: list[Json] = []
    calls: list[Json] = []
    for index, block in enumerate(neutral.blocks_of(item.get("content"), "content")):
        if role == "assistant" and (call := _call(block, index)) is not None:
            calls.append(call)
        elif (result := _result(block, index)) is not None:
            parts.append(result)
        else:
            parts += _known(block)
    usage = item.get("usage")
    used = usage if isinstance(usage, dict) else {}
    return neutral.message(
        role,
        parts,
        calls,
        model=neutral.short(item.get("model")),
        input_tokens=neutral.tokens(used.get("input_tokens")),
        output_tokens=neutral.tokens(used.get("output_tokens")),
    )


def write(one: Said) -> list[Json]:
    """The messages that say what a message says: results of tools are said by the user."""
    if one.type != "message":
        return []
    return [item for step in steps(one) for item in _step(step)]


def text_block(part: Part) -> Json:
    """A part as a text: what is none has one in its place."""
    return {"type": "text", "text": placeholder(part)}


def block(part: Part) -> Json:
    """A part of what the user or a tool said; what the API does not take has a text in its place."""
    match part:
        case Image(url=str(url)):
            source = _source(url)
            if source is not None and source.get("media_type", "image/png") in _IMAGES:
                return {"type": "image", "source": source}
        case File(data=str(given)) | File(url=str(given)):
            source = _source(given)
            if source is not None and source.get("media_type", "application/pdf") == "application/pdf":
                return {"type": "document", "source": source}
    return text_block(part)


def input_of(call: Call) -> Json:
    """A call's arguments as the object that they must be; what is none comes under a name of ours."""
    if call.custom:
        return {"input": call.arguments}
    value = value_of(call.arguments)
    return value if isinstance(value, dict) else {"arguments": value}


def _step(step: Said) -> list[Json]:
    results = [_tool_result(result) for result in step.results]
    if step.role == "tool":
        return [{"role": "user", "content": results}] if results else []
    if step.role != "assistant":
        role = "system" if step.role in INSTRUCTING else step.role
        said = _content(step.parts, user=role == "user")
        if results:
            said = [*results, *([{"type": "text", "text": said}] if isinstance(said, str) else said)]
        return [{"role": role, "content": said or ""}] if said or step.message.get("content") == "" else []
    said = _content(step.parts, user=False)
    if step.calls:
        said = [{"type": "text", "text": said}] if isinstance(said, str) else said
        said += [{"type": "tool_use", "id": call.id, "name": call.name, "input": input_of(call)} for call in step.calls]
    items: list[Json] = []
    if said or (step.message.get("content") == "" and not results):
        items.append({"role": "assistant", "content": said or ""})
    return [*items, {"role": "user", "content": results}] if results else items


def _content(parts: Sequence[Part], *, user: bool) -> str | list[Json]:
    told = [part for part in parts if not isinstance(part, Reasoning)]
    if len(told) == 1 and isinstance(told[0], Text):
        return told[0].text
    return [_titled(part, block(part)) if user else text_block(part) for part in told]


def _titled(part: Part, made: Json) -> Json:
    if isinstance(part, File) and part.filename and made["type"] == "document":
        return {**made, "title": part.filename}
    return made


def _tool_result(result: Result) -> Json:
    made: Json = {"type": "tool_result", "tool_use_id": result.call_id}
    if said := _content(result.parts, user=True):
        made["content"] = said
    return made | ({"is_error": True} if result.is_error else {})


def _source(url: str) -> dict[str, str] | None:
    """Where the bytes of an image or a document are: in the URL itself, or behind it."""
    if url.startswith("https://"):
        return {"type": "url", "url": url}
    found = _DATA_URL.fullmatch(url)
    if found is None or len(found[2]) % 4:
        return None
    return {"type": "base64", "media_type": found[1], "data": found[2]}


def _call(given: Json, index: int) -> Json | None:
    if given.get("type") != "tool_use":
        return None
    call_id, name, value = given.get("id"), given.get("name"), given.get("input")
    if not (isinstance(call_id, str) and call_id and isinstance(name, str) and name):
        raise Untranslatable("a tool_use has an id and a name", "content", index)
    return neutral.function_call(call_id, name, text_of({} if value is None else value))


def _result(given: Json, index: int) -> Json | None:
    if given.get("type") != "tool_result":
        return None
    call_id = given.get("tool_use_id")
    if not isinstance(call_id, str):
        raise Untranslatable("it must be a text", "content", index, "tool_use_id")
    said = given.get("content")
    if not isinstance(said, str | None):
        blocks = neutral.blocks_of(said, "content", index, "content")
        said = neutral.content([one for inner in blocks for one in _known(inner)])
    return neutral.result(call_id, said, is_error=given.get("is_error") is True)


def _known(given: Json) -> list[Json]:
    """A block as parts: one that is made of others, as a document or a search result may be, as those."""
    match given:
        case {"type": "document", "source": {"type": "content", "content": inner}}:
            pass
        case {"type": "search_result", "content": inner}:
            pass
        case _:
            return neutral.known([given])
    try:
        blocks = neutral.known(neutral.blocks_of(inner))
    except Untranslatable:
        return [given]
    title = given.get("title")
    return [*([{"type": "text", "text": title}] if isinstance(title, str) and title else []), *blocks]


register(Codec("anthropic", read, write))
