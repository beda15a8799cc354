"""What can be said, feature by feature, and how to tell what became of it in another codec: for `losses`.

A feature is a message of ours that a codec says by itself, or items that are its own way to say it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.codecs.canonical import CanonicalMessage
from app.codecs.message_json import build_message, custom_call, function_call, tool_result
from app.codecs.parts import Audio, File, Image, Part, Reasoning, Refusal, Text
from tests.callers import Json

KEPT, AS_TEXT, LOST = "kept", "as text", "lost"
MARK = "xyzzy"  # in whatever is looked for
URL, PNG, PDF = (
    f"https://e.com/{MARK}.png",
    "data:image/png;base64,iVBORw0KGgo=",
    "data:application/pdf;base64,JVBERi0=",
)
PDF_URL = f"https://e.com/{MARK}.pdf"

Outcome = Callable[[list[CanonicalMessage], list[Json]], str]
"""Tells from what was read again, and from the items it was read from, what became of a feature."""


@dataclass(frozen=True)
class Feature:
    """Something that can be said. `items` are the ways in which codecs say it that no message of ours stands for."""

    name: str
    outcome: Outcome
    message: Json | None = None
    items: dict[str, list[Json]] = field(default_factory=dict)


def there(is_it: Callable[[Part], bool], *, in_results: bool = False) -> Outcome:
    """Whether there is such a part; `[image]` and the like are texts in its place."""

    def outcome(found: list[CanonicalMessage], _items: list[Json]) -> str:
        parts = [part for one in found for part in one.parts]
        if in_results:
            parts = [part for one in found for result in one.results for part in result.parts]
        if any(map(is_it, parts)):
            return KEPT
        return AS_TEXT if any(isinstance(part, Text) and "[" in part.text for part in parts) else LOST

    return outcome


def says(*texts: str) -> Outcome:
    """Whether these texts stand in the items, in this order."""

    def outcome(_found: list[CanonicalMessage], items: list[Json]) -> str:
        written, at = orjson.dumps(items).decode(), 0
        for text in texts:
            at = written.find(text, at) + 1
            if not at:
                return LOST
        return KEPT

    return outcome


def about(name: str) -> Outcome:
    """Whether a message has a field with the value that is looked for."""
    return lambda found, _items: KEPT if any(one.fields.get(name) in (MARK, 12) for one in found) else LOST


def role(wanted: str, other: str) -> Outcome:
    """Whether a text is said by this role, or else by another."""

    def outcome(found: list[CanonicalMessage], _items: list[Json]) -> str:
        roles = {one.role for one in found if one.parts}
        return KEPT if wanted in roles else f"as `{other}`" if other in roles else LOST

    return outcome


def refused(found: list[CanonicalMessage], _items: list[Json]) -> str:
    """What became of a refusal."""
    parts = [part for one in found for part in one.parts]
    if any(isinstance(part, Refusal) for part in parts):
        return KEPT
    return AS_TEXT if Text(MARK) in parts else LOST


def called(count: int, *, custom: bool = False) -> Outcome:
    """What became of calls."""

    def outcome(found: list[CanonicalMessage], _items: list[Json]) -> str:
        calls = [call for one in found for call in one.calls]
        if len(calls) != count or any(call.name != MARK for call in calls):
            return LOST
        return KEPT if not custom or calls[0].custom else "as a function"

    return outcome


def in_their_order(found: list[CanonicalMessage], _items: list[Json]) -> str:
    """What became of the order of two calls."""
    ids = [call.id for one in found for call in one.calls]
    return KEPT if ids == ["call_1", "call_2"] else "in another order" if ids == ["call_2", "call_1"] else LOST


def answered(found: list[CanonicalMessage], _items: list[Json]) -> str:
    """What became of a result's text."""
    results = [result for one in found for result in one.results]
    return KEPT if [(result.call_id, result.parts) for result in results] == [("call_1", (Text(MARK),))] else LOST


def failed(found: list[CanonicalMessage], _items: list[Json]) -> str:
    """What became of the note that a call failed."""
    return KEPT if any(result.is_error for one in found for result in one.results) else LOST


def parted(found: list[CanonicalMessage], _items: list[Json]) -> str:
    """Whether two texts are still two."""
    texts = [part.text for one in found for part in one.parts if isinstance(part, Text)]
    return KEPT if texts == [MARK, "b"] else "as one" if MARK in "".join(texts) else LOST


def user(part: Json) -> Json:
    """A message of the user with a part and a text."""
    return {"role": "user", "content": [{"type": "text", "text": "a"}, part]}


def model(*parts: Json) -> Json:
    """A message of the assistant."""
    return {"role": "assistant", "content": list(parts)}


def calling(*calls: Json) -> Json:
    """A message that calls tools."""
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def function(call_id: str = "call_1", name: str = MARK) -> Json:
    """A call."""
    return function_call(call_id, name, '{"a":1}')


def result(content: Any, **more: Any) -> Json:
    """A message that is a result."""
    return build_message("tool", [tool_result("call_1", content, **more)])


def ai(content: Any, **data: Any) -> Json:
    """An answer in LangChain's form."""
    return {"type": "ai", "data": {"content": content, "type": "ai", **data}}


def answer(*parts: Json, **fields: Any) -> Json:
    """An answer in Pydantic AI's form."""
    return {"kind": "response", "parts": list(parts), **fields}


def event(*parts: Json, **fields: Any) -> Json:
    """An answer in the form of ADK's events."""
    return {"author": "cook", "content": {"role": "model", "parts": list(parts)}, **fields}


def shown(*parts: Json, **fields: Any) -> Json:
    """An answer in the form of the AI SDK's UI messages."""
    return {"id": "a", "role": "assistant", "parts": list(parts), **fields}


def block(kind: str, **fields: Any) -> Json:
    """A block of Anthropic's, and parts of others that are alike."""
    return {"type": kind, **fields}


TEXT, THOUGHT = block("text", text="a"), block("reasoning", text=MARK)
SIGNED = block("thinking", thinking="a", signature=MARK)
CITATION = block("url_citation", url=URL)
CITED: list[Json] = [{"type": "web_search_result_location", "url": URL, "cited_text": "a"}]
SEARCH = block("server_tool_use", id="srv_1", name="web_search", input={"query": MARK})
FEATURES = [
    Feature("text", says(MARK), {"role": "user", "content": MARK}),
    Feature("several texts", parted, {"role": "user", "content": [{**TEXT, "text": MARK}, {**TEXT, "text": "b"}]}),
    Feature("instructions of the system", role("system", "user"), {"role": "system", "content": MARK}),
    Feature("instructions of the developer", role("developer", "system"), {"role": "developer", "content": MARK}),
    Feature(
        "image by URL",
        there(lambda part: isinstance(part, Image) and part.url == URL),
        user({"type": "image_url", "image_url": {"url": URL}}),
    ),
    Feature(
        "image in base64",
        there(lambda part: isinstance(part, Image) and part.url == PNG),
        user({"type": "image_url", "image_url": {"url": PNG}}),
    ),
    Feature(
        "image by file id",
        there(lambda part: isinstance(part, Image | File) and part.file_id == MARK),
        user({"type": "input_image", "file_id": MARK}),
        {"anthropic": [{"role": "user", "content": [block("image", source=block("file", file_id=MARK))]}]},
    ),
    Feature(
        "audio",
        there(lambda part: part == Audio("UklGRg==", "wav")),
        user({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
    ),
    Feature(
        "file in base64",
        there(lambda part: isinstance(part, File) and part.data is not None and part.data.endswith("JVBERi0=")),
        user({"type": "file", "file": {"file_data": PDF, "filename": f"{MARK}.pdf"}}),
    ),
    Feature(
        "name of a file",
        there(lambda part: isinstance(part, File) and part.filename == f"{MARK}.pdf"),
        user({"type": "file", "file": {"file_data": PDF, "filename": f"{MARK}.pdf"}}),
    ),
    Feature(
        "file by URL",
        there(lambda part: isinstance(part, File) and part.url == PDF_URL),
        user({"type": "file", "file": {"file_url": PDF_URL}}),
    ),
    Feature(
        "file by its id",
        there(lambda part: isinstance(part, File) and part.file_id == MARK),
        user({"type": "file", "file": {"file_id": MARK}}),
    ),
    Feature("name of who speaks", about("name"), {"role": "user", "content": "a", "name": MARK}),
    Feature("refusal", refused, model({"type": "refusal", "refusal": MARK})),
    Feature(
        "image in an answer",
        there(lambda part: isinstance(part, Image) and part.url == PNG),
        model({"type": "image_url", "image_url": {"url": PNG}}),
    ),
    Feature(
        "reasoning",
        there(lambda part: part == Reasoning(MARK)),
        model(THOUGHT, TEXT),
        {
            "chat_completions": [{"role": "assistant", "content": "a", "reasoning_content": MARK}],
            "responses": [block("reasoning", id="rs_1", summary=[block("summary_text", text=MARK)])],
            "anthropic": [{"role": "assistant", "content": [{**SIGNED, "thinking": MARK}, TEXT]}],
        },
    ),
    Feature(
        "what reasoning is signed or encrypted with",
        says(MARK),
        items={
            "responses": [block("reasoning", id="rs_1", summary=[], encrypted_content=MARK)],
            "anthropic": [{"role": "assistant", "content": [SIGNED, TEXT]}],
            "ui": [shown(block("reasoning", text="a", providerMetadata={"anthropic": {"signature": MARK}}), TEXT)],
            "langchain": [ai([SIGNED, TEXT])],
            "pydantic_ai": [answer({"part_kind": "thinking", "content": "a", "signature": MARK})],
            "adk": [event({"text": "a", "thought": True, "thought_signature": MARK}, {"text": "a"})],
        },
    ),
    Feature("call of a tool", called(1), calling(function())),
    Feature("calls at once", called(2), calling(function(), function("call_2"))),
    Feature(
        "order of a call whose arguments are no object, and one whose are",
        in_their_order,
        calling(function_call("call_1", MARK, "{"), function("call_2")),
    ),
    Feature("call of a custom tool", called(1, custom=True), calling(custom_call("call_1", MARK, "a"))),
    Feature(
        "order of texts and calls at once",
        says('"first', MARK, '"second'),
        items={
            "anthropic": [
                {
                    "role": "assistant",
                    "content": [
                        {**TEXT, "text": "first"},
                        block("tool_use", id="call_1", name=MARK, input={}),
                        {**TEXT, "text": "second"},
                    ],
                }
            ],
            "responses": [
                {"type": "message", "role": "assistant", "content": "first"},
                block("function_call", call_id="call_1", name=MARK, arguments="{}"),
                {"type": "message", "role": "assistant", "content": "second"},
            ],
            "ui": [
                shown(
                    {**TEXT, "text": "first"},
                    block("dynamic-tool", toolName=MARK, toolCallId="call_1", state="input-available", input={}),
                    {**TEXT, "text": "second"},
                )
            ],
            "pydantic_ai": [
                answer(
                    {"part_kind": "text", "content": "first"},
                    {"part_kind": "tool-call", "tool_name": MARK, "args": {}, "tool_call_id": "call_1"},
                    {"part_kind": "text", "content": "second"},
                )
            ],
            "adk": [
                event(
                    {"text": "first"},
                    {"function_call": {"id": "call_1", "name": MARK, "args": {}}},
                    {"text": "second"},
                )
            ],
        },
    ),
    Feature("result of a tool", answered, result(MARK)),
    Feature(
        "image in a result",
        there(lambda part: isinstance(part, Image) and part.url == PNG, in_results=True),
        result([{"type": "image_url", "image_url": {"url": PNG}}]),
    ),
    Feature("note that a call failed", failed, result("a", is_error=True)),
    Feature(
        "citations",
        says(MARK),
        items={
            "chat_completions": [
                {"role": "assistant", "content": "a", "annotations": [block("url_citation", url=URL)]}
            ],
            "responses": [
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [block("output_text", text="a", annotations=[CITATION])],
                }
            ],
            "anthropic": [{"role": "assistant", "content": [{**TEXT, "citations": CITED}]}],
            "ui": [shown(TEXT, block("source-url", sourceId="s", url=URL))],
            "langchain": [ai([{**TEXT, "annotations": [block("citation", url=URL)]}])],
            "adk": [event({"text": "a"}, grounding_metadata={"grounding_chunks": [{"web": {"uri": URL}}]})],
        },
    ),
    Feature(
        "tools that the provider ran",
        says(MARK),
        items={
            "responses": [block("web_search_call", id="ws_1", status="completed", action=block("search", query=MARK))],
            "anthropic": [{"role": "assistant", "content": [SEARCH, TEXT]}],
            "ui": [
                shown(
                    block(
                        "tool-web_search",
                        toolCallId="ws_1",
                        state="output-available",
                        providerExecuted=True,
                        input={"query": MARK},
                        output=[],
                    ),
                    TEXT,
                )
            ],
            "langchain": [ai([block("server_tool_call", id="ws_1", name="web_search", args={"query": MARK}), TEXT])],
            "pydantic_ai": [
                answer(
                    {
                        "part_kind": "builtin-tool-call",
                        "tool_name": "web_search",
                        "args": {"query": MARK},
                        "tool_call_id": "ws_1",
                    },
                    {"part_kind": "text", "content": "a"},
                )
            ],
            "adk": [event({"executable_code": {"code": MARK, "language": "PYTHON"}}, {"text": "a"})],
        },
    ),
    Feature(
        "kinds of parts or items that nobody knows",
        says(MARK),
        items={
            "chat_completions": [{"role": "user", "content": [TEXT, block("telepathy", thought=MARK)]}],
            "responses": [block("telepathy_call", thought=MARK)],
            "anthropic": [{"role": "user", "content": [TEXT, block("telepathy", thought=MARK)]}],
            "ui": [shown(TEXT, block("data-telepathy", data=MARK))],
            "langchain": [ai([TEXT, block("telepathy", thought=MARK)])],
            "pydantic_ai": [answer({"part_kind": "telepathy", "thought": MARK})],
            "adk": [event({"telepathy": MARK}, {"text": "a"})],
        },
    ),
    Feature(
        "name of the model",
        about("model"),
        {"role": "assistant", "content": "a", "model": MARK},
        {"anthropic": [{"role": "assistant", "content": "a", "model": MARK}]},
    ),
    Feature(
        "tokens used",
        about("output_tokens"),
        {"role": "assistant", "content": "a", "output_tokens": 12},
        {"anthropic": [{"role": "assistant", "content": "a", "usage": {"input_tokens": 1, "output_tokens": 12}}]},
    ),
]
