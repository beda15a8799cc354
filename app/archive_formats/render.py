"""What a message tells a reader: its parts, the tools it calls, the results it brings."""

import re
from collections.abc import Iterator

import orjson

from app.archive_formats.records import Record
from app.codecs.canonical import ToolCall, ToolResult, canonical_message
from app.codecs.parts import File, Image, Part, parse_parts

# Nothing in it that could end it where it is written, or lead elsewhere than it says.
_WEB = re.compile(r"https?://[^\s\x00-\x20\x7f\"'`]+", re.IGNORECASE)


def told(message: Record) -> Iterator[Part | ToolCall | ToolResult | str]:
    """What a message tells, in order. What is understood by nobody is JSON text: nothing that it says is left out.

    Where a call stands among the parts is not known: it comes before its result, or else last.
    """
    content = message.get("content")
    canonical = canonical_message({**message, "content": None})
    left = list(canonical.calls)
    if isinstance(content, str):
        if content:
            yield content
    elif isinstance(content, list):
        for part in content:
            for told_part in _part(message, part):
                if isinstance(told_part, ToolResult):
                    answered = [call for call in left if call.id == told_part.call_id]
                    left = [call for call in left if call not in answered]
                    yield from answered
                yield told_part
    yield from left
    calls = message.get("tool_calls") or ()
    for _, index in canonical.malformed:
        yield orjson.dumps(calls[index], option=orjson.OPT_INDENT_2).decode()
    if "payload" in message and "content" not in message and not calls:
        yield orjson.dumps(message["payload"], option=orjson.OPT_INDENT_2).decode()


def link(part: Part) -> str | None:
    """The address of an image or a file, where it is one of the web."""
    url = part.url if isinstance(part, Image | File) else None
    return url if url is not None and _WEB.fullmatch(url) else None


def _part(message: Record, part: object) -> Iterator[Part | ToolCall | ToolResult | str]:
    if known := parse_parts([part]):
        yield from known
        return
    canonical = canonical_message({**message, "content": [part], "tool_calls": None})
    results = [result for result in canonical.results if result.position is not None]
    if canonical.calls or results:
        yield from canonical.calls
        yield from results
    elif not (isinstance(part, dict) and part.get("type") in ("text", "input_text", "output_text")):
        yield orjson.dumps(part, option=orjson.OPT_INDENT_2).decode()
