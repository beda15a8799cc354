"""Messages as blocks for formats that people read: text and media parts, tool calls, tool results."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from app.archive_formats.records import Record
from app.codecs.canonical import ToolCall, ToolResult, canonical_message
from app.codecs.parts import File, Image, Part, parse_parts

# Without characters that could end it where it is written, or make it lead elsewhere than it says.
_WEB = re.compile(r"https?://[^\s\x00-\x20\x7f\"'`]+", re.IGNORECASE)


Block = Part | ToolCall | ToolResult | str


def render_blocks(message: Record) -> Iterator[Block]:
    """The blocks of a message, in order. A part of no known shape becomes JSON text: nothing is left out.

    Where a call stands among the parts is not known: it comes before its result, or else last.
    """
    content = message.get("content")
    other = canonical_message({**message, "content": None})
    pending = list(other.calls)
    if isinstance(content, str):
        if content:
            yield content
    elif isinstance(content, list):
        for part in content:
            for block in _render_part(message, part):
                if isinstance(block, ToolResult):
                    answered = [call for call in pending if call.id == block.call_id]
                    pending = [call for call in pending if call not in answered]
                    yield from answered
                yield block
    yield from pending
    calls = message.get("tool_calls") or ()
    for _, index in other.malformed:
        yield _indented(calls[index])
    if "payload" in message and "content" not in message and not calls:
        yield _indented(message["payload"])


def web_url(part: Part) -> str | None:
    """The URL of an image or a file, where it is an http or https URL; else None."""
    url = part.url if isinstance(part, Image | File) else None
    return url if url is not None and _WEB.fullmatch(url) else None


def _render_part(message: Record, part: object) -> Iterator[Block]:
    if parts := parse_parts([part]):
        yield from parts
        return
    content = canonical_message({**message, "content": [part], "tool_calls": None})
    results = [result for result in content.results if result.position is not None]
    if content.calls or results:
        yield from content.calls
        yield from results
    elif not (isinstance(part, dict) and part.get("type") in ("text", "input_text", "output_text")):
        yield _indented(part)


def _indented(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
