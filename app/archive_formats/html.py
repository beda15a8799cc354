"""HTML export, for reading: one file that loads nothing, runs nothing, and needs no network."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape

from app.archive_formats import ExportFormat
from app.archive_formats.records import Record
from app.archive_formats.render import Block, render_blocks, web_url
from app.codecs.canonical import ToolCall, ToolResult
from app.codecs.parts import Audio, File, Image, Reasoning, Refusal, Text, placeholder

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 48rem; padding: 1rem; }
h1, h2 { line-height: 1.25; overflow-wrap: anywhere; }
section { margin-block-end: 4rem; }
article { border-inline-start: 0.25rem solid light-dark(#c8ccd0, #50555a); margin-block: 1.5rem; padding-inline: 1rem; }
article.user { border-color: light-dark(#2563eb, #7aa7ff); }
article.assistant { border-color: light-dark(#15803d, #6bd18f); }
header, dl { color: light-dark(#555b61, #a9afb5); font-size: 0.875rem; }
dl { display: grid; gap: 0 1rem; grid-template-columns: max-content 1fr; }
dd { margin: 0; overflow-wrap: anywhere; }
.text, pre { margin-block: 0.5rem; overflow-wrap: anywhere; white-space: pre-wrap; }
pre { background: light-dark(#f2f3f5, #24272a); border-radius: 0.25rem; padding: 0.5rem; }
""".strip()
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
_HEAD = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{{title}}</title>
<style>{_STYLE.replace("{", "{{").replace("}", "}}")}</style>
</head>
<body>
<main>
"""
_FOOT = "</section>\n</main>\n</body>\n</html>\n"
_ROLES = frozenset({"user", "assistant", "system", "developer", "tool"})


def write(records: Iterable[Record], *, many: bool) -> Iterator[bytes]:
    started = False
    for record in records:
        if record["record"] == "chat":
            if not started:
                yield _HEAD.format(title="Chats" if many else escape(_title(record))).encode()
            yield (("</section>\n" if started else "") + _chat(record)).encode()
            started = True
        elif record["record"] == "message":
            yield _message(record).encode()
    yield (_FOOT if started else _HEAD.format(title="Chats") + _FOOT.removeprefix("</section>\n")).encode()


def _title(chat: Record) -> str:
    return str(chat.get("title") or chat.get("key") or "Untitled")


def _chat(chat: Record) -> str:
    details = "".join(
        f'<dt>{name}</dt><dd dir="auto">{escape(str(chat[name]))}</dd>'
        for name in ("user_id", "chat_id", "key", "platform", "created_at")
        if name in chat
    )
    summary = _text(chat["summary"]) if "summary" in chat else ""
    return f'<section>\n<h1 dir="auto">{escape(_title(chat))}</h1>\n<dl>{details}</dl>\n{summary}'


def _message(message: Record) -> str:
    role = message["role"] if message["role"] in _ROLES else "other"
    labels = [message["role"], *(message[name] for name in ("name", "model") if name in message)]
    if message["type"] != "message":
        labels.append(message["type"])
    heading = " · ".join(f"<bdi>{escape(str(label))}</bdi>" for label in labels)
    timestamp = escape(message["created_at"])
    blocks = "".join(map(_block, render_blocks(message)))
    return (
        f'<article class="{role}" id="m-{escape(message["message_id"])}">\n<header>{message["seq"]}. {heading} · '
        f'<time datetime="{timestamp}">{timestamp}</time></header>\n{blocks}</article>\n'
    )


def _block(block: Block) -> str:
    match block:
        case str():
            return _text(block)
        case Text(text) | Refusal(text):
            return _text(text)
        case Reasoning(text):
            return f"<div>Reasoning:</div>\n{_text(text)}"
        case ToolCall(name=name, arguments=arguments):
            return f"<div>Calls <bdi>{escape(name)}</bdi>:</div>\n<pre>{escape(arguments)}</pre>\n"
        case ToolResult(parts=parts):
            return "<div>Result:</div>\n" + "".join(map(_block, parts))
        case Image() | Audio() | File():
            name, url = escape(placeholder(block)), web_url(block)
            if url is None:
                return f'<div dir="auto">{name}</div>\n'
            return f'<div dir="auto">{name} <a href="{escape(url)}" rel="noopener noreferrer">{escape(url)}</a></div>\n'


def _text(text: str) -> str:
    return f'<div class="text" dir="auto">{escape(text)}</div>\n'


EXPORT = ExportFormat("html", "text/html; charset=utf-8", "html", write)
