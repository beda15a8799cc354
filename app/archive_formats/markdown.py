"""Markdown export, for reading (CommonMark). Texts stand in fences that they cannot close."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from app.archive_formats import ExportFormat
from app.archive_formats.records import Record
from app.archive_formats.render import Block, render_blocks, web_url
from app.codecs.canonical import ToolCall, ToolResult
from app.codecs.parts import Audio, File, Image, Reasoning, placeholder

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&])")
_BACKTICKS = re.compile("`+")
_ESCAPED_IN_URL = str.maketrans({"<": "%3C", ">": "%3E", "\\": "%5C"})


def write(records: Iterable[Record], *, many: bool) -> Iterator[bytes]:
    chats = 0
    for record in records:
        if record["record"] == "chat":
            chats += 1
            yield ("\n---\n\n" if chats > 1 else "").encode() + _chat(record).encode()
        elif record["record"] == "message":
            yield _message(record).encode()


def _chat(chat: Record) -> str:
    lines = [f"# {_line(chat.get('title') or chat.get('key') or 'Untitled')}", ""]
    details = ("user_id", "chat_id", "key", "platform", "created_at")
    lines += [f"- {_line(name)}: {_line(chat[name])}" for name in details if name in chat]
    if "summary" in chat:
        lines += ["", _fenced(chat["summary"])]
    return "\n".join([*lines, ""])


def _message(message: Record) -> str:
    labels = [message["role"], *(message[name] for name in ("name", "model") if name in message)]
    if message["type"] != "message":
        labels.append(message["type"])
    blocks = [f"\n## {message['seq']}. {' · '.join(_line(label) for label in labels)}", _line(message["created_at"])]
    return "\n\n".join([*blocks, *map(_block, render_blocks(message))]) + "\n"


def _block(block: Block) -> str:
    match block:
        case str():
            return _fenced(block)
        case ToolCall(name=name, arguments=arguments):
            return f"Calls {_line(name)}:\n\n{_fenced(arguments)}"
        case ToolResult(parts=parts):
            return "\n\n".join(["Result:", *map(_block, parts)])
        case Reasoning(text):
            return f"Reasoning:\n\n{_fenced(text)}"
        case Image() | Audio() | File():
            name, url = _line(placeholder(block)), web_url(block)
            return f"[{name}](<{url.translate(_ESCAPED_IN_URL)}>)" if url else name
    return _fenced(block.text)


def _fenced(text: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in _BACKTICKS.findall(text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def _line(value: Any) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).split()))


EXPORT = ExportFormat("markdown", "text/markdown; charset=utf-8", "md", write)
