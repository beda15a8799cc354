"""ShareGPT: `[{"id", "title", "conversations": [{"from", "value"}]}]`, a chat on each line.

`from` is `human`, `gpt`, `system`, and for tools `function_call` and `observation`, as LLaMA-Factory has it
(https://llamafactory.readthedocs.io/en/latest/getting_started/data_preparation.html).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from app.archive_formats import foreign_chat
from app.archive_formats.item_format import ItemFormat
from app.archive_formats.records import Record
from app.archive_formats.render import told
from app.archive_formats.source import Found
from app.codecs.canonical import ToolCall, ToolResult
from app.codecs.parts import Part, Reasoning, Refusal, Text, placeholder

_FROM = {"user": "human", "assistant": "gpt", "system": "system", "developer": "system", "tool": "observation"}


class ShareGPT:
    """See ExportFormat."""

    name = "sharegpt"
    media_type = "application/json"
    extension = "json"
    lossless = False

    def write(self, records: Iterable[Record], *, many: bool) -> Iterator[bytes]:
        yield b"[\n"
        chats, separator = 0, b""
        for record in records:
            if record["record"] == "chat":
                chat = {"id": record["chat_id"]} | ({"title": record["title"]} if "title" in record else {})
                head = orjson.dumps(chat)[:-1]
                yield b'%b%b,"conversations":[' % (b"]},\n" if chats else b"", head)
                chats, separator = chats + 1, b""
            elif record["record"] == "message" and record["type"] == "message":
                for said in _said(record):
                    yield separator + orjson.dumps(said)
                    separator = b","
        yield b"]}\n]\n" if chats else b"]\n"


def _said(message: Record) -> Iterator[dict[str, Any]]:
    texts: list[str] = []
    others: list[dict[str, Any]] = []
    for one in told(message):
        match one:
            case ToolCall(name=name, arguments=arguments):
                value = orjson.dumps({"name": name, "arguments": _arguments(arguments)}).decode()
                others.append({"from": "function_call", "value": value})
            case ToolResult(parts=parts):
                others.append({"from": "observation", "value": _text(parts)})
            case str():
                texts.append(one)
            case Reasoning():
                pass
            case _:
                texts.append(_text((one,)))
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


EXPORT = ShareGPT()


class ShareGPTIn(ItemFormat):
    """See ImportFormat."""

    name = "sharegpt"

    def knows(self, names: dict[str, bytes]) -> bool:
        return names.get("conversations") == b"["

    def chat(self, place: str, item: Record, raw: bytes) -> Iterator[Found]:
        messages = [
            _heard(foreign_chat.object_of(one, "a message"))
            for one in foreign_chat.list_of(item.get("conversations"), "conversations")
        ]
        if isinstance(item.get("system"), str) and item["system"]:
            messages.insert(0, {"role": "system", "content": item["system"]})
        details = {
            "title": foreign_chat.title(item.get("title")),
            "created_at": foreign_chat.moment(item.get("created_at")),
            **foreign_chat.rest(self.name, item, "id", "title", "conversations", "system", "created_at"),
        }
        yield from foreign_chat.chat(
            self.name, place, item.get("id"), raw, details, foreign_chat.in_a_row(messages), None
        )


def _heard(said: Record) -> Record:
    by, value = said.get("from", said.get("role")), said.get("value", said.get("content"))
    kept = {**said, "from": by} if by in ("function_call", "function_response") else said
    taken = ("value", "content", "role") if kept is not said else ("value", "content", "role", "from")
    content = foreign_chat.content(value)
    role = foreign_chat.role(by)
    return {**role, "content": "" if content is None else content, **foreign_chat.rest("sharegpt", kept, *taken)}


IMPORT = ShareGPTIn()
