"""ShareGPT, exported and imported: `[{"id", "title", "conversations": [{"from", "value"}]}]`, a chat on each line.

`from` is `human`, `gpt`, `system`, and for tools `function_call` and `observation`, as LLaMA-Factory has it
(https://llamafactory.readthedocs.io/en/latest/getting_started/data_preparation.html).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from app.archive_formats import ExportFormat, foreign_chat
from app.archive_formats.item_format import ItemFormat
from app.archive_formats.records import Record
from app.archive_formats.render import render_blocks
from app.archive_formats.source_file import LocatedRecord
from app.codecs.canonical import ToolCall, ToolResult
from app.codecs.parts import Part, Reasoning, Refusal, Text, placeholder

_FROM = {"user": "human", "assistant": "gpt", "system": "system", "developer": "system", "tool": "observation"}


def write(records: Iterable[Record], *, many: bool) -> Iterator[bytes]:
    yield b"[\n"
    chats, separator = 0, b""
    for record in records:
        if record["record"] == "chat":
            chat = {"id": record["chat_id"]} | ({"title": record["title"]} if "title" in record else {})
            head = orjson.dumps(chat)[:-1]
            yield b'%b%b,"conversations":[' % (b"]},\n" if chats else b"", head)
            chats, separator = chats + 1, b""
        elif record["record"] == "message" and record["type"] == "message":
            for turn in _turns(record):
                yield separator + orjson.dumps(turn)
                separator = b","
    yield b"]}\n]\n" if chats else b"]\n"


def _turns(message: Record) -> Iterator[dict[str, Any]]:
    texts: list[str] = []
    others: list[dict[str, Any]] = []
    for block in render_blocks(message):
        match block:
            case ToolCall(name=name, arguments=arguments):
                value = orjson.dumps({"name": name, "arguments": _arguments(arguments)}).decode()
                others.append({"from": "function_call", "value": value})
            case ToolResult(parts=parts):
                others.append({"from": "observation", "value": _text(parts)})
            case str():
                texts.append(block)
            case Reasoning():
                pass
            case _:
                texts.append(_text((block,)))
    if texts or not others:
        yield {"from": _FROM.get(message["role"], message["role"]), "value": "\n".join(texts)}
    yield from others


def _text(parts: Iterable[Part]) -> str:
    return "\n".join(part.text if isinstance(part, Text | Refusal) else placeholder(part) for part in parts)


def _arguments(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


EXPORT = ExportFormat("sharegpt", "application/json", "json", write)


class ShareGPTImport(ItemFormat):
    name = "sharegpt"

    def matches_members(self, members: dict[str, bytes]) -> bool:
        return members.get("conversations") == b"["

    def chat(self, location: str, item: Record, raw: bytes) -> Iterator[LocatedRecord]:
        turns = foreign_chat.require_list(item.get("conversations"), "conversations")
        messages = [_message(foreign_chat.require_object(turn, "a message")) for turn in turns]
        if isinstance(item.get("system"), str) and item["system"]:
            messages.insert(0, {"role": "system", "content": item["system"]})
        details = {
            "title": foreign_chat.title_text(item.get("title")),
            "created_at": foreign_chat.parse_timestamp(item.get("created_at")),
            **foreign_chat.extra_metadata(self.name, item, "id", "title", "conversations", "system", "created_at"),
        }
        nodes = foreign_chat.linear_nodes(messages)
        yield from foreign_chat.chat_records(self.name, location, item.get("id"), raw, details, nodes)


def _message(turn: Record) -> Record:
    sender = turn.get("from", turn.get("role"))
    content = foreign_chat.message_content(turn.get("value", turn.get("content")))
    handled = ["value", "content", "role"]
    if sender in ("function_call", "function_response"):
        # What our roles do not tell.
        turn = {**turn, "from": sender}
    else:
        handled.append("from")
    return {
        **foreign_chat.role_fields(sender),
        "content": "" if content is None else content,
        **foreign_chat.extra_metadata("sharegpt", turn, *handled),
    }


IMPORT = ShareGPTImport()
